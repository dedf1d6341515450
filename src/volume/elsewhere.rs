//! Chunks that a volume names and does not have: it was made of a snapshot in a repository, whose chunks come when they
//! are needed, and in the background.
//!
//! What has come is verified before anyone sees it, and kept in the volume's segments like any chunk, or in a cache that
//! the root's volumes of the repository share. A store that does not answer fails the read that needs it, and nothing
//! else.

mod bounds;
mod bring;
mod brought;
mod cache_dir;
mod cached;
mod fetcher;
mod hydrate;
mod keep;
mod origin;
mod readahead;
mod serve;
mod source;
mod trouble;

pub use cache_dir::ChunkCache;
pub use origin::{Deadline, Origin, Prefetch, PrefetchError, Rows};
pub use trouble::Trouble;

pub(in crate::volume) use bounds::Bounds;
pub(in crate::volume) use bring::{bring, fill, reached, until};
pub(in crate::volume) use cached::Cached;
pub(in crate::volume) use fetcher::Fetcher;
pub(in crate::volume) use hydrate::{count, hydrate};
pub(in crate::volume) use serve::serve;
pub(in crate::volume) use source::Source;
