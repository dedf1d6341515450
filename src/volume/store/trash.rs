//! The trash: volumes that were moved aside, each until it is due.
//!
//! `<root>/trash/NAME@SINCE@DUE`, the times in UTC: the directory's name is all that is noted, so that one
//! rename moves a volume, and says so, or does neither.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Removable, Store, lock_closed};
use crate::durable;
use crate::types::VolumeName;
use crate::volume::error::{Error, Result};

/// Two volumes of one name never go in the same of these.
const TICK: SignedDuration = SignedDuration::from_millis(1);
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

/// A volume in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// What it was called.
    pub name: VolumeName,
    /// When it was moved there.
    pub since: Timestamp,
    /// When it may be removed.
    pub due: Timestamp,
    /// Where it is.
    pub dir: PathBuf,
}

impl Trashed {
    fn parse(dir: PathBuf) -> Option<Self> {
        let mut parts = dir.file_name()?.to_str()?.split('@');
        let name = parts.next()?.parse().ok()?;
        let since = parts.next()?.parse().ok()?;
        let due = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self {
            name,
            since,
            due,
            dir,
        })
    }
}

impl Store {
    /// Moves a volume that nobody has open to the trash: its name is free then.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], [`Error::Protected`]; [`Error::Storage`]. The volume is in one of the two
    /// places, after a crash, too.
    pub fn trash(&self, name: &VolumeName, keep: Duration) -> Result<Trashed> {
        let _lock = self.lock()?;
        let dir = self.dir_of(name);
        let _removable = Removable::take(&dir)?;
        make_dir(&self.trash)?;
        let place = self.place_for(name, keep)?;
        durable::rename(&dir, &place.dir).map_err(|e| {
            Error::storage(format!("cannot move {} to the trash", dir.display()), e)
        })?;
        Ok(place)
    }

    /// What is in the trash, by name, and of one name the oldest first.
    ///
    /// # Errors
    /// When the trash cannot be read; one that does not exist is empty.
    pub fn trashed(&self) -> Result<Vec<Trashed>> {
        let cannot = |e| Error::storage(format!("cannot read {}", self.trash.display()), e);
        let entries = match fs::read_dir(&self.trash) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.map_err(cannot)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            found.extend(Trashed::parse(entry.map_err(cannot)?.path()));
        }
        found.sort_by(|a, b| (&a.name, a.since).cmp(&(&b.name, b.since)));
        Ok(found)
    }

    /// Brings a volume back out of the trash, under this name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], [`Error::Exists`]; [`Error::Storage`].
    pub fn restore(&self, trashed: &Trashed, name: &VolumeName) -> Result<()> {
        let _lock = self.lock()?;
        let _closed = lock_closed(&trashed.dir)?;
        let dir = self.dir_of(name);
        if dir.symlink_metadata().is_ok() {
            return Err(Error::Exists);
        }
        durable::rename(&trashed.dir, &dir)
            .map_err(|e| Error::storage(format!("cannot bring back {}", trashed.dir.display()), e))
    }

    /// Removes a volume that is in the trash.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], [`Error::Protected`]; [`Error::Storage`].
    pub fn remove_trashed(&self, trashed: &Trashed) -> Result<()> {
        self.take_apart(&trashed.dir, |_| Ok(()))
    }

    /// The newest of a name is the one that went last, also when the clock was set back meanwhile.
    fn place_for(&self, name: &VolumeName, keep: Duration) -> Result<Trashed> {
        let now = Timestamp::now();
        let before = self.trashed()?.into_iter().filter(|one| one.name == *name);
        let after = before.map(|one| later(one.since, TICK)).max();
        let since = after.map_or(now, |after| after.max(now));
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        let due = later(now, keep);
        let called = format!("{name}@{}@{}", since.strftime(TIME), due.strftime(TIME));
        Ok(Trashed {
            name: name.clone(),
            since,
            due,
            dir: self.trash.join(called),
        })
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Makes a directory that a crash does not take away again.
fn make_dir(dir: &Path) -> Result<()> {
    let made = match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    };
    made.and_then(|()| durable::sync_parent(dir))
        .map_err(|e| Error::storage(format!("cannot make {}", dir.display()), e))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{OWNER, config, name};
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn stored() -> (tempfile::TempDir, Store) {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.create(&name("a"), &config(), OWNER).unwrap();
        (root, store)
    }

    #[test]
    fn what_goes_to_the_trash_comes_back() {
        let (root, store) = stored();
        let gone = store.trash(&name("a"), DAY).unwrap();
        assert!(store.names().unwrap().is_empty());
        let found = store.trashed().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].name, &found[0].dir), (&gone.name, &gone.dir));
        let kept = found[0].due.duration_since(found[0].since);
        assert!((kept.as_secs() - 86_400).abs() <= 1, "{kept}");
        std::fs::create_dir(root.path().join("trash/something else")).unwrap();
        store.restore(&found[0], &name("b")).unwrap();
        assert_eq!(store.names().unwrap(), [name("b")]);
        assert!(store.trashed().unwrap().is_empty());
        let again = store.restore(&gone, &name("c"));
        assert!(matches!(again, Err(Error::NotFound)), "{again:?}");
    }

    #[test]
    fn the_last_to_go_is_the_newest_of_its_name() {
        let (_root, store) = stored();
        let mut places = Vec::new();
        for _ in 0..5 {
            places.push(store.trash(&name("a"), DAY).unwrap().dir);
            store.create(&name("a"), &config(), OWNER).unwrap();
        }
        let found = store.trashed().unwrap().into_iter();
        assert_eq!(found.map(|one| one.dir).collect::<Vec<_>>(), places);
    }

    #[test]
    fn a_keep_without_end_is_kept_for_ever() {
        let (_root, store) = stored();
        let gone = store.trash(&name("a"), Duration::MAX).unwrap();
        let found = store.trashed().unwrap();
        assert_eq!(found[0].dir, gone.dir);
        assert!(found[0].due.to_string().starts_with("9999"));
    }

    #[test]
    fn what_is_open_neither_goes_nor_comes() {
        let (_root, store) = stored();
        let held = super::super::DirLock::take(&store.dir_of(&name("a"))).unwrap();
        let kept = store.trash(&name("a"), DAY);
        assert!(matches!(kept, Err(Error::InUse { .. })), "{kept:?}");
        drop(held);
        let gone = store.trash(&name("a"), DAY).unwrap();
        let held = super::super::DirLock::take(&gone.dir).unwrap();
        for refused in [
            store.restore(&gone, &name("a")),
            store.remove_trashed(&gone),
        ] {
            assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
        }
        drop(held);
        store.remove_trashed(&gone).unwrap();
        assert!(store.trashed().unwrap().is_empty());
    }
}
