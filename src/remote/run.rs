//! Runs: sorted rows of a volume's metadata, in blocks that can be fetched one by one.
//!
//! An extent names a place in a pack, not a hash: who reads a volume needs no index. The runs of a delta lie above others:
//! what they tell of a row takes its place, or that it is gone.

mod cells;
mod hashed;
mod reader;
mod row;
mod writer;

pub use hashed::{HashedRow, StreamRow};
pub(super) use hashed::{decode_rows, encode_rows};
pub use reader::RunReader;
pub(super) use reader::{BlockPlace, Trailer, run_key};
pub use row::{PlacedRow, Row, RowKey, RunRow, Table};
pub use writer::RunWriter;
