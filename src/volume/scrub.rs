//! The scrub: stored bytes are read again from the disk, a little at a time, and damage is reported before anybody
//! meets it. Where it is, and what it found, outlives the server (`scrub` in the volume's directory).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::check::describe;
use super::core::Core;
use super::{Error, Result, Volume, store};
use crate::chunks::durable;
use crate::meta::StoredChunk;
use crate::types::{ChunkId, ScrubRate, Timestamp};

const FILE: &str = "scrub";
/// Rows of the chunk table that are looked at at a time.
const ROWS: usize = 64;
/// How often it is noted where the scrub is.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);
/// An empty volume is not looked at again and again.
const ROUND_MIN: Duration = Duration::from_secs(1);

/// How far a scrub is, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// The last chunk of this round that was read.
    after: i64,
    /// How often all chunks were read.
    pub rounds: u64,
    /// When that was last, in seconds since the epoch.
    pub finished: Option<i64>,
    /// Bytes that were read in this round.
    pub bytes: u64,
    /// What each damaged chunk means.
    damage: BTreeMap<i64, Vec<String>>,
}

impl Scrubbed {
    /// What the scrub of the volume in `dir` has done; nothing if there was none, or that is not known any more.
    ///
    /// # Errors
    /// I/O errors.
    pub fn load(dir: &Path) -> Result<Self> {
        match fs::read(dir.join(FILE)) {
            // The next round finds what it said again.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .inspect_err(|e| log::warn!("{FILE} in {} is ignored: {e}", dir.display()))
                .unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Error::storage(
                format!("cannot read {FILE} in {}", dir.display()),
                e,
            )),
        }
    }

    fn store(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|e| Error::Corrupt(e.to_string()))?;
        durable::replace_file(&dir.join(FILE), &text)
            .map_err(|e| Error::storage(format!("cannot write {FILE} in {}", dir.display()), e))
    }

    /// What is damaged, in sentences.
    #[must_use]
    pub fn damage(&self) -> Vec<String> {
        let all: BTreeSet<_> = self.damage.values().flatten().cloned().collect();
        all.into_iter().collect()
    }

    /// What was found up to `last`: of what is whole, or gone, nothing was.
    fn note(&mut self, last: ChunkId, found: BTreeMap<i64, Vec<String>>) {
        let from = self.after.saturating_add(1);
        if from <= last.0 {
            let past: Vec<i64> = self
                .damage
                .range(from..=last.0)
                .map(|(id, _)| *id)
                .collect();
            for id in past {
                self.damage.remove(&id);
            }
        }
        self.damage.extend(found);
        self.after = last.0;
    }

    fn finish(&mut self) {
        self.note(ChunkId(i64::MAX), BTreeMap::new());
        self.after = i64::MIN;
        self.rounds += 1;
        self.finished = Some(Timestamp::now().secs());
        self.bytes = 0;
    }
}

/// The scrub of an open volume.
#[derive(Debug)]
pub(super) struct Scrubber {
    dir: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct State {
    rate: ScrubRate,
    is_closing: bool,
}

impl Scrubber {
    pub(super) fn new(dir: &Path, rate: ScrubRate) -> Self {
        Self {
            dir: dir.to_owned(),
            state: Mutex::new(State {
                rate,
                is_closing: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn close(&self) {
        self.state().is_closing = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a rate; nothing when the volume closes.
    fn wait_for_rate(&self) -> Option<ScrubRate> {
        let idle = |state: &mut State| state.rate.is_off() && !state.is_closing;
        let waited = self.changed.wait_while(self.state(), idle);
        let state = *waited.unwrap_or_else(PoisonError::into_inner);
        (!state.is_closing).then_some(state.rate)
    }

    /// Waits so long, or until the rate changes or the volume closes.
    fn pause(&self, time: Duration) {
        let rate = self.state().rate;
        let same = |state: &mut State| state.rate == rate && !state.is_closing;
        drop(self.changed.wait_timeout_while(self.state(), time, same));
    }

    fn is_closing(&self) -> bool {
        self.state().is_closing
    }
}

impl Volume {
    /// Has stored bytes read again at this rate from now on.
    ///
    /// # Errors
    /// I/O errors; nothing has changed then.
    pub fn set_scrub_rate(&self, rate: ScrubRate) -> Result<()> {
        store::edit(&self.dir, |config| config.scrub_rate = rate)?;
        self.core.scrubber.state().rate = rate;
        self.core.scrubber.changed.notify_all();
        Ok(())
    }
}

/// Reads chunks again, round after round, until the volume closes.
pub(super) fn scrub(core: &Core) {
    let scrubber = &core.scrubber;
    let mut done = Scrubbed::load(&scrubber.dir).unwrap_or_else(|error| {
        log::warn!("the scrub begins anew: {error}");
        Scrubbed::default()
    });
    if done == Scrubbed::default() {
        done.after = i64::MIN;
    }
    // A command that has the volume open for a moment is not to begin.
    scrubber.pause(ROUND_MIN);
    let (mut noted, mut known) = (Instant::now(), done.clone());
    while let Some(rate) = scrubber.wait_for_rate() {
        if let Err(error) = core.scrub_some(rate, &mut done) {
            log::warn!("cannot scrub: {error}");
            scrubber.pause(NOTE_INTERVAL);
        }
        let is_news = done.damage != known.damage || done.rounds != known.rounds;
        if is_news || noted.elapsed() > NOTE_INTERVAL {
            note(&done, scrubber);
            (noted, known) = (Instant::now(), done.clone());
        }
    }
    if done != known {
        note(&done, scrubber);
    }
}

fn note(done: &Scrubbed, scrubber: &Scrubber) {
    if let Err(error) = done.store(&scrubber.dir) {
        log::warn!("it is not noted how far the scrub is: {error}");
    }
}

impl Core {
    /// Reads the next chunks, and rests as long as they take at this rate.
    fn scrub_some(&self, rate: ScrubRate, done: &mut Scrubbed) -> Result<()> {
        let found = self.chunks_after(ChunkId(done.after), ROWS)?;
        if found.is_empty() {
            done.finish();
            self.scrubber.pause(ROUND_MIN);
            return Ok(());
        }
        for chunk in &found {
            if self.scrubber.is_closing() {
                return Ok(());
            }
            let began = Instant::now();
            let damage = self.scrub_one(chunk)?;
            done.note(chunk.id, damage);
            done.bytes += u64::from(chunk.at.stored_len);
            let time = rate.time_for(chunk.at.stored_len.into());
            self.scrubber.pause(time.saturating_sub(began.elapsed()));
        }
        Ok(())
    }

    /// Reads one chunk from the disk; what it means if that is damaged.
    fn scrub_one(&self, chunk: &StoredChunk) -> Result<BTreeMap<i64, Vec<String>>> {
        let none = BTreeMap::new();
        if chunk.at.is_lost() {
            return Ok(none);
        }
        match self.store.reread(&chunk.at, &chunk.sums, &chunk.hash) {
            Ok(()) => Ok(none),
            Err(_) if self.has_moved(chunk)? => Ok(none),
            Err(error) if error.is_damage() => {
                let session = self.database.read_long()?;
                let said = describe(&session, &BTreeSet::from([chunk.id]), "cannot be read")?;
                for sentence in &said {
                    log::error!("the scrub found damage: {sentence}: {error}");
                }
                Ok(BTreeMap::from([(chunk.id.0, said)]))
            }
            Err(error) => Err(error.into()),
        }
    }
}
