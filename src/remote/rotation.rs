//! Another wrapped key in the place of the one that this host opened its repository with.
//!
//! Whenever it is killed one of the two opens, and the same command again does the rest. It knows nothing of how keys are
//! wrapped. The master key stays as it is, and so do all objects.

use super::directory::{RemoteDir, Settings};
use super::keys::{KeyId, KeySource};
use super::{Error, Repository, Result};

/// Wraps the master key for `source`, notes that as what this host opened it with, and removes the one before; the new
/// key.
///
/// # Errors
/// [`Error::Setting`] when it is not known which key this host uses, or the new one protects nothing; [`Error::LastKey`]
/// when the new one is damaged; [`Error::Host`]; see [`super::Shelf`].
pub fn rotate_key(dir: &RemoteDir, repository: &Repository, source: &KeySource) -> Result<KeyId> {
    source.check()?;
    let mut settings = dir.settings()?;
    // Of a rotation that was killed, perhaps to yet another key.
    retire(dir, repository, &mut settings)?;
    let Some(old) = settings.key.clone() else {
        let why = "this host does not know which key it opened the repository with";
        return Err(Error::Setting(why.to_owned()));
    };
    let fresh = match repository.key_of(source) {
        Err(Error::WrongKey | Error::Newer { .. }) => repository.add_key(source)?,
        // It was stored by a rotation that was killed, or somebody has added it.
        found => found?,
    };
    if fresh != old {
        settings.key = Some(fresh.clone());
        settings.retiring = Some(old);
        // Before the old one goes: what is noted here opens.
        dir.set(&settings)?;
        retire(dir, repository, &mut settings)?;
    }
    Ok(fresh)
}

fn retire(dir: &RemoteDir, repository: &Repository, settings: &mut Settings) -> Result<()> {
    let Some(old) = settings.retiring.take() else {
        return Ok(());
    };
    match repository.remove_key(&old) {
        Err(Error::NotThere(_)) => {}
        removed => removed?,
    }
    dir.set(settings)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::remote::shelf::local::Local;
    use crate::remote::{
        Ability, Bytes, Key, Listed, Making, NewRemote, Passphrase, Remotes, Shelf, Tag,
    };

    /// Answers so many requests, and then none: what a kill leaves.
    #[derive(Debug)]
    struct Ending(Local, AtomicU64);

    impl Ending {
        fn ask(&self) -> Result<&Local> {
            let left = self
                .1
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
            match left {
                Ok(_) => Ok(&self.0),
                Err(_) => Err(Error::Bug("killed".to_owned())),
            }
        }
    }

    impl Shelf for Ending {
        fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
            self.ask()?.put(key, bytes)
        }
        fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
            self.ask()?.create(key, bytes)
        }
        fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
            self.ask()?.replace(key, bytes, tag)
        }
        fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
            self.ask()?.get(key)
        }
        fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
            self.ask()?.get_range(key, range)
        }
        fn list(&self, dir: &str) -> Result<Vec<Listed>> {
            self.ask()?.list(dir)
        }
        fn delete(&self, key: &Key) -> Result<()> {
            self.ask()?.delete(key)
        }
    }

    fn file(byte: u8) -> KeySource {
        KeySource::KeyFile(Passphrase::new(vec![byte; 32]))
    }

    fn made(below: &Path) -> RemoteDir {
        let remotes = Remotes::below(below);
        let new = NewRemote {
            url: format!("file://{}", below.join("store").display())
                .parse()
                .unwrap(),
            endpoint: None,
            region: None,
        };
        let name = "r".parse().unwrap();
        remotes.add(&name, &new, &file(1), Making::New).unwrap();
        remotes.dir_of(&name)
    }

    fn opens(below: &Path, byte: u8) -> bool {
        let shelf = Arc::new(Local::open(&below.join("store")).unwrap());
        Repository::unlock(shelf, Ability::FULL, &file(byte)).is_ok()
    }

    /// Rotates to the key of this byte, with so many requests; whether that was enough.
    fn rotated(below: &Path, dir: &RemoteDir, byte: u8, requests: u64) -> bool {
        let whole = dir.open().unwrap();
        let local = Local::open(&below.join("store")).unwrap();
        // One more, by which it is opened.
        let shelf = Arc::new(Ending(local, AtomicU64::new(requests + 1)));
        let (id, master) = (whole.id(), whole.master().clone());
        let repository = Repository::open(shelf, Ability::FULL, id, master).unwrap();
        rotate_key(dir, &repository, &file(byte)).is_ok()
    }

    #[test]
    fn a_rotation_that_is_killed_leaves_a_key_and_is_gone_on_with() {
        for requests in 0.. {
            let below = tempfile::tempdir().unwrap();
            let (below, dir) = (below.path(), made(below.path()));
            let is_done = rotated(below, &dir, 2, requests);
            assert!(opens(below, 1) || opens(below, 2), "after {requests}");
            assert!(rotated(below, &dir, 2, 1000), "after {requests}");
            assert!(opens(below, 2) && !opens(below, 1), "after {requests}");
            let keys = dir.open().unwrap().keys().unwrap();
            assert_eq!(keys.whole.len(), 1, "after {requests}");
            let settings = dir.settings().unwrap();
            assert_eq!(settings.key.as_ref(), Some(&keys.whole[0].id));
            assert_eq!(settings.retiring, None);
            if is_done {
                assert!(requests > 5, "it took {requests} requests");
                return;
            }
        }
    }

    #[test]
    fn a_rotation_that_was_killed_is_ended_by_one_to_another_key() {
        for requests in 0.. {
            let below = tempfile::tempdir().unwrap();
            let (below, dir) = (below.path(), made(below.path()));
            let is_done = rotated(below, &dir, 2, requests);
            assert!(rotated(below, &dir, 3, 1000), "after {requests}");
            assert!(opens(below, 3) && !opens(below, 1), "after {requests}");
            if is_done {
                return;
            }
        }
    }
}
