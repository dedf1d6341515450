//! What is no archive.

use std::io;

/// The error of bytes that are none of an archive's.
pub(super) fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
