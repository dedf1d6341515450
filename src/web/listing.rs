//! What pages show, looked up: volumes, one of them, a directory, and changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::commands::diff::compare;
use crate::commands::flush::flush;
use crate::commands::locate::{Located, Root, VolumeRef, cannot_list};
use crate::commands::schedule::next_round;
use crate::commands::source::{Failure, Source, find, kind_of, with_source};
use crate::commands::state_ref::{SnapshotRef, StateRef, no_snapshot};
use crate::commands::{CommandError, Kind, Result, snapshot, usage};
use crate::control::{Change, ChangeKind, Op, SnapshotInfo};
use crate::metrics::{MeasuredVolume, look_at};
use crate::server::{self, ServerState};
use crate::types::{Attr, FileKind, SnapshotName, Usage, VolumeName};
use crate::volume::{Config, Seal};

use super::address::{State, TreePath};
use super::bounded::LOOK_MAX;
use super::fields::Fields;
use super::refusal::Refusal;
use super::site::Site;

/// Volumes on a page.
const VOLUMES: usize = 200;
/// Entries of a directory, or changes, on a page.
pub(super) const ENTRIES: usize = 1000;
/// Changes that are looked at: who has more uses `cask diff`.
const CHANGES_MAX: usize = 100_000;

/// A part of a list, for one page.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Which one, from 0 on.
    pub(super) number: usize,
    pub(super) size: usize,
    /// All that match.
    pub(super) matching: usize,
    /// All that there are.
    pub(super) total: usize,
    pub(super) filter: Vec<u8>,
}

impl<T> Page<T> {
    /// Those that have what the query filters by in their names; the page that it names.
    fn of(all: Vec<T>, size: usize, query: &Fields, name: impl Fn(&T) -> &[u8]) -> Self {
        let (total, filter) = (
            all.len(),
            query.bytes("filter").unwrap_or_default().to_vec(),
        );
        let mut all = all;
        all.retain(|item| holds(name(item), &filter));
        let matching = all.len();
        let last = matching.saturating_sub(1) / size;
        let number = query.number("page").unwrap_or(0).min(last);
        let items = all.into_iter().skip(number * size).take(size).collect();
        Self {
            items,
            number,
            size,
            matching,
            total,
            filter,
        }
    }

    fn map<U>(self, map: impl FnOnce(Vec<T>) -> Vec<U>) -> Page<U> {
        Page {
            items: map(self.items),
            number: self.number,
            size: self.size,
            matching: self.matching,
            total: self.total,
            filter: self.filter,
        }
    }
}

/// Whether `part` is in `name`, in capitals or not.
fn holds(name: &[u8], part: &[u8]) -> bool {
    part.is_empty()
        || name
            .windows(part.len())
            .any(|some| some.eq_ignore_ascii_case(part))
}

/// A volume's name says where it is: nothing is asked of one that is not there.
pub(super) fn exists(root: &Root, volume: &VolumeName) -> std::result::Result<(), Refusal> {
    root.locate(&VolumeRef::Name(volume.clone()))?;
    Ok(())
}

/// The volumes of the root.
pub(super) fn volumes(root: &Root, query: &Fields) -> Result<Page<MeasuredVolume>> {
    let store = root.store();
    let names = store.names().map_err(cannot_list)?;
    let page = Page::of(names, VOLUMES, query, |name| name.as_str().as_bytes());
    Ok(page.map(|names| look_at(&store, &names)))
}

/// A volume, as its page shows it.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) name: VolumeName,
    pub(super) measured: MeasuredVolume,
    /// Nothing where it cannot be counted.
    pub(super) usage: Option<Usage>,
    pub(super) mountpoints: Vec<String>,
    pub(super) created: String,
    pub(super) is_sealed: bool,
    /// The oldest first.
    pub(super) snapshots: Vec<SnapshotInfo>,
    pub(super) next: Option<String>,
}

/// Looks a volume up. One that is down has nothing to show but that.
pub(super) async fn volume(
    site: &Arc<Site>,
    name: &VolumeName,
) -> std::result::Result<Volume, Refusal> {
    let (root, own) = (site.root.clone(), name.clone());
    let looked = site.lanes.run(name, LOOK_MAX, move || look_up(&root, &own));
    looked.await
}

fn look_up(root: &Root, name: &VolumeName) -> Result<Volume> {
    let located = open(root, name)?;
    let config = Config::load(&located.dir).map_err(|e| located.explain_volume(e))?;
    let measured = MeasuredVolume::of(name.as_str(), &located.dir).ok_or_else(|| gone(name))?;
    let usage = match measured.told.usage {
        Some(usage) => Some(usage),
        None => usage::of(&located).inspect_err(|e| log::debug!("{e}")).ok(),
    };
    let snapshots = snapshot::list(&located, &Op::MeasuredSnapshots)?;
    let state = server::server_state(&located.dir).map_err(|e| located.explain(e))?;
    let mountpoints = match state {
        ServerState::Served(_, mounts) => mounts,
        _ => Vec::new(),
    };
    let seen_to = measured.scheduled.as_ref().and_then(|known| known.seen_to);
    Ok(Volume {
        name: name.clone(),
        usage,
        mountpoints: mountpoints
            .iter()
            .map(|mount| mount.mountpoint.display().to_string())
            .collect(),
        created: config.created,
        is_sealed: config.seal == Seal::Sealed,
        snapshots,
        next: next_round(measured.schedule, seen_to).map(|at| at.to_string()),
        measured,
    })
}

