//! Copies under way: they were answered, and their extents are still to be written
//! (docs/decisions/0016-copies-that-are-answered-first.md).

use std::thread;
use std::time::Duration;

use crate::meta::{Copies, WriteTx};
use crate::types::about_to_wait;
use crate::volume::core::Core;
use crate::volume::error::Result;
use crate::volume::metadata::Space;

/// Between two transactions that write extents, for others who want to write.
const STEP_PAUSE: Duration = Duration::from_micros(200);

/// Writes the extents of these copies, which were answered already, in transactions of bounded length. None is
/// left for later meanwhile, else this might not end.
pub(in crate::volume) fn finish_copies(core: &Core, which: &[Copies]) -> Result<()> {
    if core.database().may_be_copying() {
        which.iter().try_for_each(|which| finish(core, *which))?;
    }
    Ok(())
}

fn finish(core: &Core, which: Copies) -> Result<()> {
    if !core.database().read_once()?.has_copies(which)? {
        return Ok(());
    }
    about_to_wait();
    let _held = core.copies().hold();
    while carry_on(core, which)? {}
    Ok(())
}

/// Writes some extents of the oldest copy; whether there was one.
pub(in crate::volume) fn copy_some(core: &Core) -> Result<bool> {
    Ok(core.database().may_be_copying() && carry_on(core, Copies::All)?)
}

/// What was answered may take from the reserve: it is not refused for want of space.
fn carry_on(core: &Core, which: Copies) -> Result<bool> {
    let step = core.tuning().copies.step_extents;
    let carry_on = |tx: &mut WriteTx<'_>| Ok(tx.carry_on_copies(which, step)?);
    let found = core.metadata().change(Space::Frees, carry_on)?;
    thread::sleep(STEP_PAUSE);
    Ok(found)
}
