//! What a store keeps of what it promises, found out by trying: some accept a condition and ignore it, and some keep it
//! only when nobody else asks at the same time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use serde::{Deserialize, Serialize};

use super::seal::random_bytes;
use super::shelf::s3::TagForm;
use super::shelf::{Key, Shelf, Tag};
use super::{Error, Result};

/// Who asks at once.
const RACERS: u8 = 8;
/// How often.
const ROUNDS: u8 = 5;
/// Bytes of an object that is read while it is replaced.
const TORN_BYTES: usize = 1024 * 1024;
/// How often it is.
const TORN_ROUNDS: u8 = 20;
/// Who reads it meanwhile.
const READERS: usize = 3;

/// What a store can do, beside keeping whole objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ability {
    /// Whether of those that create an object at once one succeeds (`If-None-Match: *`).
    pub creates: bool,
    /// Whether of those that replace one state of an object one succeeds (`If-Match`).
    pub replaces: Replacing,
}

/// Whether, and with what form of a tag, an object is replaced only as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacing {
    /// With the tag as it came.
    Quoted,
    /// With the tag without its quotation marks.
    Bare,
    /// The store does not keep it.
    Never,
}

impl Ability {
    /// Of a store that can do all.
    pub const FULL: Self = Self {
        creates: true,
        replaces: Replacing::Quoted,
    };

    /// Finds out what a store can do; `shelf` opens it with tags of either form.
    ///
    /// # Errors
    /// [`Error::Unfit`] when objects can be seen that are not whole; see [`Shelf`].
    pub(super) fn probe(shelf: &dyn Fn(TagForm) -> Result<Arc<dyn Shelf>>) -> Result<Self> {
        let quoted = shelf(TagForm::Quoted)?;
        let probe = Probe::begin()?;
        let found = probe.run(&quoted, shelf);
        probe.clear(&*quoted);
        found
    }

    /// What works and what does not, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<&'static str> {
        let creates = if self.creates {
            "two that create a repository there at once: one succeeds"
        } else {
            "two that create a repository there at once: both may believe that they did (do not)"
        };
        let replaces = if self.replaces == Replacing::Never {
            "a push that was stopped for hours: it may publish over a cleaning that ran meanwhile"
        } else {
            "a push that was stopped for hours: its publishing is refused if it was given up"
        };
        vec![
            "push, pull, check: yes",
            "objects appear whole: yes",
            creates,
            replaces,
        ]
    }
}

struct Probe {
    dir: String,
}

impl Probe {
    fn begin() -> Result<Self> {
        let name = u64::from_le_bytes(random_bytes()?);
        Ok(Self {
            dir: format!("probe/{name:016x}"),
        })
    }

    fn run(
        &self,
        quoted: &Arc<dyn Shelf>,
        shelf: &dyn Fn(TagForm) -> Result<Arc<dyn Shelf>>,
    ) -> Result<Ability> {
        self.keeps_objects(&**quoted)?;
        self.shows_whole(quoted)?;
        let creates = self.creates(quoted)?;
        let replaces = if self.replaces(quoted)? {
            Replacing::Quoted
        } else if self.replaces(&shelf(TagForm::Bare)?)? {
            Replacing::Bare
        } else {
            Replacing::Never
        };
        Ok(Ability { creates, replaces })
    }

    fn key(&self, name: &str) -> Key {
        Key::new(format!("{}/{name}", self.dir))
    }

    /// What was stored is there, in a list as well, and is gone when it was deleted.
    fn keeps_objects(&self, shelf: &dyn Shelf) -> Result<()> {
        let unfit = |what: &str| Err(Error::Unfit(what.to_owned()));
        let key = self.key("kept");
        shelf.put(&key, b"0123456789".to_vec().into())?;
        if shelf.get(&key)?.0 != b"0123456789" || shelf.get_range(&key, 2..5)? != b"234" {
            return unfit("what was stored is not what is read");
        }
        if !shelf
            .list(&self.dir)?
            .iter()
            .any(|one| one.key == key && one.bytes == 10)
        {
            return unfit("what was stored is in no list");
        }
        // Keys that may not delete are supported: what they leave is small.
        match shelf.delete(&key) {
            Err(Error::Denied { .. }) => return Ok(()),
            deleted => deleted?,
        }
        match shelf.get(&key) {
            Err(Error::Missing { .. }) => Ok(()),
            Ok(_) => unfit("what was deleted is read still"),
            Err(error) => Err(error),
        }
    }

    /// Who reads an object while it is replaced sees the one or the other.
    fn shows_whole(&self, shelf: &Arc<dyn Shelf>) -> Result<()> {
        let key = self.key("whole");
        shelf.put(&key, vec![0; TORN_BYTES].into())?;
        let is_whole = |bytes: &[u8]| {
            bytes.len() == TORN_BYTES && bytes.iter().all(|byte| Some(byte) == bytes.first())
        };
        let writer_is_done = AtomicBool::new(false);
        let read_on = || {
            let mut cut = 0;
            while !writer_is_done.load(Ordering::Acquire) {
                match shelf.get(&key) {
                    Ok((bytes, _)) if is_whole(&bytes) => {}
                    Ok(_) => {
                        let why = "an object was read that was half the old and half the new one";
                        return Err(Error::Unfit(why.to_owned()));
                    }
                    Err(error) if error.is_passing() => cut += 1,
                    Err(error) => return Err(error),
                }
            }
            Ok(cut)
        };
        let cut = thread::scope(|scope| {
            let readers = [(); READERS].map(|()| scope.spawn(read_on));
            let written = (0..TORN_ROUNDS)
                .try_for_each(|round| shelf.put(&key, vec![round; TORN_BYTES].into()));
            writer_is_done.store(true, Ordering::Release);
            let mut cut = 0;
            for reader in readers {
                let read = reader.join();
                cut += read.map_err(|_| Error::Bug("a probe panicked".to_owned()))??;
            }
            written.map(|()| cut)
        })?;
        // Once may be bad luck.
        if cut > 1 && is_whole(&shelf.get(&key)?.0) {
            let why = "an object cannot be read to its end while it is replaced";
            return Err(Error::Unfit(why.to_owned()));
        }
        Ok(())
    }