fn gone(name: &VolumeName) -> CommandError {
    CommandError::new(
        Kind::NotFound,
        format!("there is no volume \"{name}\" any more"),
    )
}

/// A volume that can be looked into. Not one whose server died: that would begin a recovery that nobody asked for.
pub(super) fn open(root: &Root, name: &VolumeName) -> Result<Located> {
    let (located, _) = root.open(&VolumeRef::Name(name.clone()))?;
    let state = server::server_state(&located.dir).map_err(|e| located.explain(e))?;
    match state {
        ServerState::Dead(_) => Err(down(&located)),
        _ => Ok(located),
    }
}

fn down(located: &Located) -> CommandError {
    let why = server::down_reason(&located.dir);
    let why = why.unwrap_or_else(|| "its server died".to_owned());
    let name = located.reference.typed();
    let hint = format!("see `cask log {name}`, then `cask umount {name}` and mount it again");
    CommandError::new(Kind::Failed, format!("{located} is down: {why}")).hint(hint)
}

/// Something in a directory.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    pub(super) attr: Option<Attr>,
    /// Of a symbolic link.
    pub(super) target: Option<Vec<u8>>,
    pub(super) mark: Option<Mark>,
}

/// How something differs from what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// It is another itself.
    Own(ChangeKind, Option<Vec<u8>>),
    /// So many below it are.
    Below(usize),
}

/// A directory in a state of a volume.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) volume: VolumeName,
    pub(super) state: State,
    pub(super) path: TreePath,
    pub(super) page: Page<Item>,
    pub(super) snapshots: Vec<SnapshotInfo>,
    pub(super) against: Option<Compared>,
    /// What has just been put back here.
    pub(super) restored: Option<Vec<u8>>,
}

/// Between which states changes were looked for.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) asked: SnapshotName,
    pub(super) older: SnapshotName,
    pub(super) newer: Option<SnapshotName>,
    /// There were more than were looked at.
    pub(super) is_cut: bool,
}

/// Looks a directory up, and what changed in it against another state.
pub(super) async fn tree(
    site: &Arc<Site>,
    (volume, state, path): (&VolumeName, State, TreePath),
    query: &Fields,
) -> std::result::Result<Tree, Refusal> {
    let (root, name, query) = (site.root.clone(), volume.clone(), query.clone());
    let looked = site.lanes.run(volume, LOOK_MAX, move || {
        let located = open(&root, &name)?;
        let snapshots = snapshot::list(&located, &Op::Snapshots)?;
        let (marks, against) = marks(&located, &state, (&path, &snapshots), &query)?;
        let page = entries(&root, (&name, &state, &path), (&query, marks))?;
        let is_here = |name: &[u8]| page.items.iter().any(|item| item.name == name);
        let restored = query.bytes("restored").filter(|name| is_here(name));
        Ok(Tree {
            restored: restored.map(<[u8]>::to_vec),
            volume: name,
            state,
            path,
            page,
            snapshots,
            against,
        })
    });
    looked.await
}

type Marks = BTreeMap<Vec<u8>, Mark>;

fn entries(
    root: &Root,
    (volume, state, path): (&VolumeName, &State, &TreePath),
    (query, marks): (&Fields, Marks),
) -> Result<Page<Item>> {
    let state = state_ref(volume, state);
    with_source(&state, root, |_, source| {
        let cannot = |e: Failure| explain(e, path);
        let dir = find(source, path.as_path()).map_err(cannot)?;
        if dir.attr.kind != FileKind::Directory {
            let path = path.as_path().display();
            return Err(CommandError::new(
                Kind::NotFound,
                format!("{path} is no directory"),
            ));
        }
        let mut marks = marks.clone();
        let children = source.children(dir.attr.ino).map_err(cannot)?.into_iter();
        let mut all: Vec<Item> = children
            .map(|(name, attr)| Item {
                mark: marks.remove(name.as_bytes()),
                name: name.as_bytes().to_vec(),
                attr: Some(attr),
                target: None,
            })
            .collect();
        // What is there in the other state only.
        all.extend(marks.into_iter().map(|(name, mark)| Item {
            name,
            attr: None,
            target: None,
            mark: Some(mark),
        }));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let mut page = Page::of(all, ENTRIES, query, |item| &item.name);
        read_links(source, &mut page.items).map_err(cannot)?;
        Ok(page)
    })
}

fn read_links(source: &dyn Source, items: &mut [Item]) -> std::result::Result<(), Failure> {
    for item in items {
        let link = item.attr.filter(|attr| attr.kind == FileKind::Symlink);
        if let Some(attr) = link {
            item.target = Some(source.target(attr.ino)?);
        }
    }
    Ok(())
}

