//! The chunk store: bytes on disk, named by their hash.
//!
//! Owns the segment files and everything about their bytes. Knows no SQL, no inode, no FUSE.

pub mod durable;
