//! Leaves nothing behind: detaches mounts, ends servers, removes directories, also of earlier runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use super::sandbox::{PREFIX, mounts_below};

/// Ends a FUSE connection: all that waits for it gets an error.
pub(super) fn abort_connection(device_minor: u32) {
    let path = format!("/sys/fs/fuse/connections/{device_minor}/abort");
    if let Err(error) = fs::write(&path, "1") {
        eprintln!("cannot abort through {path}: {error}");
    }
}

/// Removes sandboxes whose test has ended without doing it.
pub(super) fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let pid = rest
            .split('-')
            .next()
            .unwrap_or_default()
            .trim_start_matches('0');
        if is_alive(pid) {
            continue;
        }
        eprintln!("sweeping {}, left by pid {pid}", entry.path().display());
        drop(clean_up(&entry.path()));
    }
}

/// Whether a process runs; a zombie does not.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

/// Detaches, ends and removes all of a sandbox. Returns what should not have been there.
pub(super) fn clean_up(dir: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for mount in mounts_below(dir) {
        if unmount(&mount.mountpoint, UnmountFlags::empty()).is_ok() {
            continue;
        }
        if mount.is_fuse {
            abort_connection(mount.device_minor);
        }
        if let Err(error) = unmount(&mount.mountpoint, UnmountFlags::DETACH) {
            complaints.push(format!(
                "{} stays mounted: {error}",
                mount.mountpoint.display()
            ));
        }
    }
    complaints.extend(end_servers(dir));
    if let Err(error) = fs::remove_dir_all(dir) {
        complaints.push(format!("{} stays: {error}", dir.display()));
    }
    complaints
}

/// Waits for the servers in `dir`, which go with their last mount, and kills those that do not.
fn end_servers(dir: &Path) -> Vec<String> {
    let start = Instant::now();
    while !processes_naming(dir).is_empty() && start.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut complaints = Vec::new();
    for (pid, command) in processes_naming(dir) {
        complaints.push(format!("pid {pid} had to be killed: {command}"));
        kill_process(pid, Signal::KILL).ok();
    }
    complaints
}

/// Kills the processes of containers whose root directory is kept in `dir`: nobody else names them once their engine
/// was killed.
pub(crate) fn kill_contained(dir: &Path) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<i32>();
        let Some(pid) = pid.ok().and_then(Pid::from_raw) else {
            continue;
        };
        if is_contained(&entry.path(), dir) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// Whether the mount that a process has as `/` is made of something in `dir`.
fn is_contained(process: &Path, dir: &Path) -> bool {
    let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"));
    root.is_some_and(|line| line.contains(&*dir.to_string_lossy()))
}

/// The processes, other than this one, that have `dir` in their command line, as working directory, or as what their
/// container is made of.
fn processes_naming(dir: &Path) -> Vec<(Pid, String)> {
    let needle = dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_else(|_| PathBuf::new());
        let is_self = pid.cast_unsigned() == std::process::id();
        let alive = is_alive(&pid.to_string());
        let names = command.contains(&needle) || cwd.starts_with(dir);
        if !is_self && alive && (names || is_contained(&entry.path(), dir)) {
            found.push((Pid::from_raw(pid).unwrap(), command));
        }
    }
    found
}
