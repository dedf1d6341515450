//! The name of a request that the kernel may send a second time.

/// Names one request of one FUSE connection, and no other one of any: the connection's random beginning, and the
/// kernel's number of the request counted from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    /// The request that the kernel numbers `unique` (`fuse_in_header`), on a connection that began at `salt`.
    #[must_use]
    pub const fn new(salt: u64, unique: u64) -> Self {
        // Wraps: the random beginning can be anywhere.
        Self(salt.wrapping_add(unique))
    }

    /// As it is stored.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }
}
