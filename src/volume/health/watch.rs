//! How far a check or a repair is.

/// Told how many bytes were verified, as they are.
pub type Watch<'w> = &'w dyn Fn(u64);
