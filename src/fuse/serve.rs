//! What is behind a superblock: the volume's head, or snapshots of it.

use super::answer::{Answer, Page};
use super::capabilities::{BACKGROUND_MAX, Terms};
use super::request::{Listing, Request};
use crate::types::Ino;
use crate::volume::Result;

/// Answers requests. Any number of threads may ask at once.
pub(super) trait Serve: Send + Sync + 'static {
    /// On which terms the kernel is met.
    fn terms(&self) -> Terms;

    /// How many reads ahead and writes back the kernel may have under way at once.
    fn background_max(&self) -> u16 {
        BACKGROUND_MAX
    }

    /// The answer to `request`.
    ///
    /// An [`Answer::Entry`] is counted already as told, and has to be sent: its FORGET, which another thread may read,
    /// can come as soon as the kernel has the answer.
    ///
    /// # Errors
    /// Those of the volume's operation; nothing was done then.
    fn answer(&self, request: &Request<'_>) -> Result<Answer>;

    /// Puts entries on `page`, in order, until one does not fit or there is none left. Entries that fitted are counted
    /// as told, as the listing's detail says.
    ///
    /// # Errors
    /// Those of reading a directory. What was put on the page before is counted all the same.
    fn list(&self, listing: &Listing, page: &mut dyn Page) -> Result<()>;

    /// The kernel gives back `count` of the times that it was told of `at`.
    fn forget(&self, at: Ino, count: u64);
}
