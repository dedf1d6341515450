//! How far long work is: a check, a repair, a collection.

/// Told how many bytes more were verified, moved or removed, as they are.
pub type Watch<'w> = &'w dyn Fn(u64);

/// Of work that nobody watches.
pub(in crate::volume) const UNWATCHED: Watch<'static> = &|_| {};
