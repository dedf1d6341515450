//! Where volumes lie: the directory of named ones, and what is done to a whole volume that is closed.
//!
//! A volume appears under its name when it is complete, and disappears from it before it is taken
//! apart: both by a rename, so a crash leaves a whole volume or none. What it may leave is a
//! `.new-*` or `.trash-*` directory, which the next creation or removal clears away.
//!
//! Locks, in this order: the store's, then a volume's. The store's is for names only: what takes as long as
//! its input does (an import, a clone) is done without it.

mod footprint;
mod making;
mod names;
mod trash;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

pub use super::config::edit;
pub use super::lock::DirLock;
use crate::durable;
use crate::types::{VolumeId, VolumeName};
use crate::volume::config::{Config, RootOwner, lock_edits};
use crate::volume::durability::state::noted_logical_bytes;
use crate::volume::elsewhere::Rows;
use crate::volume::error::{Error, Result};
use crate::volume::life::create;
pub use footprint::Footprint;
use making::Making;
use names::{FRESH, TRASH, is_leftover, unique};
pub use trash::Trashed;

const STORE_LOCK: &str = ".lock";

/// A directory of named volumes.
#[derive(Debug, Clone)]
pub struct Store {
    volumes: PathBuf,
    trash: PathBuf,
}

impl Store {
    /// The store below `root`, which need not exist yet.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            volumes: root.join("volumes"),
            trash: root.join("trash"),
        }
    }

    /// The directories that hold what belongs to its volumes: no place for anything else.
    #[must_use]
    pub fn places(&self) -> Vec<PathBuf> {
        let root = self.volumes.parent().map(Path::to_owned);
        let both = [self.volumes.clone(), self.trash.clone()];
        root.into_iter().chain(both).collect()
    }

    /// The directory of the volume of this name, whether there is one or not.
    #[must_use]
    pub fn dir_of(&self, name: &VolumeName) -> PathBuf {
        self.volumes.join(name.as_str())
    }

    /// The names of all volumes, sorted.
    ///
    /// # Errors
    /// When the store cannot be read; one that does not exist is empty.
    pub fn names(&self) -> Result<Vec<VolumeName>> {
        let cannot = |e| Error::storage(format!("cannot read {}", self.volumes.display()), e);
        let entries = match fs::read_dir(&self.volumes) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            outcome => outcome.map_err(cannot)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(cannot)?;
            let name = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if entry.file_type().map_err(cannot)?.is_dir() {
                names.extend(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes a new, empty volume.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Storage`]. Nothing is left of it then.
    pub fn create(&self, name: &VolumeName, config: &Config, root: RootOwner) -> Result<()> {
        self.build(name, |fresh| create(fresh, config, root))
    }

    /// Makes a volume by `build`, which gets the directory to make it in; it appears under its name when that
    /// has succeeded. Other volumes are made, named and removed meanwhile.
    ///
    /// # Errors
    /// [`Error::Exists`], also when somebody else was faster; those of `build`; [`Error::Storage`]. Nothing is left of
    /// it then.
    pub fn build<E: From<Error>>(
        &self,
        name: &VolumeName,
        build: impl FnOnce(&Path) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let dir = self.dir_of(name);
        let making = {
            let _lock = self.lock()?;
            self.clear_away();
            refuse_taken(&dir)?;
            Making::begin(&self.volumes)?
        };
        let built = build(making.fresh()).and_then(|()| {
            let _lock = self.lock()?;
            Ok(place(making.fresh(), &dir)?)
        });
        if built.is_err() {
            give_up(making.fresh());
        }
        built
    }

    /// Gives a volume that nobody has open another name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], [`Error::Exists`]; [`Error::Storage`].
    pub fn rename(&self, old: &VolumeName, new: &VolumeName) -> Result<()> {
        let _lock = self.lock()?;
        let (old, new) = (self.dir_of(old), self.dir_of(new));
        let _closed = lock_closed(&old)?;
        if new.symlink_metadata().is_ok() {
            return Err(Error::Exists);
        }
        durable::rename(&old, &new)
            .map_err(|e| Error::storage(format!("cannot rename {}", old.display()), e))
    }

    /// Removes a volume that nobody has open.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InUse`], [`Error::Protected`]; [`Error::Storage`].
    pub fn remove(&self, name: &VolumeName) -> Result<()> {
        self.take_apart(&self.dir_of(name), |_| Ok(()))
    }

    /// The same for one volume and no other that has got its name meanwhile.
    ///
    /// # Errors
    /// Those of [`Self::remove`]; [`Error::NotFound`] when the name is another's.
    pub fn remove_known(&self, name: &VolumeName, uuid: VolumeId) -> Result<()> {
        self.take_apart(&self.dir_of(name), |dir| {
            let is_it = Config::load(dir).is_ok_and(|found| found.uuid == uuid);
            is_it.then_some(()).ok_or(Error::NotFound)
        })
    }

    /// The directories that killed commands left half made or half removed, which nobody works on any more.
    ///
    /// # Errors
    /// [`Error::Storage`]; a store that does not exist has none.
    pub fn unfinished(&self) -> Result<Vec<PathBuf>> {
        if !self.volumes.exists() {
            return Ok(Vec::new());
        }
        let _lock = self.lock()?;
        Ok(leftovers(names::unnamed(&self.volumes)).collect())
    }

    /// Takes a volume apart that was in `dir`, anywhere below the root.
    fn take_apart(&self, dir: &Path, check: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let lock = self.lock()?;
        check(dir)?;
        let trash = discard(dir, self.volumes.join(unique(TRASH)))?;
        self.clear_away_but(&trash);
        // Deleting takes as long as there is much to delete: others go on meanwhile.
        drop(lock);
        delete(&trash)
    }

    fn lock(&self) -> Result<File> {
        let cannot = |e: io::Error| {
            Error::storage(
                format!("cannot use the store {}", self.volumes.display()),
                e,
            )
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.volumes)
            .map_err(cannot)?;
        let mut options = File::options();
        let options = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options
            .open(self.volumes.join(STORE_LOCK))
            .map_err(cannot)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
        Ok(file)
    }

    fn clear_away(&self) {
        self.clear_away_but(Path::new(""));
    }

    fn clear_away_but(&self, kept: &Path) {
        let unnamed = names::unnamed(&self.volumes);
        making::clear_away(&unnamed);
        for path in leftovers(unnamed).filter(|path| path != kept) {
            if let Err(e) = delete(&path) {
                log::warn!("cannot clear away {}: {e}", path.display());
            }
        }
    }
}

/// What interrupted creations and removals left of what is [`names::unnamed`]. Needs the store's lock, by which whoever
/// makes a volume has said so.
fn leftovers(unnamed: Vec<PathBuf>) -> impl Iterator<Item = PathBuf> {
    let unnamed = unnamed.into_iter();
    unnamed.filter(|path| is_leftover(path) && !making::is_made(path))
}

/// Makes a new, empty volume in `dir`, which must not exist, or be an empty directory.
///
/// # Errors
/// [`Error::Exists`]; [`Error::Storage`]. Nothing is left of it then.
pub fn create_at(dir: &Path, config: &Config, root: RootOwner) -> Result<()> {
    build_at(dir, |fresh| create(fresh, config, root))
}

/// As [`Store::build`], for a volume that is named by its directory, which must not exist, or be empty.
///
/// # Errors
/// [`Error::Exists`]; those of `build`; [`Error::Storage`]. Nothing is left of it then.
pub fn build_at<E: From<Error>>(
    dir: &Path,
    build: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    refuse_taken(dir)?;
    let fresh = beside(dir, FRESH);
    let built = build(&fresh).and_then(|()| place(&fresh, dir).map_err(E::from));
    if built.is_err() {
        give_up(&fresh);
    }
    built
}

fn refuse_taken(dir: &Path) -> Result<()> {
    let occupied = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || dir.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
        return Err(Error::Exists);
    }
    Ok(())
}

