//! rename(2), in all its kinds.

use crate::meta::{Dentry, Home, Inode, WriteTx};
use crate::types::{Caller, FileKind, Ino, Name, NewNode, Timestamp};
use crate::volume::change::change;
use crate::volume::core::Core;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;
use crate::volume::ops::create::{directory, make, touch_directory};
use crate::volume::ops::remove::{drop_name, named_entry};
use crate::volume::ops::resend::is_noted;

/// What becomes of the names (rename(2), "renameat2").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameMode {
    /// What has the new name is replaced.
    Replace,
    /// Nothing may have the new name.
    NoReplace,
    /// The two names swap what they name.
    Exchange,
    /// As `Replace`, and a whiteout (character device 0:0) takes the old name.
    Whiteout,
    /// As `NoReplace`, and a whiteout takes the old name.
    NoReplaceWhiteout,
}

/// One end of a rename.
#[derive(Clone, Copy)]
struct Place<'a> {
    parent: Ino,
    name: &'a Name,
}

/// As [`crate::volume::Volume::rename`].
pub(super) fn rename(
    core: &Core,
    caller: &Caller,
    (parent, name): (Ino, &Name),
    (new_parent, new_name): (Ino, &Name),
    mode: RenameMode,
) -> Result<()> {
    let from = Place { parent, name };
    let to = Place {
        parent: new_parent,
        name: new_name,
    };
    let orphaned = change(core, Space::Needs, |tx| match mode {
        RenameMode::Exchange => exchange(tx, caller, from, to).map(|()| None),
        _ => transfer(tx, caller, from, to, mode),
    })?;
    if let Some(ino) = orphaned {
        core.lookups().orphan(ino);
    }
    Ok(())
}

fn transfer(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    from: Place<'_>,
    to: Place<'_>,
    mode: RenameMode,
) -> Result<Option<Ino>> {
    let entry = tx.dentry(from.parent, from.name)?;
    directory(tx, from.parent)?;
    directory(tx, to.parent)?;
    let entry = entry.ok_or(Error::NotFound)?;
    let moved = named_entry(tx, entry.ino)?;
    check_not_below(tx, &moved, to.parent)?;
    let target = tx.dentry(to.parent, to.name)?;
    if target.is_some() && matches!(mode, RenameMode::NoReplace | RenameMode::NoReplaceWhiteout) {
        return Err(Error::Exists);
    }
    if target.is_some_and(|target| target.ino == entry.ino) {
        // Two names of one file: rename(2) then does nothing, and succeeds.
        return Ok(None);
    }
    if let Some(target) = target {
        // Checked while the old name is still there: it may be what the victim holds.
        check_replaceable(tx, &moved, &named_entry(tx, target.ino)?)?;
    }
    let now = Timestamp::now();
    tx.delete_dentry(from.parent, from.name, &entry)?;
    let mut into = directory(tx, to.parent)?;
    let (home, orphaned) = arrive(tx, &moved, to, (&mut into, target.as_ref()), now)?;
    if from.parent == to.parent {
        depart(tx, caller, &moved, into, now)?;
    } else {
        touch_directory(tx, &mut into, now)?;
        depart(tx, caller, &moved, directory(tx, from.parent)?, now)?;
    }
    store_moved(tx, moved, home, now)?;
    if matches!(mode, RenameMode::Whiteout | RenameMode::NoReplaceWhiteout) {
        make(tx, caller, from.parent, from.name, &WHITEOUT)?;
    }
    debug_assert!(
        is_noted(tx, from.parent, caller),
        "invariant 12: the request is not noted with what it did"
    );

    Ok(orphaned)
}

const WHITEOUT: NewNode<'_> = NewNode {
    kind: FileKind::CharDevice,
    mode: 0,
    umask: 0,
    rdev: 0,
    target: &[],
};

