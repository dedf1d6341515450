//! The scrub: stored bytes are read again from the disk, a little at a time, and damage is reported before anybody
//! meets it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::meta::StoredChunk;
use crate::types::{ChunkId, ScrubRate};
use crate::volume::config::edit;
use crate::volume::core::Core;
use crate::volume::error::Result;
use crate::volume::health::describe::describe;
use crate::volume::health::scrubbed::Scrubbed;
use crate::volume::health::scrubber::Scrubber;
use crate::volume::health::stored::{chunks_after, has_moved};

/// Rows of the chunk table that are looked at at a time.
const ROWS: usize = 64;
/// How often it is noted where the scrub is.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);
/// An empty volume is not looked at again and again.
const ROUND_MIN: Duration = Duration::from_secs(1);

/// As [`crate::volume::Volume::set_scrub_rate`].
pub(super) fn set_scrub_rate(core: &Core, rate: ScrubRate) -> Result<()> {
    edit(core.dir(), |config| config.scrub_rate = rate)?;
    core.scrubber().set_rate(rate);
    Ok(())
}

/// Reads chunks again, round after round, until the volume closes.
pub(in crate::volume) fn scrub(core: &Core) {
    let scrubber = core.scrubber();
    let mut done = Scrubbed::load(scrubber.dir()).unwrap_or_else(|error| {
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
        if let Err(error) = scrub_some(core, rate, &mut done) {
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
    if let Err(error) = done.store(scrubber.dir()) {
        log::warn!("it is not noted how far the scrub is: {error}");
    }
}

/// Reads the next chunks, and rests as long as they take at this rate.
fn scrub_some(core: &Core, rate: ScrubRate, done: &mut Scrubbed) -> Result<()> {
    let found = chunks_after(core, ChunkId(done.after), ROWS)?;
    if found.is_empty() {
        done.finish();
        core.scrubber().pause(ROUND_MIN);
        return Ok(());
    }
    for chunk in &found {
        if core.scrubber().is_closing() {
            return Ok(());
        }
        let began = Instant::now();
        let damage = scrub_one(core, chunk)?;
        done.note(chunk.id, damage);
        done.bytes += u64::from(chunk.at.stored_len);
        let time = rate.time_for(chunk.at.stored_len.into());
        // A rate is an upper bound: a disk that is slower than it gets no rest.
        core.scrubber().pause(time.saturating_sub(began.elapsed()));
    }
    Ok(())
}

/// Reads one chunk from the disk; what it means if that is damaged.
fn scrub_one(core: &Core, chunk: &StoredChunk) -> Result<BTreeMap<i64, Vec<String>>> {
    let none = BTreeMap::new();
    if chunk.at.is_absent() {
        return Ok(none);
    }
    match core.chunks().reread(&chunk.at, &chunk.sums, &chunk.hash) {
        Ok(()) => Ok(none),
        Err(_) if has_moved(core, chunk)? => Ok(none),
        Err(error) if error.is_damage() => {
            let session = core.database().read_long()?;
            let said = describe(&session, &BTreeSet::from([chunk.id]), "cannot be read")?;
            for sentence in &said {
                log::error!("the scrub found damage: {sentence}: {error}");
            }
            Ok(BTreeMap::from([(chunk.id.0, said)]))
        }
        Err(error) => Err(error.into()),
    }
}
