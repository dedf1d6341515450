//! Making on the host's filesystem what a tree holds.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::cli::source::{Entry, Failure, Source, Xattr, read_block};
use crate::types::{FileKind, Ino, Timestamp};

/// What is all zeros for this long becomes a hole.
const HOLE_BYTES: usize = 4096;
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

type Result<T> = std::result::Result<T, Failure>;

/// Makes copies out of one tree.
pub(super) struct Placer<'s> {
    source: &'s dyn Source,
    /// Where files of several names are by now.
    linked: HashMap<Ino, PathBuf>,
    /// Without root, what the system does not allow is left out.
    is_root: bool,
}

impl<'s> Placer<'s> {
    pub(super) fn new(source: &'s dyn Source) -> Self {
        Self {
            source,
            linked: HashMap::new(),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    /// Makes `entry`, with all that is in it, at `to`, where nothing is.
    pub(super) fn place(&mut self, entry: &Entry, to: &Path) -> Result<()> {
        self.make(entry, to).map_err(|e| e.at(to))
    }

    fn make(&mut self, entry: &Entry, to: &Path) -> Result<()> {
        let attr = &entry.attr;
        if attr.nlink > 1 && attr.kind != FileKind::Directory {
            if let Some(first) = self.linked.get(&attr.ino) {
                return Ok(fs::hard_link(first, to)?);
            }
            self.linked.insert(attr.ino, to.to_owned());
        }
        match attr.kind {
            FileKind::Directory => self.make_directory(entry, to)?,
            FileKind::File => self.make_file(entry, to)?,
            FileKind::Symlink => {
                let target = self.source.target(entry)?;
                symlink(OsStr::from_bytes(&target), to)?;
            }
            FileKind::Fifo => self.make_node(entry, to, FileType::Fifo)?,
            FileKind::Socket => self.make_node(entry, to, FileType::Socket)?,
            FileKind::CharDevice => self.make_node(entry, to, FileType::CharacterDevice)?,
            FileKind::BlockDevice => self.make_node(entry, to, FileType::BlockDevice)?,
        }
        // A directory's own attributes come last: its default ACL is not for what is made in it here.
        self.dress(entry, to)
    }

    fn make_directory(&mut self, entry: &Entry, to: &Path) -> Result<()> {
        fs::DirBuilder::new().mode(0o700).create(to)?;
        for (name, child) in self.source.children(entry)? {
            self.place(&child, &to.join(OsStr::from_bytes(name.as_bytes())))?;
        }
        Ok(())
    }

    fn make_file(&self, entry: &Entry, to: &Path) -> Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(to)?;
        let mut offset = 0;
        while offset < entry.attr.size {
            let bytes = read_block(self.source, entry, offset)?;
            if bytes.is_empty() {
                break;
            }
            write_data(&file, offset, &bytes)?;
            offset += bytes.len() as u64;
        }
        Ok(file.set_len(entry.attr.size)?)
    }

    fn make_node(&self, entry: &Entry, to: &Path, kind: FileType) -> Result<()> {
        let mode = Mode::from_raw_mode(0o600);
        Ok(rustix::fs::mknodat(
            CWD,
            to,
            kind,
            mode,
            entry.attr.rdev.into(),
        )?)
    }

    /// Owner, mode, attributes and times, in the order in which none undoes another.
    fn dress(&self, entry: &Entry, to: &Path) -> Result<()> {
        let attr = &entry.attr;
        let (uid, gid) = (Uid::from_raw(attr.uid), Gid::from_raw(attr.gid));
        let owned = rustix::fs::chownat(CWD, to, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        self.tolerate(owned)?;
        let xattrs = self.source.xattrs(entry)?;
        if attr.kind != FileKind::Symlink {
            drop_inherited(to, &xattrs)?;
            rustix::fs::chmod(to, Mode::from_raw_mode(attr.mode))?;
        }
        for (name, value) in &xattrs {
            self.tolerate(rustix::fs::lsetxattr(
                to,
                name.as_slice(),
                value,
                XattrFlags::empty(),
            ))?;
        }
        let times = Timestamps {
            last_access: timespec(attr.atime),
            last_modification: timespec(attr.mtime),
        };
        Ok(rustix::fs::utimensat(
            CWD,
            to,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn tolerate(&self, outcome: rustix::io::Result<()>) -> Result<()> {
        match outcome {
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if !self.is_root => Ok(()),
            outcome => Ok(outcome?),
        }
    }
}

/// What the new file got from a default ACL of its directory on the host is not the volume's.
fn drop_inherited(to: &Path, xattrs: &[Xattr]) -> Result<()> {
    for acl in [ACCESS_ACL, DEFAULT_ACL] {
        if xattrs.iter().any(|(name, _)| name == acl) {
            continue;
        }
        match rustix::fs::lremovexattr(to, acl) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP | Errno::ACCESS) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Writes what is not zero.
fn write_data(file: &File, offset: u64, bytes: &[u8]) -> Result<()> {
    let is_data = |block: &&[u8]| block.iter().any(|&byte| byte != 0);
    let mut at = 0;
    // Neighbouring blocks of data go out in one write.
    for run in bytes
        .chunks(HOLE_BYTES)
        .collect::<Vec<_>>()
        .chunk_by(|a, b| is_data(a) == is_data(b))
    {
        let len: usize = run.iter().map(|block| block.len()).sum();
        if run.first().is_some_and(is_data) {
            file.write_all_at(&bytes[at..at + len], offset + at as u64)?;
        }
        at += len;
    }
    Ok(())
}

fn timespec(time: Timestamp) -> Timespec {
    Timespec {
        tv_sec: time.secs(),
        tv_nsec: time.nanos().into(),
    }
}
