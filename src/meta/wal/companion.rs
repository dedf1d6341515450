//! Who must set space aside, too, when the database is about to grow.
//!
//! Knows nothing of what that space is for.

use std::fmt;
use std::io;
use std::sync::OnceLock;

type Grow = Box<dyn Fn(u64) -> io::Result<()> + Send + Sync>;

/// Set once, if at all.
#[derive(Default)]
pub(in crate::meta) struct Companion(OnceLock<Grow>);

impl Companion {
    /// Has `grow` called from now on; the first one stays.
    pub(super) fn set(&self, grow: Grow) {
        drop(self.0.set(grow));
    }

    /// The database is about to take so many bytes.
    pub(super) fn grow(&self, bytes: u64) -> io::Result<()> {
        self.0.get().map_or(Ok(()), |grow| grow(bytes))
    }
}

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Companion")
            .field(&self.0.get().is_some())
            .finish()
    }
}
