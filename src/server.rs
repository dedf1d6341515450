//! One volume's server: its process, its socket, its mounts, its life and death.
//!
//! A server has one volume open and serves its FUSE connections. It starts when a volume is first
//! mounted, or read out, and ends when the kernel says that the last mount is gone, in whichever mount
//! namespace that was, and nobody reads any more. It never touches its own mount: what needs the mount is done by the process that asks,
//! with the functions of [`mounts`]. Knows neither command lines nor how anything is shown.

pub mod mounts;

mod awaiting;
mod close_notice;
mod content;
mod error;
mod faults;
mod flusher;
mod group_part;
mod group_snapshot;
mod handle;
mod kernel;
mod life;
mod log_file;
mod log_reader;
mod measuring;
mod mounting;
mod own_mount;
mod perform;
mod poke;
mod pressure;
mod reach;
mod read_out;
mod read_served;
mod record;
mod requests;
mod retry;
mod scheduler;
mod shared;
mod spawn;
mod supervisor;
mod surroundings;
mod tuning;
mod unmounting;
mod upgrading;
mod volume_chunks;
mod volume_status;
mod work;

pub use content::change;
pub use error::Error;
pub use flusher::flush_files;
pub use group_snapshot::{Member, NotTaken, take_group_snapshot};
pub use handle::{fault, handle};
pub use kernel::Kernel;
pub use life::Server;
pub use log_file::bound_log;
pub use log_reader::LogReader;
pub use measuring::{Told, measure};
pub use mounting::{mount, mount_here, open_head};
pub use perform::{find_chunks, perform, with_closed, work};
pub use read_served::{Served, with_served};
pub use record::{
    Record, ServerState, down_reason, mounts_of, server_state, snapshot_shown, volume_of,
};
pub use spawn::{run_server, run_supervisor, take_stdin, take_stdout};
pub use surroundings::{raise_limits, take_usual_signals};
pub use tuning::of_environment as tuning_of_environment;
pub use unmounting::unmount;
pub use upgrading::{Upgraded, upgrade};
pub use volume_chunks::VolumeChunks;
pub use volume_status::VolumeStatus;

/// The result of what is asked of a server or of its mounts.
pub type Result<T> = std::result::Result<T, Error>;
