//! For how long somebody waits.

use std::time::Instant;

/// How long somebody waits.
pub(in crate::volume) struct Bounds<'a> {
    /// Not beyond; `None`: for ever.
    pub(in crate::volume) until: Option<Instant>,
    /// And only while this says so.
    pub(in crate::volume) goes_on: &'a dyn Fn() -> bool,
}
