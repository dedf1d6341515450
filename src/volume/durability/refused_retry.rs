//! Refused writes are tried again: in the background, by an fsync, and when a connection ends.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use crate::types::{Ino, about_to_wait};
use crate::volume::change::FreeingWait;
use crate::volume::core::Core;
use crate::volume::data::incoming::{SetIdBits, Write, WriteOrigin};
use crate::volume::data::write::store_data;
use crate::volume::durability::refusal_record::clear_refused;
use crate::volume::error::{Error, Result};
use crate::volume::space::reaper::free_ended;

/// How long it is waited for what is being freed, as a write that finds the volume full does.
const FREEING_MAX: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(5);

/// Tries to store the kept bytes of all files, and says how much is left.
pub(in crate::volume) fn retry_refused(core: &Core) -> usize {
    let files = core.refused().inos();
    files.iter().for_each(|&ino| retry_refused_of(core, ino));
    core.refused().inos().len()
}

/// Whether there may be room for so many bytes more. To find out by writing them would cost the host that space.
fn may_fit(core: &Core, bytes: u64) -> bool {
    let Some(limit) = core.bounds().get().bytes else {
        return core.metadata().reserve().is_whole();
    };
    let held = core.database().with_tally(|tally| tally.logical);
    held.is_ok_and(|held| held.unsigned_abs().saturating_add(bytes) <= limit)
}

/// Tries to store the kept bytes of a file.
fn retry_refused_of(core: &Core, ino: Ino) {
    let (mut from, wait) = (0, FreeingWait::default());
    loop {
        // Held until the range is cleared: a newer write of it comes after both, and is not overwritten by what is
        // older.
        let Some(_order) = core.refused().order(ino) else {
            return;
        };
        let Some((offset, data)) = core.refused().first_kept(ino, from) else {
            return;
        };
        from = offset + data.len() as u64;
        // The next piece may be shorter.
        if !may_fit(core, data.len() as u64) {
            continue;
        }
        let write = Write {
            ino,
            offset,
            data: &data,
            origin: WriteOrigin::PageCache,
            bits: SetIdBits::Keep,
        };
        let done = store_data(core, std::slice::from_ref(&write), &wait);
        if let Err(error) = &done {
            log::debug!("a refused write of {ino} is refused again: {error}");
        }
        match done {
            // A file that is gone misses nothing.
            Ok(()) | Err(Error::NotFound) => clear_refused(core, ino, &write.range()),
            Err(_) => {}
        }
    }
}

/// Refuses to share, or to call durable, a range of which something is missing.
pub(in crate::volume) fn check_whole(core: &Core, ino: Ino, range: &Range<u64>) -> Result<()> {
    let until = Instant::now() + FREEING_MAX;
    while core.refused().has(ino) {
        about_to_wait();
        // What was removed a moment ago is room, too.
        free_ended(core)?;
        retry_refused_of(core, ino);
        if Instant::now() > until || !core.database().read_once()?.has_orphans()? {
            break;
        }
        thread::sleep(PAUSE);
    }
    core.refused().check(ino, range)
}

/// A connection ends: the last attempt.
pub(in crate::volume) fn give_up_refused(core: &Core) {
    if core.refused().any() && retry_refused(core) > 0 {
        let files = core.refused().inos();
        log::error!(
            "written and never stored, for want of space or after an error: parts of {files:?}"
        );
    }
}
