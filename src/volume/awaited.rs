//! A volume that is used before it has tables: what files there are is read out of the repository, block by block, while
//! all of it is fetched. What would change something waits for that.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::arriving::{Arriving, make_dirs};
use super::config::{Config, edit};
use super::elsewhere::{Rows, Source};
use super::error::{Error, Result};
use super::lock::DirLock;
use super::ops::list::{DirEntry, below};
use super::space::statfs::{Room, room_in};
use crate::durable;
use crate::remote::{self, PushedTree};
use crate::types::{Attr, FileKind, Ino, Name};

/// After a request that failed for now.
const PAUSE: Duration = Duration::from_millis(300);

/// A volume whose tables are to come, with its lock.
#[derive(Debug)]
pub struct Awaited {
    dir: PathBuf,
    config: Config,
    source: Source,
    tree: Mutex<Option<Arc<PushedTree>>>,
    loading: Mutex<Loading>,
    /// It has ended, whatever came of it.
    loaded: Condvar,
    /// Nothing once it is given up.
    lock: Mutex<Option<DirLock>>,
}

/// What is done with the directory.
#[derive(Debug, Default)]
struct Loading {
    is_under_way: bool,
    is_closing: bool,
}

impl Awaited {
    /// Makes such a volume in `dir`, which must not exist; its parent must.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Storage`].
    pub fn make(dir: &Path, config: &Config) -> Result<()> {
        make_dirs(dir)?;
        config.store(dir)?;
        let synced = durable::sync_parent(dir);
        synced.map_err(|e| Error::storage(format!("cannot sync {}", dir.display()), e))
    }

