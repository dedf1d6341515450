//! A process that asks the mounts of a device for something, which a server never does itself (invariant 9).

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;

use crate::control::Device;

/// Has a process ask the mounts of `device` for something, without waiting for it.
pub(super) fn poke(device: Device) -> io::Result<()> {
    let mut poking = Command::new("/proc/self/exe")
        .arg0("cask")
        .arg("poke")
        .arg(device.to_string())
        .stdin(Stdio::null())
        .spawn()?;
    // Else its end would leave a zombie for as long as the server lives.
    thread::spawn(move || poking.wait());
    Ok(())
}
