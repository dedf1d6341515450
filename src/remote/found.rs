//! What a store has of something: what can be read of it, and what cannot. One object that is damaged hides no other.

use super::{Error, Result};

/// Objects of a kind.
#[derive(Debug)]
pub struct Found<T> {
    /// Those that can be read.
    pub whole: Vec<T>,
    /// Why others cannot: [`Error::Damaged`] or [`Error::Newer`].
    pub damaged: Vec<Error>,
}

impl<T> Found<T> {
    pub(super) const fn new() -> Self {
        Self {
            whole: Vec::new(),
            damaged: Vec::new(),
        }
    }

    /// Takes one in. What was removed since it was listed is not there.
    ///
    /// # Errors
    /// Those that are not about this one object.
    pub(super) fn take(&mut self, read: Result<T>) -> Result<()> {
        match read {
            Ok(one) => self.whole.push(one),
            Err(error @ (Error::Damaged { .. } | Error::Newer { .. })) => self.damaged.push(error),
            Err(Error::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
