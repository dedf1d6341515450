//! What of the page cache could not be stored, as the rest of the volume sees it: noted in the database for a server that
//! takes over, and shown to readers until it is stored.

use std::ops::Range;

use crate::meta::Refusal;
use crate::types::{Attr, FileKind, Ino};
use crate::volume::core::Core;
use crate::volume::data::incoming::Write;
use crate::volume::error::{Error, Result};
use crate::volume::metadata::Space;

/// A write from the page cache had this outcome.
pub(in crate::volume) fn note_outcome(core: &Core, write: &Write<'_>, done: &Result<()>) {
    let Write {
        ino, offset, data, ..
    } = *write;
    let Err(error) = done else {
        return clear_refused(core, ino, &write.range());
    };
    let refusal = match error {
        // There is no such file any more, or no file could be so long: nobody will miss it.
        Error::NotFound | Error::IsDirectory | Error::Invalid | Error::FileTooLarge => return,
        Error::NoSpace | Error::OverLimit => Refusal::Full,
        _ => Refusal::Failed,
    };
    let is_first = !core.refused().has(ino);
    // In memory before it is in the tables: an fsync(2) that comes meanwhile fails.
    let range = core.refused().note(ino, offset, data, refusal);
    if is_first {
        log::warn!(
            "a write of {ino} was refused, and its fsync fails until it is repeated: {error}"
        );
    }
    store_refused(core, ino, &range, Some(refusal));
}

/// `range` of the file was written again, or is gone.
pub(in crate::volume) fn clear_refused(core: &Core, ino: Ino, range: &Range<u64>) {
    // The other way round: a server that dies in between is followed by one that fails an fsync(2) too many, not too
    // few.
    if core.refused().clear(ino, range) {
        store_refused(core, ino, range, None);
    }
}

/// For a server that takes over. One that does not hear of it would say that all is well.
fn store_refused(core: &Core, ino: Ino, range: &Range<u64>, refusal: Option<Refusal>) {
    if core.database().is_stopped() {
        // Each fsync fails by that alone, also after a takeover.
        return;
    }
    let stored = core
        .metadata()
        .change(Space::Frees, |tx| Ok(tx.note_refused(ino, range, refusal)?));
    // This server knows it all the same: only one that takes over would not.
    if let Err(error) = stored {
        log::warn!("cannot note what of {ino} was refused: {error}");
    }
}

/// A connection begins: the kernel holds nothing that was refused before.
pub(in crate::volume) fn forget_refused(core: &Core) -> Result<()> {
    if core.database().read_once()?.refused()?.is_empty() {
        return Ok(());
    }
    core.metadata()
        .change(Space::Frees, |tx| Ok(tx.clear_refused()?))
}

/// A connection goes on: what another server refused is still missing, and its bytes went with that one.
pub(in crate::volume) fn inherit_refused(core: &Core) -> Result<()> {
    let ranges = core.database().read_once()?.refused()?;
    core.refused().inherit(ranges);
    Ok(())
}

/// What `read` finds, read again if meanwhile something that was kept was stored: else it could be seen in neither
/// place. `read` must take what is stored before what is kept.
pub(in crate::volume) fn seen<T>(core: &Core, read: impl Fn() -> Result<T>) -> Result<T> {
    let refused = core.refused();
    loop {
        let (any, before) = (refused.any(), refused.changes());
        let found = read()?;
        if !any || refused.changes() == before {
            return Ok(found);
        }
    }
}

/// What readers see of `bytes`, which were read for `len` at `offset`.
pub(in crate::volume) fn with_kept(
    core: &Core,
    ino: Ino,
    offset: u64,
    len: usize,
    mut bytes: Vec<u8>,
) -> Vec<u8> {
    core.refused().overlay(ino, offset, len, &mut bytes);
    bytes
}

/// The file's attributes with the size that readers see.
pub(in crate::volume) fn as_seen(core: &Core, mut attr: Attr) -> Attr {
    if attr.kind == FileKind::File {
        attr.size = attr.size.max(core.refused().end(attr.ino));
    }
    attr
}
