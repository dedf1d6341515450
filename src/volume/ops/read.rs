//! read(2): what is stored, and what could not be stored yet.

use crate::types::Ino;
use crate::volume::core::Core;
use crate::volume::data::read::{Wait, read_stored};
use crate::volume::durability::refusal_record::{seen, with_kept};
use crate::volume::error::Result;

/// As [`crate::volume::Volume::read`].
pub(super) fn read(
    core: &Core,
    ino: Ino,
    offset: u64,
    len: usize,
    wait: Wait<'_>,
) -> Result<Vec<u8>> {
    seen(core, || {
        let bytes = read_stored(core, ino, offset, len, wait)?;
        Ok(with_kept(core, ino, offset, len, bytes))
    })
}
