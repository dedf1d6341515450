//! Has the kernel hold less of what is written as a volume gets full, and nothing when it nearly is.
//!
//! What follows from how much room is the volume's to say; this tells the kernel, as far as the server may: without
//! root it may not, and a refused write is heard of at fsync(2) only.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::group_part::Opened;
use super::mounts::{bound_unwritten, is_privileged};
use super::shared::Shared;
use crate::control::Device;
use crate::volume::{Buffering, Headroom};

/// How often it is looked how much room there is when little is written: others write on the host, too.
const IDLE: Duration = Duration::from_secs(5);
/// The same while room is scarce.
const SCARCE: Duration = Duration::from_millis(250);

/// What the kernel was told of a superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    device: Device,
    headroom: Headroom,
}

/// What the kernel holds by when the watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// What every new mount may.
    Fresh,
    /// What another server told it.
    Unknown,
}

/// Watches until the volume is about to be closed.
pub(super) fn watch(shared: Arc<Shared>, beginning: Beginning) {
    let Some(spending) = shared.with(crate::volume::Volume::spending) else {
        return;
    };
    thread::spawn(move || {
        let (mut told, mut idle) = (None, Duration::ZERO);
        let mut known = beginning;
        while spending.wait(idle) {
            // Before it is looked: from here on nobody is missed who mounts.
            spending.rest();
            let Some(next) = look(&shared, told) else {
                if shared.head_device().is_none() {
                    // Who mounts next is told anew, also where its device has the number of the last.
                    (told, idle) = (None, IDLE);
                } else {
                    idle = SCARCE;
                }
                continue;
            };
            if told == Some(next) || tell(&shared, told, next, known) {
                (told, known) = (Some(next), Beginning::Fresh);
            }
            let is_ample = next.headroom == Headroom::AMPLE;
            idle = if is_ample { IDLE } else { SCARCE };
        }
    });
}

/// What the kernel should be told of the head's superblock; `None` when there is none, or nothing is known.
fn look(shared: &Shared, told: Option<Told>) -> Option<Told> {
    let device = shared.head_device()?;
    let before = told.filter(|told| told.device == device);
    let before = before.map_or(Headroom::AMPLE, |told| told.headroom);
    match shared.with(|volume| volume.headroom(before))? {
        Ok(headroom) => Some(Told { device, headroom }),
        Err(error) => {
            log::debug!("cannot see how much room there is: {error}");
            None
        }
    }
}

/// Whether the kernel was told, or nobody here may tell it.
fn tell(shared: &Shared, told: Option<Told>, next: Told, known: Beginning) -> bool {
    let mut is_told = true;
    let before = told.filter(|told| told.device == next.device);
    let before = before.map_or(Headroom::AMPLE, |told| told.headroom);
    let (had, has) = (before.buffering, next.headroom.buffering);
    let bytes = next.headroom.unwritten_bytes_max;
    if bytes != before.unwritten_bytes_max || known == Beginning::Unknown {
        let bounded = bound_unwritten(next.device, bytes);
        is_told &= noted("bound what the kernel holds unwritten", bounded);
    }
    if had != has || known == Beginning::Unknown {
        log::info!("with the room that there is, writes go {}", word(has));
        let fuse = shared.head_descriptor();
        let set = fuse.map_or(Ok(()), |fuse| fuse.and_then(|fuse| have_set(fuse, has)));
        is_told &= noted("have writes end when they are stored", set);
    }
    is_told
}

fn noted(what: &str, done: io::Result<()>) -> bool {
    let Err(error) = done else {
        return true;
    };
    log::debug!("cannot {what}: {error}");
    // Another try would find the same.
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound
    )
}

/// Has a process of its own do it: this one answers what the kernel writes meanwhile.
fn have_set(fuse: OwnedFd, buffering: Buffering) -> io::Result<()> {
    if !is_privileged() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let status = Command::new("/proc/self/exe")
        .arg0("cask")
        .args(["buffer", word(buffering)])
        .stdin(Stdio::from(fuse))
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("it ended with {status}")))
}

/// As `cask buffer` understands it.
const fn word(buffering: Buffering) -> &'static str {
    match buffering {
        Buffering::Back => "back",
        Buffering::Through => "through",
    }
}
