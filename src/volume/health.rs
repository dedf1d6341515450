//! Damage: looked for at rest and beside writers, told in terms of files, and repaired as far as what is left allows.

mod check;
mod describe;
pub(super) mod repair;
pub(super) mod scrub;
pub(super) mod scrubbed;
pub(super) mod scrubber;
mod stored;

pub use check::Depth;
pub use repair::{repair, repair_from};
pub use scrubbed::Scrubbed;

use super::error::Result;
use super::handle::Volume;
use super::watch::{UNWATCHED, Watch};
use crate::types::{Checked, ScrubRate};

impl Volume {
    /// Checks the invariants of docs/format.md over all rows; a line for each row that breaks one.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub fn audit(&self) -> Result<Vec<String>> {
        Ok(self.core.database().audit()?)
    }

    /// Looks for damage, changing nothing. Works beside writers.
    ///
    /// # Errors
    /// [`Error::Storage`]; damage is no error.
    pub fn check(&self, depth: Depth) -> Result<Checked> {
        self.check_watched(depth, UNWATCHED)
    }

    /// As [`Self::check`]; tells `watch` how many bytes were verified, as they are.
    ///
    /// # Errors
    /// Those of [`Self::check`]; [`Error::Unwanted`] when whoever asked is gone ([`crate::types::while_wanted`]).
    pub fn check_watched(&self, depth: Depth, watch: Watch<'_>) -> Result<Checked> {
        check::check(&self.core, &self.found_at_open, depth, watch)
    }

    /// Has stored bytes read again at this rate from now on.
    ///
    /// # Errors
    /// [`Error::Storage`]; nothing has changed then.
    pub fn set_scrub_rate(&self, rate: ScrubRate) -> Result<()> {
        scrub::set_scrub_rate(&self.core, rate)
    }
}
