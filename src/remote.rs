//! Repositories: volumes as immutable, encrypted objects in an object store or a directory.
//!
//! Owns the format of docs/remote-format.md, the keys, and how stores are spoken to; the only code that names
//! `object_store`, `tokio` and the cipher. Everything here blocks. It knows nothing of volumes on this host: what is sent
//! and fetched is rows and chunks (`transfer/` moves them).

mod ability;
mod at_once;
mod block;
mod chain;
mod directory;
mod error;
mod found;
mod hex;
mod index;
mod kept_names;
mod kept_snapshots;
mod keys;
mod levels;
mod mark;
mod moved;
mod moves;
mod object;
mod pack;
mod pack_directory;
mod pack_list;
mod pin;
mod place;
mod pushed;
mod reference;
mod repository;
mod rotation;
mod run;
mod seal;
mod shelf;
mod snapshot;
mod snapshots;
mod stream;
mod tree;
mod url;
mod view;
mod window;

pub use ability::{Ability, Replacing};
pub use chain::Chain;
pub use directory::{CACHE_BYTES, Making, NewRemote, RemoteDir, Remotes, Settings};
pub use error::{Error, Result};
pub use found::Found;
pub use index::{
    Index, Lookup, damaged as damaged_indexes, rewrite as rewrite_index,
    store_chunks as store_index,
};
pub use keys::{KeyId, KeyIdError, KeyKind, KeySource, Passphrase, StoredKey};
pub use levels::{Levels, OnUnread, RowLevels, RunPlace, TableKey, Tables, Unread, uppermost};
pub use mark::{Condemned, Mark, MarkKind};
pub use moved::Moved;
pub use object::ObjectId;
pub use pack::{PACK_FRAME_BYTES, PackBuilder, PackedChunk, SealedPack, open_chunk, open_stored};
pub use pin::Pins;
pub use place::{Packing, Place};
pub use pushed::{PushedBase, PushedBases};
pub use reference::{RemoteRef, RemoteRefError};
pub use repository::{Repository, VolumeAbout};
pub use rotation::rotate_key;
pub use run::{HashedRow, PlacedRow, Row, RowKey, RunReader, RunRow, RunWriter, StreamRow, Table};
pub use seal::MasterKey;
pub use shelf::memory::Memory;
pub use shelf::s3::check_endpoint;
pub use shelf::{Bytes, DELETED_AT_ONCE, Key, Listed, Shelf, Tag};
pub use snapshot::{PublishedRun, PushState, RemoteSnapshot, VolumeFacts};
pub use stream::{Base, Frame, Opening, StateDigest, StreamEnd, StreamReader, StreamWriter};
pub use tree::PushedTree;
pub use url::{RemoteUrl, RemoteUrlError};
pub use view::{RowCursor, SnapshotRows};
pub use window::{Fetched, WINDOW_BYTES, windows};