fn give_up(fresh: &Path) {
    if let Err(e) = delete(fresh) {
        log::warn!("cannot clear away {}: {e}", fresh.display());
    }
}

pub(super) fn place(fresh: &Path, dir: &Path) -> Result<()> {
    // rename(2) puts a directory in the place of one that is empty, and of nothing else.
    durable::rename(fresh, dir).map_err(|e| {
        let is_taken = matches!(
            e.kind(),
            io::ErrorKind::DirectoryNotEmpty
                | io::ErrorKind::AlreadyExists
                | io::ErrorKind::NotADirectory
        );
        if is_taken {
            return Error::Exists;
        }
        Error::storage(format!("cannot create {}", dir.display()), e)
    })
}

/// Removes the volume in `dir`, which nobody has open.
///
/// # Errors
/// [`Error::NotFound`], [`Error::InUse`], [`Error::Protected`]; [`Error::Storage`].
pub fn remove_at(dir: &Path) -> Result<()> {
    delete(&discard(dir, beside(dir, TRASH))?)
}

/// Removes one of [`Store::unfinished`]. Nobody makes a directory of that name again.
///
/// # Errors
/// [`Error::Storage`] where the host fails.
pub fn remove_unfinished(dir: &Path) -> Result<()> {
    delete(dir)
}

/// What the files of the volume in `dir` hold, each byte as often as it is in a file, for a volume that nobody has open.
/// Nothing is opened for it: `None` where nobody noted it, as of a volume whose server was killed, or that was cloned and
/// not used yet.
#[must_use]
pub fn logical_bytes(dir: &Path) -> Option<u64> {
    let config = Config::load(dir).ok()?;
    match config.origin {
        Some(origin) if origin.rows == Rows::Elsewhere => None,
        Some(_) | None => noted_logical_bytes(dir),
    }
}

/// Bytes that `dir` and all below it take on the host. Files that vanish meanwhile count nothing.
#[must_use]
pub fn host_bytes(dir: &Path) -> u64 {
    Footprint::of(dir).bytes()
}

fn lock_closed(dir: &Path) -> Result<DirLock> {
    // Else a volume that is not there would be an error of the host, which has no place for the lock's file.
    match dir.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NotFound),
        Ok(_) | Err(_) => DirLock::take(dir),
    }
}

