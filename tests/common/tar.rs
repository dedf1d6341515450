//! Archives made byte by byte, as any program may write them, and what GNU tar and cask make of them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use cask::types::{Attr, FileKind, Ino};
use cask::volume::Volume;

/// What of a file is compared.
const LOOK_BYTES: usize = 1 << 20;

/// An entry: a header, and the data behind it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: Vec<u8>,
    pub(crate) uid: Vec<u8>,
    pub(crate) mtime: Vec<u8>,
    /// Instead of the length of the data.
    pub(crate) size: Option<Vec<u8>>,
    pub(crate) magic: &'static [u8],
    pub(crate) prefix: &'static [u8],
    /// Whatever else is in the header: an offset and bytes.
    pub(crate) more: Vec<(usize, Vec<u8>)>,
    pub(crate) data: Vec<u8>,
}

pub(crate) const POSIX: &[u8] = b"ustar\x0000";
pub(crate) const GNU: &[u8] = b"ustar  \0";

pub(crate) fn part(name: &str, kind: u8) -> Part {
    Part {
        name: name.into(),
        kind,
        link: Vec::new(),
        mode: b"0000755\0".to_vec(),
        uid: b"0000000\0".to_vec(),
        mtime: b"00000001750\0".to_vec(),
        size: None,
        magic: POSIX,
        prefix: b"",
        more: Vec::new(),
        data: Vec::new(),
    }
}

pub(crate) fn file(name: &str, data: &str) -> Part {
    Part {
        data: data.into(),
        ..part(name, b'0')
    }
}

pub(crate) fn link(name: &str, kind: u8, target: &str) -> Part {
    Part {
        link: target.into(),
        ..part(name, kind)
    }
}

/// An extended header.
pub(crate) fn pax(kind: u8, records: &[(&str, &[u8])]) -> Part {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while rest + len.to_string().len() != len {
            len = rest + len.to_string().len();
        }
        data.extend(format!("{len} {key}=").bytes());
        data.extend(*value);
        data.push(b'\n');
    }
    Part {
        data,
        ..part("PaxHeader", kind)
    }
}

impl Part {
    fn header(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8], most: usize| {
            let len = bytes.len().min(most);
            block[at..at + len].copy_from_slice(&bytes[..len]);
        };
        put(0, &self.name, 100);
        put(100, &self.mode, 8);
        put(108, &self.uid, 8);
        put(116, b"0000000\0", 8);
        let size = format!("{:011o}\0", self.data.len());
        put(124, self.size.as_deref().unwrap_or(size.as_bytes()), 12);
        put(136, &self.mtime, 12);
        put(156, &[self.kind], 1);
        put(157, &self.link, 100);
        put(257, self.magic, 8);
        put(345, self.prefix, 155);
        for (at, bytes) in &self.more {
            put(*at, bytes, 512 - at);
        }
        seal(&mut block);
        block
    }
}

/// Makes a header's checksum right.
pub(crate) fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// The bytes of an archive without an end.
pub(crate) fn bytes_of(parts: &[Part]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(part.header());
        bytes.extend(&part.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes
}

/// Whether GNU tar extracts it without a complaint that fails it.
pub(crate) fn extract(archive: &Path, to: &Path) -> bool {
    fs::create_dir(to).unwrap();
    let script = r#"umask 022; exec tar --numeric-owner -xpf "$1" -C "$2""#;
    let mut tar = Command::new("sh");
    tar.args(["-c", script, "sh"]).arg(archive).arg(to);
    tar.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    tar.output().unwrap().status.success()
}

/// A line for all but the times of directories, which GNU tar changes when it puts something into them later.
fn line(
    path: &[u8],
    what: (u32, u32, u32, u64),
    size: u64,
    mtime: (i64, i64),
    content: &[u8],
) -> String {
    let (mode, uid, gid, nlink) = what;
    let (path, content) = (path.escape_ascii(), content.escape_ascii());
    // What ext4 can hold.
    let secs = mtime.0.clamp(-(1 << 31), 15_032_385_535);
    let is_directory = mode & 0o170_000 == 0o040_000;
    if is_directory {
        return format!("{path} {mode:o} {uid}:{gid}");
    }
    format!(
        "{path} {mode:o} {uid}:{gid} {nlink} {size} {secs}.{} {content}",
        mtime.1
    )
}

/// All that is in a directory of the host.
pub(crate) fn on_host(top: &Path) -> Vec<String> {
    let (mut lines, mut left) = (Vec::new(), vec![top.to_owned()]);
    while let Some(path) = left.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let mut size = stat.len();
        let content = if stat.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else if stat.is_file() {
            let mut bytes = vec![0; LOOK_BYTES.min(usize::try_from(size).unwrap())];
            fs::File::open(&path)
                .unwrap()
                .read_exact_at(&mut bytes, 0)
                .unwrap();
            bytes
        } else {
            size = stat.rdev();
            Vec::new()
        };
        if stat.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        let below = path.strip_prefix(top).unwrap().as_os_str().as_bytes();
        let what = (stat.mode(), stat.uid(), stat.gid(), stat.nlink());
        lines.push(line(
            below,
            what,
            size,
            (stat.mtime(), stat.mtime_nsec()),
            &content,
        ));
    }
    lines.sort();
    lines
}

/// All that is in a volume.
pub(crate) fn in_volume(dir: &Path) -> Vec<String> {
    let volume = Volume::open(dir).unwrap();
    let root = volume.getattr(Ino::ROOT).unwrap();
    let (mut lines, mut left) = (Vec::new(), vec![(Vec::new(), root)]);
    while let Some((path, attr)) = left.pop() {
        if attr.kind == FileKind::Directory {
            for entry in volume.list(attr.ino, 0, usize::MAX >> 1).unwrap() {
                let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                let below = [&path, separator, entry.name.as_bytes()].concat();
                left.push((below, entry.attr));
            }
        }
        lines.push(volume_line(&volume, &path, &attr));
    }
    assert_eq!(volume.audit().unwrap(), [""; 0]);
    volume.close().unwrap();
    lines.sort();
    lines
}

fn volume_line(volume: &Volume, path: &[u8], attr: &Attr) -> String {
    let (size, content) = match attr.kind {
        FileKind::Symlink => (attr.size, volume.readlink(attr.ino).unwrap()),
        FileKind::File => (attr.size, volume.read(attr.ino, 0, LOOK_BYTES).unwrap()),
        _ => (attr.rdev.into(), Vec::new()),
    };
    let mode = attr.kind.type_bits() | attr.mode;
    let what = (mode, attr.uid, attr.gid, attr.nlink.into());
    let mtime = (attr.mtime.secs(), attr.mtime.nanos().into());
    line(path, what, size, mtime, &content)
}
