//! An inode, as a row of the head tells it. Knows no table and no connection.

use crate::types::{Attr, Epoch, Ino, RequestId};

/// The place of a name: a directory, and the cookie of an entry in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// The directory.
    pub parent: Ino,
    /// The entry's cookie.
    pub cookie: u64,
}

impl Home {
    /// Of the root directory, which has no name.
    pub const ROOT: Self = Self {
        parent: Ino::ROOT,
        cookie: 0,
    };
}

/// A live inode row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// What stat(2) tells.
    pub attr: Attr,
    /// The epoch that it changed in.
    pub born: Epoch,
    /// Where its first name is, or was: a directory has no other.
    pub home: Home,
    /// The request that is to be noted with the change; what is noted is not read, and stays when this is `None`.
    pub request: Option<RequestId>,
}
