//! Checks a volume's metadata against its invariants.

use super::{Result, Volume};

impl Volume {
    /// Checks the invariants of docs/format.md over all rows; a line for each row that breaks one.
    ///
    /// # Errors
    /// I/O errors.
    pub fn audit(&self) -> Result<Vec<String>> {
        Ok(self.core.database.audit()?)
    }

    /// Frees what has no name any more and nobody holds, and what only removed snapshots
    /// saw, rather than leaving it to the background.
    ///
    /// # Errors
    /// I/O errors.
    pub fn reap(&self) -> Result<()> {
        self.core.free_ended()
    }
}