/// A volume that may be taken away, for as long as this is held: nobody opens it, and nobody protects it.
struct Removable {
    _edits: File,
    _closed: DirLock,
}

impl Removable {
    fn take(dir: &Path) -> Result<Self> {
        let closed = lock_closed(dir)?;
        let edits = lock_edits(dir)?;
        if Config::is_protected(dir) {
            return Err(Error::Protected);
        }
        Ok(Self {
            _edits: edits,
            _closed: closed,
        })
    }
}

/// Moves a closed volume out of its name, to where it is `trash`.
fn discard(dir: &Path, trash: PathBuf) -> Result<PathBuf> {
    let _removable = Removable::take(dir)?;
    durable::rename(dir, &trash)
        .map_err(|e| Error::storage(format!("cannot remove {}", dir.display()), e))?;
    Ok(trash)
}

fn delete(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::storage(
            format!("cannot delete {}", dir.display()),
            e,
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn beside(dir: &Path, prefix: &str) -> PathBuf {
    dir.with_file_name(unique(prefix))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::ChunkBytes;
    use crate::volume::Protection;

    pub(super) const OWNER: RootOwner = RootOwner {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };

    pub(super) fn config() -> Config {
        Config::new(ChunkBytes::DEFAULT, std::collections::BTreeMap::new())
    }

    pub(super) fn name(text: &str) -> VolumeName {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_taken_once_and_leftovers_cleared_away() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        assert!(store.names().unwrap().is_empty());
        store.create(&name("b"), &config(), OWNER).unwrap();
        store.create(&name("a"), &config(), OWNER).unwrap();
        assert!(matches!(
            store.create(&name("a"), &config(), OWNER),
            Err(Error::Exists)
        ));
        let half = root
            .path()
            .join(format!("volumes/{FRESH}{}", VolumeId::random()));
        fs::create_dir(&half).unwrap();
        fs::create_dir(root.path().join("volumes/.new-mine")).unwrap();
        assert_eq!(store.names().unwrap(), [name("a"), name("b")]);
        store.remove(&name("a")).unwrap();
        assert!(!half.exists());
        assert!(root.path().join("volumes/.new-mine").exists());
        assert!(matches!(store.remove(&name("a")), Err(Error::NotFound)));
    }

    #[test]
    fn other_names_come_and_go_while_a_volume_is_made() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.create(&name("a"), &config(), OWNER).unwrap();
        let built = store.build(&name("slow"), |fresh| {
            super::create(fresh, &config(), OWNER)?;
            store.create(&name("b"), &config(), OWNER)?;
            store.rename(&name("b"), &name("c"))?;
            store.remove(&name("a"))?;
            assert_eq!(store.unfinished()?, [""; 0].map(PathBuf::from));
            assert!(fresh.is_dir(), "what is being made was cleared away");
            Ok::<_, Error>(())
        });
        built.unwrap();
        assert_eq!(store.names().unwrap(), [name("c"), name("slow")]);
        let taken = store.build(&name("d"), |fresh| {
            store.create(&name("d"), &config(), OWNER)?;
            super::create(fresh, &config(), OWNER)
        });
        assert!(matches!(taken, Err(Error::Exists)), "{taken:?}");
        let left = fs::read_dir(root.path().join("volumes")).unwrap();
        let left = left.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with('.') && name != STORE_LOCK
        });
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn what_is_open_stays() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.create(&name("a"), &config(), OWNER).unwrap();
        let held = DirLock::take(&store.dir_of(&name("a"))).unwrap();
        assert!(matches!(store.remove(&name("a")), Err(Error::InUse { .. })));
        assert!(matches!(
            store.rename(&name("a"), &name("b")),
            Err(Error::InUse { .. })
        ));
        drop(held);
        store.rename(&name("a"), &name("b")).unwrap();
        assert_eq!(store.names().unwrap(), [name("b")]);
    }

    #[test]
    fn a_known_volume_goes_and_no_other_that_has_its_name() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        let uuid = || Config::load(&store.dir_of(&name("a"))).unwrap().uuid;
        store.create(&name("a"), &config(), OWNER).unwrap();
        let first = uuid();
        store.remove(&name("a")).unwrap();
        store.create(&name("a"), &config(), OWNER).unwrap();
        let other = store.remove_known(&name("a"), first);
        assert!(matches!(other, Err(Error::NotFound)), "{other:?}");
        store.remove_known(&name("a"), uuid()).unwrap();
        assert!(store.names().unwrap().is_empty());
    }

    #[test]
    fn what_is_protected_stays() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.create(&name("a"), &config(), OWNER).unwrap();
        let dir = store.dir_of(&name("a"));
        edit(&dir, |config| config.protection = Protection::On).unwrap();
        for refused in [
            store.remove(&name("a")),
            remove_at(&dir),
            store.trash(&name("a"), Duration::ZERO).map(drop),
        ] {
            assert!(matches!(refused, Err(Error::Protected)), "{refused:?}");
        }
        assert_eq!(store.names().unwrap(), [name("a")]);
    }
}