/// Gives the new name to `moved`; returns its place, and what had it if that was its last name. The directory is changed
/// and not stored.
fn arrive(
    tx: &mut WriteTx<'_>,
    moved: &Inode,
    to: Place<'_>,
    (dir, target): (&mut Inode, Option<&Dentry>),
    now: Timestamp,
) -> Result<(Home, Option<Ino>)> {
    let mut orphaned = None;
    let home = match target {
        Some(target) => {
            let victim = named_entry(tx, target.ino)?;
            tx.point_dentry(to.parent, to.name, target, moved.attr.ino)?;
            orphaned = drop_name(tx, dir, victim, now)?;
            Home {
                parent: to.parent,
                cookie: target.cookie,
            }
        }
        None => tx.insert_dentry(to.parent, to.name, moved.attr.ino)?,
    };
    dir.attr.nlink += u32::from(moved.attr.kind == FileKind::Directory);
    Ok((home, orphaned))
}

/// Takes `moved` out of its directory `dir`, which is where a rename is noted, and stores that.
fn depart(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    moved: &Inode,
    mut dir: Inode,
    now: Timestamp,
) -> Result<()> {
    dir.request = caller.request;
    let is_dir = moved.attr.kind == FileKind::Directory;
    dir.attr.nlink = dir.attr.nlink.saturating_sub(u32::from(is_dir));
    touch_directory(tx, &mut dir, now)
}

/// Stores what was moved: its ctime changes, and where it is.
fn store_moved(tx: &mut WriteTx<'_>, mut moved: Inode, home: Home, now: Timestamp) -> Result<()> {
    moved.attr.ctime = now;
    moved.home = home;
    Ok(tx.update_inode(&mut moved)?)
}

fn check_replaceable(tx: &WriteTx<'_>, moved: &Inode, victim: &Inode) -> Result<()> {
    let is_dir = |inode: &Inode| inode.attr.kind == FileKind::Directory;
    match (is_dir(moved), is_dir(victim)) {
        (true, false) => Err(Error::NotDirectory),
        (false, true) => Err(Error::IsDirectory),
        (true, true) if tx.has_entries(victim.attr.ino)? => Err(Error::NotEmpty),
        _ => Ok(()),
    }
}

/// A directory must not come to lie below itself.
fn check_not_below(tx: &WriteTx<'_>, moved: &Inode, parent: Ino) -> Result<()> {
    if moved.attr.kind != FileKind::Directory {
        return Ok(());
    }
    let mut at = parent;
    loop {
        if at == moved.attr.ino {
            return Err(Error::Invalid);
        }
        if at == Ino::ROOT {
            return Ok(());
        }
        at = named_entry(tx, at)?.home.parent;
    }
}

fn exchange(tx: &mut WriteTx<'_>, caller: &Caller, from: Place<'_>, to: Place<'_>) -> Result<()> {
    let one = tx.dentry(from.parent, from.name)?.ok_or(Error::NotFound)?;
    let other = tx.dentry(to.parent, to.name)?.ok_or(Error::NotFound)?;
    if one.ino == other.ino {
        return Ok(());
    }
    let (first, second) = (named_entry(tx, one.ino)?, named_entry(tx, other.ino)?);
    check_not_below(tx, &first, to.parent)?;
    check_not_below(tx, &second, from.parent)?;
    let now = Timestamp::now();
    tx.point_dentry(from.parent, from.name, &one, other.ino)?;
    tx.point_dentry(to.parent, to.name, &other, one.ino)?;
    depart(tx, caller, &first, directory(tx, from.parent)?, now)?;
    depart(tx, caller, &second, directory(tx, to.parent)?, now)?;
    for (moved, parent, entry) in [(first, to.parent, other), (second, from.parent, one)] {
        let mut dir = directory(tx, parent)?;
        dir.attr.nlink += u32::from(moved.attr.kind == FileKind::Directory);
        tx.update_inode(&mut dir)?;
        store_moved(
            tx,
            moved,
            Home {
                parent,
                cookie: entry.cookie,
            },
            now,
        )?;
    }
    debug_assert!(
        is_noted(tx, from.parent, caller),
        "invariant 12: the request is not noted with what it did"
    );

    Ok(())
}
