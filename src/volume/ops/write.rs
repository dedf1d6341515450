//! write(2) and what the page cache sends: the outcome is noted for those who cannot be told.

use crate::volume::change::FreeingWait;
use crate::volume::core::Core;
use crate::volume::data::incoming::{Write, WriteOrigin};
use crate::volume::data::write::store_data;
use crate::volume::durability::refusal_record::{clear_refused, note_outcome};
use crate::volume::error::Result;

/// As [`crate::volume::Volume::write`].
pub(super) fn write(core: &Core, write: &Write<'_>) -> Result<()> {
    write_within(core, write, &FreeingWait::default())
}

fn write_within(core: &Core, write: &Write<'_>, wait: &FreeingWait) -> Result<()> {
    // First: whoever drains before a snapshot waits for what the kernel has sent, and this is part of that.
    let _under_way = core.arrivals().begin();
    core.metadata().headroom().spend(write.data.len() as u64);
    // Else bytes that were kept from an earlier refusal could be stored over these, which are newer.
    let _order = core.refused().order(write.ino);
    let done = store_data(core, std::slice::from_ref(write), wait);
    match write.origin {
        WriteOrigin::PageCache => note_outcome(core, write, &done),
        WriteOrigin::Caller | WriteOrigin::Archive { .. } if done.is_ok() => {
            clear_refused(core, write.ino, &write.range());
        }
        // Whoever wrote hears of it.
        WriteOrigin::Caller | WriteOrigin::Archive { .. } => {}
    }
    done
}

/// As [`crate::volume::Volume::write_back`].
pub(in crate::volume) fn write_back(core: &Core, writes: &[Write<'_>]) -> Vec<Result<()>> {
    // Of the whole batch: one thread has all of it, and as many waits as it has writes would be seconds.
    let wait = FreeingWait::default();
    // Those are stored in an order, each by itself.
    let is_plain = |write: &Write<'_>| write.is_plain() && !core.refused().has(write.ino);
    if writes.len() > 1
        && writes.iter().all(is_plain)
        && store_together(core, writes, &wait).is_ok()
    {
        return writes.iter().map(|_| Ok(())).collect();
    }
    // One of them cannot be stored: what is wrong with which is found out one by one.
    let one_by_one = writes.iter().map(|one| write_within(core, one, &wait));
    one_by_one.collect()
}

fn store_together(core: &Core, writes: &[Write<'_>], wait: &FreeingWait) -> Result<()> {
    let _under_way = core.arrivals().begin();
    store_data(core, writes, wait)?;
    let bytes = writes.iter().map(|write| write.data.len() as u64).sum();
    core.metadata().headroom().spend(bytes);
    Ok(())
}
