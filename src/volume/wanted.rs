//! Ending long work early, when whoever asked for it wants it no more.

use crate::types::is_wanted;
use crate::volume::error::{Error, Result};

/// To be called between two steps of work that may take more than a second.
///
/// # Errors
/// [`Error::Unwanted`].
pub(in crate::volume) fn go_on() -> Result<()> {
    if is_wanted() {
        return Ok(());
    }
    Err(Error::Unwanted)
}
