//! One volume's server: its process, its socket, its mounts, its life and death.
//!
//! A server has one volume open and serves one FUSE connection. It starts when a volume is first
//! mounted and ends when the kernel says that the last mount is gone, in whichever mount namespace
//! that was. It never touches its own mount: what needs the mount is done by the process that asks,
//! with the functions of [`mounts`]. Knows neither command lines nor how anything is shown.

pub mod mounts;

mod content;
mod cut;
mod cut_part;
mod error;
mod farewell;
mod faults;
mod flusher;
mod handle;
mod keeper;
mod life;
mod log_file;
mod mounting;
mod patience;
mod perform;
mod poke;
mod pressure;
mod read_served;
mod reading;
mod record;
mod requests;
mod shared;
mod spawn;
mod surroundings;
mod tuning;
mod unmounting;
mod upgrading;

pub use cut::{Member, NotTaken, take_cut};
pub use error::Error;
pub use flusher::flush_files;
pub use handle::{fault, handle};
pub use life::Server;
pub use log_file::bound_log;
pub use mounting::{mount, mount_here};
pub use perform::{check, perform, with_closed};
pub use read_served::{Served, read_served};
pub use record::{Record, Standing, down_reason, mounts_of, snapshot_shown, standing, volume_of};
pub use spawn::{run_keeper, run_server, take_stdin, take_stdout};
pub use surroundings::{raise_limits, take_usual_signals};
pub use tuning::of_environment as tuning_of_environment;
pub use unmounting::unmount;
pub use upgrading::{Upgraded, upgrade};

/// The result of what is asked of a server or of its mounts.
pub type Result<T> = std::result::Result<T, Error>;
