//! The vocabulary: values that are parsed once at an edge and then carried as proof.
//!
//! Owns every newtype that more than one layer speaks. Knows no file, no SQL, no FUSE.

mod attr;
mod causes;
mod chunk;
mod clock;
mod compression;
mod far;
mod group;
mod ino;
mod loopback;
mod measured;
mod mode;
mod name;
mod quantity;
mod remote_name;
mod request;
mod row;
mod schedule;
mod scrub_rate;
mod snapshot_name;
mod stored;
mod time;
mod usage;
mod volume_id;
mod volume_name;
mod waiting;
mod wanted;

pub use attr::{Attr, Caller, FileKind, NewNode, SetAttr, SetTime};
pub use causes::with_causes;
pub use chunk::{ChunkBytes, ChunkHash, ChunkId, Epoch, SegmentId};
pub use compression::{Compression, CompressionError};
pub use far::FarPlace;
pub use group::{Group, GroupId};
pub use ino::Ino;
pub use loopback::{LoopbackAddress, LoopbackAddressError};
pub use measured::{
    LATENCY_BOUNDS, Measured, MeasuredRequests, latency_bound_nanos, latency_bucket,
};
pub use mode::{ALL_BITS, EXEC_GROUP, MODE_BITS, SETGID, SETUID};
pub use name::{Name, NameBuf, NameError};
pub use quantity::bytes_of;
pub use remote_name::{RemoteName, RemoteNameError};
pub use request::RequestId;
pub use row::{
    ChunkPlace, EntryRow, InodeRow, RowChange, RowCursor, RowError, RowPage, StateRow, StoredRow,
    XattrRow,
};
pub use schedule::{Period, Round, Schedule, ScheduleError};
pub use scrub_rate::{ScrubRate, ScrubRateError};
pub use snapshot_name::{SnapshotName, SnapshotNameError};
pub use stored::{Codec, Location, PageSums, record_bytes};
pub use time::Timestamp;
pub use usage::{Checked, Collected, Limits, Repaired, Usage};
pub use volume_id::VolumeId;
pub use volume_name::{VolumeName, VolumeNameError};
pub use waiting::{about_to_wait, on_waiting, wait_for_lock};
pub use wanted::{is_wanted, while_wanted};

/// The largest file offset and size: `2^63 - 1`, `loff_t`'s maximum.
pub const MAX_FILE_BYTES: u64 = i64::MAX.cast_unsigned();