    /// Whether the volume in `dir` is one.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn is_in(dir: &Path) -> Result<bool> {
        let origin = Config::load(dir)?.origin;
        Ok(origin.is_some_and(|origin| origin.rows == Rows::Elsewhere))
    }

    /// Opens the one in `dir`; `held` is its lock, where another process had it.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAVolume`] when it is none that waits; [`Error::Storage`].
    pub fn open(dir: &Path, held: Option<DirLock>) -> Result<Self> {
        let dir = dir
            .canonicalize()
            .map_err(|e| Error::storage(format!("cannot resolve {}", dir.display()), e))?;
        let lock = match held {
            Some(lock) => lock,
            None => DirLock::take(&dir)?,
        };
        let config = Config::load(&dir)?;
        let origin = config.origin.clone().ok_or_else(|| Error::NotAVolume {
            dir: dir.clone(),
            reason: "it has neither tables nor an origin".to_owned(),
        })?;
        Ok(Self {
            source: Source::new(origin, &dir),
            dir,
            config,
            tree: Mutex::default(),
            loading: Mutex::default(),
            loaded: Condvar::new(),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// What `volume.json` said when it was opened.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The volume's directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The snapshot that it waits for, as users name it.
    #[must_use]
    pub fn snapshot(&self) -> &str {
        &self.source.origin().snapshot
    }

    /// A copy of the lock on the volume's directory: whoever has it holds the lock, too.
    ///
    /// # Errors
    /// When it is given up, or cannot be copied.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        let lock = self.lock.lock();
        let held = lock.as_ref().ok_or(io::ErrorKind::NotFound)?;
        held.as_fd().try_clone_to_owned()
    }

    /// Fetches all that tells of files, and makes tables of it: from then on the volume can be opened.
    ///
    /// # Errors
    /// [`Error::Remote`], [`Error::NoSpace`], [`Error::Storage`]; it can be tried again. [`Error::Awaited`] after
    /// [`Self::close`].
    pub fn load(&self) -> Result<()> {
        let mut loading = self.loading.lock();
        if loading.is_closing {
            return Err(Error::Awaited);
        }
        loading.is_under_way = true;
        drop(loading);
        let loaded = self.load_all();
        self.loading.lock().is_under_way = false;
        self.loaded.notify_all();
        loaded
    }

    /// Has [`Self::load`] end, and gives up the lock; whether that was within `limit`.
    #[must_use]
    pub fn close(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut loading = self.loading.lock();
        loading.is_closing = true;
        while loading.is_under_way {
            if self.loaded.wait_until(&mut loading, until).timed_out() {
                return false;
            }
        }
        drop(loading);
        drop(self.lock.lock().take());
        true
    }

    fn load_all(&self) -> Result<()> {
        let goes_on = || match self.loading.lock().is_closing {
            true => Err(Error::Awaited),
            false => Ok(()),
        };
        let failed = |error| Error::Remote(Arc::new(error));
        // Before all of it: somebody may wait for what he looks at first.
        self.tree(None).map_err(failed)?;
        let pin = self.source.origin().pin;
        // Not to be retried bit by bit: what fails begins anew.
        let repository = self.source.ask(|repository| Ok(repository.clone()));
        let repository = repository.map_err(failed)?;
        self.source.keep_pinned().map_err(failed)?;
        let snapshot = self.source.ask(|repository| repository.pinned(&pin));
        let snapshot = snapshot.map_err(failed)?;
        let mut arriving = Arriving::begin_in(&self.dir, &self.config)?;
        arriving.take_rows(&repository, &snapshot, goes_on)?;
        arriving.leave_chunks()?;
        arriving.finish_by(snapshot.numbers, |dir, _| {
            goes_on()?;
            edit(dir, |config| {
                if let Some(origin) = &mut config.origin {
                    origin.rows = Rows::Here;
                }
            })
        })
    }

    /// The attributes of an inode. This and what follows waits for the repository, while `goes_on` says so.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Remote`].
    pub fn getattr(&self, ino: Ino, goes_on: &dyn Fn() -> bool) -> Result<Attr> {
        self.look(goes_on, |tree| tree.attr(ino))?
            .ok_or(Error::NotFound)
    }

    /// The inode that `name` in `parent` leads to.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn lookup(&self, parent: Ino, name: &Name, goes_on: &dyn Fn() -> bool) -> Result<Attr> {
        let found = self.look(goes_on, |tree| tree.lookup(parent, name))?;
        found.ok_or(Error::NotFound)
    }

    /// The directory that holds the directory `ino`; the root holds itself.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn parent(&self, ino: Ino, goes_on: &dyn Fn() -> bool) -> Result<Ino> {
        let found = self.look(goes_on, |tree| tree.rows().inode(ino.raw()))?;
        found
            .map(|row| Ino::from_raw(row.parent))
            .ok_or(Error::NotFound)
    }

    /// As [`super::Volume::list`].
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn list(&self, dir: Ino, after: u64, limit: usize) -> Result<Vec<DirEntry>> {
        let below = below(after);
        let found = self.look(&|| true, |tree| {
            let mut entries = tree.rows().entries(dir.raw())?;
            entries.retain(|entry| entry.cookie < below);
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.cookie));
            entries.truncate(limit);
            let listed = entries.into_iter().map(|entry| {
                let attr = tree.attr(Ino::from_raw(entry.ino))?;
                Ok((entry, attr))
            });
            listed.collect::<remote::Result<Vec<_>>>()
        })?;
        let listed = found.into_iter().map(|(entry, attr)| {
            Ok(DirEntry {
                cookie: entry.cookie,
                name: Name::parse(&entry.name)?.to_owned(),
                attr: attr.ok_or_else(|| Error::Corrupt("an entry leads nowhere".to_owned()))?,
            })
        });
        listed.collect()
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn readlink(&self, ino: Ino, goes_on: &dyn Fn() -> bool) -> Result<Vec<u8>> {
        let found = self.look(goes_on, |tree| tree.target(ino))?;
        found.ok_or(Error::NotFound)
    }

    /// All extended attributes, by name.
    ///
    /// # Errors
    /// See [`Self::getattr`].
    pub fn xattrs(&self, ino: Ino, goes_on: &dyn Fn() -> bool) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.look(goes_on, |tree| tree.xattrs(ino))
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// See [`Self::getattr`]; [`Error::NoAttribute`].
    pub fn xattr(&self, ino: Ino, key: &[u8], goes_on: &dyn Fn() -> bool) -> Result<Vec<u8>> {
        let all = self.xattrs(ino, goes_on)?.into_iter();
        let mut found = all.filter(|(name, _)| name == key);
        Ok(found.next().ok_or(Error::NoAttribute)?.1)
    }

    /// As [`super::Volume::read`].
    ///
    /// # Errors
    /// See [`Self::getattr`]; [`Error::IsDirectory`], [`Error::Invalid`].
    pub fn read(
        &self,
        ino: Ino,
        offset: u64,
        len: usize,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>> {
        let attr = self.getattr(ino, goes_on)?;
        match attr.kind {
            FileKind::File => self.look(goes_on, |tree| tree.read(&attr, offset, len)),
            FileKind::Directory => Err(Error::IsDirectory),
            _ => Err(Error::Invalid),
        }
    }

    /// What there is room for on the host.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn room(&self) -> Result<Room> {
        room_in(&self.dir)
    }

    /// Asks until there is an answer, or it takes too long.
    fn look<T>(
        &self,
        goes_on: &dyn Fn() -> bool,
        look: impl Fn(&PushedTree) -> remote::Result<T>,
    ) -> Result<T> {
        let limit = self.source.origin().deadline.time();
        let until = limit.map(|limit| Instant::now() + limit);
        loop {
            let looked = self
                .tree(until)
                .and_then(|tree| self.source.ask(|_| look(&tree)));
            match looked {
                Err(error) if error.is_passing() && goes_on() => {
                    if until.is_some_and(|until| Instant::now() + PAUSE >= until) {
                        return Err(Error::Remote(Arc::new(error)));
                    }
                    thread::sleep(PAUSE);
                }
                looked => return looked.map_err(|error| Error::Remote(Arc::new(error))),
            }
        }
    }

    fn late(&self) -> remote::Error {
        remote::Error::Unreachable {
            op: "fetch from",
            object: self.snapshot().to_owned(),
            source: "it did not come in time".into(),
        }
    }

    fn tree(&self, until: Option<Instant>) -> remote::Result<Arc<PushedTree>> {
        // Held while it is opened: whoever comes meanwhile needs the same, and waits no longer than he may.
        let held = match until {
            Some(until) => self.tree.try_lock_until(until),
            None => Some(self.tree.lock()),
        };
        let mut tree = held.ok_or_else(|| self.late())?;
        if let Some(tree) = &*tree {
            return Ok(Arc::clone(tree));
        }
        let opened = match self.open_tree() {
            // It was not renewed for a day.
            Err(remote::Error::Missing { .. }) => {
                self.source.keep_pinned()?;
                self.open_tree()
            }
            opened => opened,
        };
        let opened = Arc::new(opened?);
        *tree = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn open_tree(&self) -> remote::Result<PushedTree> {
        let pin = self.source.origin().pin;
        self.source.ask(|repository| {
            let snapshot = repository.pinned(&pin)?;
            PushedTree::open(repository, &snapshot)
        })
    }
}