pub(super) fn state_ref(volume: &VolumeName, state: &State) -> StateRef {
    StateRef {
        volume: VolumeRef::Name(volume.clone()),
        snapshot: state.snapshot().cloned(),
    }
}

pub(super) fn explain(error: Failure, path: &TreePath) -> CommandError {
    let path = super::escaped::shown(path.as_bytes());
    if error.is_missing() {
        return CommandError::new(Kind::NotFound, format!("there is no /{path} in this state"));
    }
    CommandError::new(kind_of(&error), format!("cannot read /{path}")).because(error)
}

/// Enough was told.
fn enough() -> CommandError {
    CommandError::new(Kind::Unread, "nobody reads more")
}

/// The changes between two states, as far as anybody looks at them, and whether that is all.
fn changes_between(
    located: &Located,
    from: &SnapshotName,
    to: Option<&SnapshotName>,
) -> Result<(Vec<Change>, bool)> {
    if to.is_none() {
        flush(located)?;
    }
    let mut all = Vec::new();
    let compared = compare(located, from, to, |some| {
        all.extend(some);
        if all.len() > CHANGES_MAX {
            Err(enough())
        } else {
            Ok(())
        }
    });
    match compared {
        Ok(()) => Ok((all, false)),
        Err(error) if error.kind() == Kind::Unread => Ok((all, true)),
        Err(error) => Err(error),
    }
}

fn marks(
    located: &Located,
    state: &State,
    (path, snapshots): (&TreePath, &[SnapshotInfo]),
    query: &Fields,
) -> Result<(Marks, Option<Compared>)> {
    let Some(asked) = query.text_or_none("against")? else {
        return Ok((Marks::new(), None));
    };
    let place = |name: &str| snapshots.iter().position(|one| one.name.as_str() == name);
    let at = place(asked).ok_or_else(|| missing(located, asked))?;
    let asked = snapshots[at].name.clone();
    let own = state.snapshot().and_then(|own| place(own.as_str()));
    let (older, newer) = match (state.snapshot(), own) {
        (Some(name), Some(own)) if own < at => (name.clone(), Some(asked.clone())),
        (name, _) => (asked.clone(), name.cloned()),
    };
    let (changes, is_cut) = changes_between(located, &older, newer.as_ref())?;
    let compared = Compared {
        asked,
        older,
        newer,
        is_cut,
    };
    Ok((marks_in(path, changes), Some(compared)))
}

fn missing(located: &Located, name: &str) -> CommandError {
    match name.parse() {
        Ok(name) => no_snapshot(&SnapshotRef {
            volume: located.reference.clone(),
            name,
        }),
        Err(e) => CommandError::new(Kind::Usage, format!("{e}")),
    }
}

/// What of the changes is in this directory, or below it.
fn marks_in(dir: &TreePath, changes: Vec<Change>) -> Marks {
    let mut marks = Marks::new();
    let dir = dir.as_bytes();
    let inside = |path: &[u8]| {
        let rest = path.strip_prefix(dir)?;
        let rest = if dir.is_empty() {
            rest
        } else {
            rest.strip_prefix(b"/")?
        };
        Some(rest.to_vec())
    };
    for change in changes {
        let Some(rest) = inside(&change.path.0) else {
            continue;
        };
        match rest.iter().position(|&byte| byte == b'/') {
            None => {
                let own = Mark::Own(change.kind, change.old_path.map(|old| old.0));
                drop(marks.insert(rest, own));
            }
            Some(slash) => {
                let mark = marks
                    .entry(rest[..slash].to_vec())
                    .or_insert(Mark::Below(0));
                if let Mark::Below(count) = mark {
                    *count += 1;
                }
            }
        }
    }
    marks
}

/// All that changed between two states.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) volume: VolumeName,
    pub(super) from: Option<SnapshotName>,
    pub(super) to: Option<SnapshotName>,
    pub(super) snapshots: Vec<SnapshotInfo>,
    pub(super) page: Page<Change>,
    pub(super) is_cut: bool,
}

/// Looks up what changed between the states that the query names.
pub(super) async fn changes(
    site: &Arc<Site>,
    volume: &VolumeName,
    query: &Fields,
) -> std::result::Result<Changes, Refusal> {
    let (root, name, query) = (site.root.clone(), volume.clone(), query.clone());
    let looked = site.lanes.run(volume, LOOK_MAX, move || {
        let located = open(&root, &name)?;
        let snapshots = snapshot::list(&located, &Op::Snapshots)?;
        let named = |field| {
            let text = query.text_or_none(field)?;
            text.map(|text| {
                text.parse::<SnapshotName>()
                    .map_err(|_| missing(&located, text))
            })
            .transpose()
        };
        let (from, to) = (named("from")?, named("to")?);
        let (all, is_cut) = match &from {
            Some(from) => changes_between(&located, from, to.as_ref())?,
            None => (Vec::new(), false),
        };
        let page = Page::of(all, ENTRIES, &query, |change| &change.path.0);
        Ok(Changes {
            volume: name,
            from,
            to,
            snapshots,
            page,
            is_cut,
        })
    });
    looked.await
}
