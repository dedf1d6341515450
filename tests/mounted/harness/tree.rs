//! All that a tree holds, to compare it with another tree or with itself after a remount.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What one name stands for. Times are for the caller to compare: two trees are not made in one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) nlink: u64,
    pub(crate) size: u64,
    pub(crate) rdev: u64,
    pub(crate) target: PathBuf,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    pub(crate) hash: String,
    pub(crate) mtime: (i64, i64),
}

/// Every name below `dir` (and `dir` itself, as the empty path). Modification times are left out.
#[track_caller]
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = timed_snapshot(dir);
    for node in found.values_mut() {
        node.mtime = (0, 0);
    }
    found
}

/// The same with the modification times.
#[track_caller]
pub(crate) fn timed_snapshot(dir: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(path) = todo.pop() {
        let full = if path.as_os_str().is_empty() {
            dir.to_owned()
        } else {
            dir.join(&path)
        };
        let node = node(&full);
        if node.kind == "dir" {
            let entries = fs::read_dir(&full).unwrap();
            todo.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
        }
        found.insert(path, node);
    }
    found
}

#[track_caller]
fn node(path: &Path) -> Node {
    let meta = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_dir() => "dir",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_block_device() => "block",
        () => "char",
    };
    let has_size = matches!(kind, "file" | "symlink");
    Node {
        kind,
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        nlink: meta.nlink(),
        size: if has_size { meta.len() } else { 0 },
        rdev: if matches!(kind, "block" | "char") {
            meta.rdev()
        } else {
            0
        },
        target: if kind == "symlink" {
            fs::read_link(path).unwrap()
        } else {
            PathBuf::new()
        },
        xattrs: xattrs(path),
        hash: if kind == "file" {
            hash(path)
        } else {
            String::new()
        },
        mtime: (meta.mtime(), meta.mtime_nsec()),
    }
}

#[track_caller]
fn hash(path: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 65536];
    loop {
        let count = file
            .read(&mut buffer)
            .unwrap_or_else(|error| panic!("{path:?}: {error}"));
        if count == 0 {
            return hasher.finalize().to_string();
        }
        hasher.update(&buffer[..count]);
    }
}

#[track_caller]
fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut list = vec![0_u8; 65536];
    let len = rustix::fs::llistxattr(path, list.as_mut_slice()).unwrap();
    let names = list[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0_u8; 65536];
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), value.as_mut_slice());
        value.truncate(len.unwrap());
        (String::from_utf8_lossy(name).into_owned(), value)
    };
    names.map(value).collect()
}

/// Panics with the differences of two trees.
#[track_caller]
pub(crate) fn assert_same_tree(
    one: &BTreeMap<PathBuf, Node>,
    other: &BTreeMap<PathBuf, Node>,
    context: &dyn std::fmt::Display,
) {
    let mut differences = Vec::new();
    for path in one
        .keys()
        .chain(other.keys().filter(|path| !one.contains_key(*path)))
    {
        let (left, right) = (one.get(path), other.get(path));
        if left != right {
            differences.push(format!("{}:\n  {left:?}\n  {right:?}", path.display()));
        }
    }
    assert!(
        differences.is_empty(),
        "{context}\n{}",
        differences.join("\n")
    );
}
