//! Mounting without privilege: through the set-user-ID program `fusermount3`.
//!
//! It opens `/dev/fuse`, mounts, and passes the descriptor back over a socket whose number it finds in
//! its environment. What it cannot do is mount a connection a second time.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::Spec;
use super::removal::{How, UnmountError};

const PROGRAM: &str = "fusermount3";

/// Mounts at `target` and returns the `/dev/fuse` descriptor.
pub(in crate::server) fn mount(spec: &Spec, target: &Path) -> io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    // The one descriptor that shall survive the exec.
    fcntl_setfd(&theirs, FdFlags::empty())?;
    let output = Command::new(PROGRAM)
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        // What it complains of is looked through for English words.
        .env("LC_ALL", "C")
        .arg("-o")
        .arg(options(spec))
        .arg("--")
        .arg(target)
        .output()
        .map_err(explain_missing)?;
    // Else the wait for a descriptor that is never sent would not end.
    drop(theirs);
    if !output.status.success() {
        return Err(io::Error::other(complaint(&output)));
    }
    receive(&ours).inspect_err(|_| {
        // What was mounted has nobody behind it.
        if let Err(e) = unmount(target, How::Lazily) {
            log::error!("cannot take back {}: {e}", target.display());
        }
    })
}

/// Unmounts what is at `mountpoint`.
pub(super) fn unmount(mountpoint: &Path, how: How) -> Result<(), UnmountError> {
    let mut command = Command::new(PROGRAM);
    command.env("LC_ALL", "C").arg("-u");
    if how == How::Lazily {
        command.arg("-z");
    }
    let output = command.arg("--").arg(mountpoint).output();
    let output = output.map_err(|e| UnmountError::Io(explain_missing(e)))?;
    match complaint(&output) {
        _ if output.status.success() => Ok(()),
        text if text.contains("busy") => Err(UnmountError::Busy),
        text => Err(UnmountError::Io(io::Error::other(text))),
    }
}

fn options(spec: &Spec) -> OsString {
    let mut options = b"default_permissions,subtype=cask,fsname=".to_vec();
    options.extend(escape(&spec.source));
    for word in spec.attributes.fusermount_words() {
        options.push(b',');
        options.extend(word.as_bytes());
    }
    OsString::from_vec(options)
}

fn escape(text: &OsStr) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for &byte in text.as_bytes() {
        if matches!(byte, b',' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

fn receive(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let passed = control.drain().find_map(|message| {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            return descriptors.last();
        }
        None
    });
    passed.ok_or_else(|| io::Error::other(format!("{PROGRAM} passed no descriptor")))
}

fn explain_missing(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotFound {
        let text =
            format!("{PROGRAM} is not installed (package fuse3), and only root can do without");
        return io::Error::new(io::ErrorKind::NotFound, text);
    }
    error
}

fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.as_slice() {
        [] => format!("{PROGRAM} failed: {}", output.status),
        lines => lines.join("; "),
    }
}
