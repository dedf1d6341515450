//! `cask keep`, which `cask mount` starts, `cask serve`, which that starts, and `cask poke`, `cask buffer` and `cask flush-files`, which
//! that starts; not for people.

use std::path::PathBuf;

use crate::control::Device;
use crate::server::{self, mounts::answers};
use crate::volume::Buffering;

use crate::cli::locate::{Located, VolumeRef};
use crate::cli::{CliError, Kind, Result};

/// Serve a volume, for the process at standard input
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume's directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) volume: PathBuf,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> Result<()> {
    server::run_server(&arguments.volume).map_err(|e| located(arguments).explain(e))
}

pub(in crate::cli) fn run_supervisor(arguments: &Arguments) -> Result<()> {
    server::run_supervisor(&arguments.volume).map_err(|e| located(arguments).explain(e))
}

/// Ask something of the mounts of a superblock
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Poke {
    /// Its device number
    device: Device,
}

pub(in crate::cli) fn poke(arguments: &Poke) -> Result<()> {
    let mounts = server::mounts_of(&[arguments.device]).map_err(|e| {
        CliError::new(Kind::Failed, "cannot find the mounts")
            .because(e)
            .hint("is /proc mounted?")
    })?;
    // One is enough, and any answer will do.
    mounts.first().map(|mount| answers(&mount.mountpoint));
    Ok(())
}

/// Whether the kernel may hold what is written to the superblock of the `/dev/fuse` descriptor at standard input
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Buffer {
    /// Until it likes to write it, or not at all
    how: How,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum How {
    Back,
    Through,
}

pub(in crate::cli) fn buffer(arguments: &Buffer) -> Result<()> {
    let buffering = match arguments.how {
        How::Back => Buffering::Back,
        How::Through => Buffering::Through,
    };
    // Taken, not borrowed: it must be the last descriptor of the device in this process, see `set_buffering`.
    let fuse = server::take_stdin();
    let set = fuse.and_then(|fuse| server::mounts::set_buffering(fuse, buffering));
    set.map_err(|e| {
        CliError::new(Kind::Failed, "cannot set how the mount buffers")
            .because(e)
            .hint("that takes root")
    })
}

/// Has the kernel send what it holds of files whose numbers come by standard input; the `/dev/fuse` descriptor is
/// standard output.
pub(in crate::cli) fn flush_files() -> Result<()> {
    let (requests, fuse) = (server::take_stdin(), server::take_stdout());
    let flushed = fuse.and_then(|fuse| server::flush_files(fuse, requests?));
    flushed.map_err(|e| {
        CliError::new(Kind::Failed, "cannot have files flushed")
            .because(e)
            .hint("only a server starts this")
    })
}

fn located(arguments: &Arguments) -> Located {
    Located {
        reference: VolumeRef::Dir(arguments.volume.clone()),
        dir: arguments.volume.clone(),
    }
}
