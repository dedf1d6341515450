//! Where else chunks may be that a volume lacks, or that a new one needs: who repairs or makes it says so.

use super::error::Result;
use crate::types::ChunkHash;

/// Takes the plaintext of a chunk that was found.
pub type Take<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// A place with chunks of any volumes.
pub trait ChunkSource {
    /// What it is called in a sentence, such as "remote nas".
    fn name(&self) -> String;

    /// Looks for chunks by their hashes, and hands over those that are there. What cannot be had is passed over; what is
    /// handed over need not be what was wanted: whoever takes it verifies it.
    ///
    /// # Errors
    /// Those of `take`.
    fn find(&self, wanted: &[ChunkHash], take: &mut Take<'_>) -> Result<()>;
}