    fn creates(&self, shelf: &Arc<dyn Shelf>) -> Result<bool> {
        all_rounds(|round| {
            let key = self.key(&format!("create-{round}"));
            let won = race(|racer| shelf.create(&key, vec![racer].into()))?;
            // Afterwards, too: a first try that is refused is no proof.
            Ok(won.len() == 1 && shelf.create(&key, vec![0].into()).is_err())
        })
    }

    fn replaces(&self, shelf: &Arc<dyn Shelf>) -> Result<bool> {
        all_rounds(|round| {
            let key = self.key(&format!("replace-{round}"));
            shelf.put(&key, b"first".to_vec().into())?;
            let (_, tag) = shelf.get(&key)?;
            if tag.0.trim_matches('"').is_empty() {
                return Ok(false);
            }
            let won = race(|racer| {
                // Others than before: tags are hashes of the content where it is one request.
                shelf.replace(&key, format!("{round} {racer}").into_bytes().into(), &tag)
            })?;
            let is_stale_refused = shelf.replace(&key, b"stale".to_vec().into(), &tag).is_err();
            Ok(won.len() == 1 && is_stale_refused)
        })
    }

    fn clear(&self, shelf: &dyn Shelf) {
        let left = shelf.list(&self.dir).unwrap_or_default();
        for listed in left {
            if let Err(error) = shelf.delete(&listed.key) {
                log::debug!("what was tried stays there: {error}");
                return;
            }
        }
    }
}

/// Whether it is so in all rounds, which are at the same time: a store may let those wait that lose a race.
fn all_rounds(is_so: impl Fn(u8) -> Result<bool> + Sync) -> Result<bool> {
    thread::scope(|scope| {
        let is_so = &is_so;
        let rounds = (0..ROUNDS).map(|round| scope.spawn(move || is_so(round)));
        let rounds: Vec<_> = rounds.collect();
        let mut all = true;
        for round in rounds {
            let found = round.join();
            all &= found.map_err(|_| Error::Bug("a probe panicked".to_owned()))??;
        }
        Ok(all)
    })
}

/// Has many do the same at once; what those got who succeeded. A refusal is no error here.
fn race(act: impl Fn(u8) -> Result<Tag> + Sync) -> Result<Vec<Tag>> {
    let barrier = Barrier::new(RACERS.into());
    let outcomes: Vec<_> = thread::scope(|scope| {
        let racers = (0..RACERS).map(|racer| {
            let (barrier, act) = (&barrier, &act);
            scope.spawn(move || {
                barrier.wait();
                act(racer)
            })
        });
        let racers: Vec<_> = racers.collect();
        racers.into_iter().map(|racer| racer.join()).collect()
    });
    let mut won = Vec::new();
    for outcome in outcomes {
        match outcome.map_err(|_| Error::Bug("a probe panicked".to_owned()))? {
            Ok(tag) => won.push(tag),
            Err(Error::Denied { op, object, source }) => {
                return Err(Error::Denied { op, object, source });
            }
            Err(_) => {}
        }
    }
    Ok(won)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::shelf::local::Local;
    use crate::remote::{Bytes, Listed, Memory};
    use std::ops::Range;

    #[test]
    fn honest_stores_can_do_all() {
        let dir = tempfile::tempdir().unwrap();
        let local: Arc<dyn Shelf> = Arc::new(Local::open(dir.path()).unwrap());
        for shelf in [Arc::new(Memory::default()) as Arc<dyn Shelf>, local] {
            let found = Ability::probe(&|_| Ok(Arc::clone(&shelf))).unwrap();
            assert_eq!(found, Ability::FULL);
            assert_eq!(shelf.list("probe").unwrap(), []);
        }
    }

    /// Accepts all conditions and keeps none.
    #[derive(Debug, Default)]
    struct Liar(Memory);

    impl Shelf for Liar {
        fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
            self.0.put(key, bytes)
        }
        fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
            self.0.put(key, bytes)?;
            Ok(Tag("\"1\"".to_owned()))
        }
        fn replace(&self, key: &Key, bytes: Bytes, _: &Tag) -> Result<Tag> {
            self.create(key, bytes)
        }
        fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
            self.0.get(key)
        }
        fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
            self.0.get_range(key, range)
        }
        fn list(&self, dir: &str) -> Result<Vec<Listed>> {
            self.0.list(dir)
        }
        fn delete(&self, key: &Key) -> Result<()> {
            self.0.delete(key)
        }
    }

    #[test]
    fn a_store_that_lies_is_found_out() {
        let shelf: Arc<dyn Shelf> = Arc::new(Liar::default());
        let found = Ability::probe(&|_| Ok(Arc::clone(&shelf))).unwrap();
        assert!(!found.creates);
        assert_eq!(found.replaces, Replacing::Never);
    }
}
