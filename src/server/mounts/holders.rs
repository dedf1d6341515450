//! Who keeps a mount, or a superblock, from going away.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags};

use super::{Mount, read_table, table};
use crate::control::Device;

/// A process, or a mount, that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A process that has a file open, works, or runs there.
    Process {
        /// Its id.
        pid: u32,
        /// Its command name.
        command: String,
    },
    /// A mount on a directory of the mount.
    Mount(PathBuf),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, command } => write!(f, "process {pid} ({command})"),
            Self::Mount(at) => write!(f, "the mount at {}", at.display()),
        }
    }
}

/// The holders of one mount, as far as this process may see them.
#[must_use]
pub fn holders_of(mount: &Mount) -> Vec<Holder> {
    let below = read_table().unwrap_or_default().into_iter();
    let mut holders: Vec<Holder> = below
        .filter(|other| other.parent == mount.id)
        .map(|other| Holder::Mount(other.mountpoint))
        .collect();
    let users = processes().filter(|process| uses(&process.directory, mount.id));
    holders.extend(users.map(Process::into_holder));
    holders
}

/// One process of each mount namespace, other than this process's own, that shows one of these superblocks.
#[must_use]
pub fn namespaces_holding(devices: &[Device]) -> Vec<Holder> {
    namespaces_where(|mount| devices.contains(&mount.device))
}

/// The same for mounts of which `is_meant` is true.
#[must_use]
pub fn namespaces_where(is_meant: impl Fn(&Mount) -> bool) -> Vec<Holder> {
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    let mut seen: BTreeSet<Option<PathBuf>> = BTreeSet::from([own]);
    processes()
        .filter(|process| {
            let table = fs::read(process.directory.join("mountinfo")).unwrap_or_default();
            table::parse(&table).iter().any(&is_meant)
                && seen.insert(fs::read_link(process.directory.join("ns/mnt")).ok())
        })
        .map(Process::into_holder)
        .collect()
}

struct Process {
    pid: u32,
    directory: PathBuf,
}

impl Process {
    fn into_holder(self) -> Holder {
        let command = fs::read_to_string(self.directory.join("comm")).unwrap_or_default();
        Holder::Process {
            pid: self.pid,
            command: command.trim_end().to_owned(),
        }
    }
}

fn processes() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let directory = entry.path();
            Some(Process { pid, directory })
        })
}

fn uses(process: &Path, mount: u64) -> bool {
    let links = ["cwd", "root", "exe"].iter().map(|name| process.join(name));
    let files = ["fd", "map_files"].iter().flat_map(|name| {
        let entries = fs::read_dir(process.join(name)).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    });
    links.chain(files).any(|link| is_on(&link, mount))
}

/// Whether `link` leads to something on this mount; asks no FUSE server.
fn is_on(link: &Path, mount: u64) -> bool {
    let stat = rustix::fs::statx(CWD, link, AtFlags::STATX_DONT_SYNC, StatxFlags::MNT_ID);
    stat.is_ok_and(|stat| stat.stx_mnt_id == mount)
}
