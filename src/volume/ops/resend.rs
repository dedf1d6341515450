//! Requests that come a second time, because the server that had them died before it answered.
//!
//! Each change of names or attributes notes its request in a row that it changes anyway, in the same transaction:
//! that of the directory, of which the kernel has one such request at a time (it holds the directory's lock until the
//! answer: Linux, Documentation/filesystems/directory-locking.rst), or of the inode whose attributes change. All
//! other requests may be done twice.

use crate::meta::WriteTx;
use crate::types::{Caller, Ino, RequestId};
use crate::volume::core::Core;
use crate::volume::error::Result;

/// As [`crate::volume::Volume::is_done`].
pub(super) fn is_done(core: &Core, ino: Ino, request: RequestId) -> Result<bool> {
    Ok(core.database().read_once()?.is_noted(ino, request)?)
}

/// Whether the request of this caller, if it has a number, is noted with `ino`: what checks invariant 12.
pub(in crate::volume) fn is_noted(tx: &WriteTx<'_>, ino: Ino, caller: &Caller) -> bool {
    // What cannot be read is an error of the request, and not of this check.
    let noted = |request| tx.is_noted(ino, request).unwrap_or(true);
    caller.request.is_none_or(noted)
}
