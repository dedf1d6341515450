//! A tree of files that can be read, whoever has it, and what can go wrong with it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::commands::Kind;
use crate::control::FaultKind;
use crate::remote;
use crate::server;
use crate::types::{Attr, FileKind, Ino, Name, NameBuf, NameError};
use crate::volume;

/// Bytes that are read at once.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// Something in a tree.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its attributes.
    pub(crate) attr: Attr,
    /// Where it is, relative to the root.
    pub(crate) path: PathBuf,
}

/// An attribute: its name and its value.
pub(crate) type Xattr = (Vec<u8>, Vec<u8>);

/// A tree of files, by inode.
pub(crate) trait Source {
    /// Whether it may change while it is read: what is gone then is left out, and what is shorter filled up.
    fn is_live(&self) -> bool;

    /// The attributes of an inode.
    fn attr(&self, ino: Ino) -> std::result::Result<Attr, Failure>;

    /// What a directory holds, by name.
    fn children(&self, dir: Ino) -> std::result::Result<Vec<(NameBuf, Attr)>, Failure>;

    /// What has this name in a directory.
    fn child(&self, dir: Ino, name: &Name) -> std::result::Result<Attr, Failure>;

    /// The target of a symbolic link.
    fn target(&self, link: Ino) -> std::result::Result<Vec<u8>, Failure>;

    /// All extended attributes, ACLs among them.
    fn xattrs(&self, ino: Ino) -> std::result::Result<Vec<Xattr>, Failure>;

    /// The next bytes of a file from `from` on that are no hole.
    fn next_run(&self, file: Ino, from: u64) -> std::result::Result<Option<Range<u64>>, Failure>;

    /// At most `len` bytes of a file from `offset` on; none at its end.
    fn read(&self, file: Ino, offset: u64, len: usize) -> std::result::Result<Vec<u8>, Failure>;
}

/// Why a tree could not be read, or what was read not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Volume(#[from] volume::Error),
    #[error(transparent)]
    Server(#[from] server::Error),
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("bytes {0}-{1}")]
    In(u64, u64, #[source] Box<Failure>),
    #[error("{}", shortened(.0))]
    At(PathBuf, #[source] Box<Failure>),
}

/// How a command ends that failed for this.
pub(crate) fn kind_of(failure: &Failure) -> Kind {
    if failure.is_broken_pipe() {
        Kind::Unread
    } else if failure.is_unreachable() {
        Kind::Unreachable
    } else {
        Kind::Failed
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::Volume(error.into())
    }
}

impl Failure {
    /// The same, and about what.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            Self::At(..) => self,
            Self::Volume(_) | Self::Server(_) | Self::Remote(_) | Self::Io(_) | Self::In(..) => {
                Self::At(path.to_owned(), Box::new(self))
            }
        }
    }

    /// Whether nobody reads what is written any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Io(e) => e.kind() == std::io::ErrorKind::BrokenPipe,
            Self::In(_, _, cause) | Self::At(_, cause) => cause.is_broken_pipe(),
            Self::Volume(_) | Self::Server(_) | Self::Remote(_) => false,
        }
    }

    /// Whether the store of a remote did not answer.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Remote(error) => error.is_passing(),
            Self::In(_, _, cause) | Self::At(_, cause) => cause.is_unreachable(),
            Self::Volume(_) | Self::Server(_) | Self::Io(_) => false,
        }
    }

    /// Whether what it is about is not there.
    pub(crate) fn is_missing(&self) -> bool {
        match self {
            Self::Volume(error) => {
                matches!(error, volume::Error::NotFound | volume::Error::NotDirectory)
            }
            Self::Remote(_) => false,
            Self::Server(server::Error::Fault(fault)) => fault.kind == FaultKind::NoSnapshot,
            Self::Server(_) => false,
            Self::Io(e) => e.kind() == std::io::ErrorKind::NotFound,
            Self::In(_, _, cause) | Self::At(_, cause) => cause.is_missing(),
        }
    }
}

/// A path that fits on a few lines, whatever the depth.
fn shortened(path: &Path) -> String {
    const SHOWN: usize = 200;
    let text = path.display().to_string();
    let count = text.chars().count();
    if count <= 2 * SHOWN {
        return text;
    }
    let head: String = text.chars().take(SHOWN).collect();
    let tail: String = text.chars().skip(count - SHOWN).collect();
    format!("{head} ... {tail}")
}

/// At most `len` bytes of a file from `offset` on, none at its end; an error says which.
pub(crate) fn read_block(
    source: &dyn Source,
    file: &Attr,
    offset: u64,
    len: usize,
) -> std::result::Result<Vec<u8>, Failure> {
    match source.read(file.ino, offset, len.min(BLOCK_BYTES)) {
        Err(error) if source.is_live() && error.is_missing() => Ok(Vec::new()),
        outcome => outcome.map_err(|error| {
            let end = file.size.min(offset + len as u64);
            Failure::In(offset, end.max(offset + 1) - 1, Box::new(error))
        }),
    }
}

/// Where a file has data.
pub(crate) fn runs(
    source: &dyn Source,
    file: &Attr,
) -> std::result::Result<Vec<Range<u64>>, Failure> {
    let (mut runs, mut from) = (Vec::new(), 0);
    while from < file.size {
        let found = match source.next_run(file.ino, from) {
            Err(error) if source.is_live() && error.is_missing() => None,
            found => found?,
        };
        // What was appended after the attributes were read is none of this state's.
        let Some(run) = found.filter(|run| run.start < file.size) else {
            break;
        };
        // Forwards in any case: an empty run would be told for ever.
        from = run.end.max(from + 1);
        runs.push(run.start..run.end.min(file.size));
    }
    Ok(runs)
}

/// Finds what is at `path`, following no symbolic link.
pub(crate) fn find(source: &dyn Source, path: &Path) -> std::result::Result<Entry, Failure> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut attr = source.attr(Ino::ROOT)?;
    let mut found: Vec<u8> = Vec::new();
    let steps = path.as_os_str().as_bytes().split(|&byte| byte == b'/');
    for step in steps.filter(|step| !matches!(*step, b"" | b".")) {
        if attr.kind != FileKind::Directory {
            return Err(Failure::from(volume::Error::NotDirectory).at(path));
        }
        let name = Name::parse(step)?;
        attr = source.child(attr.ino, name).map_err(|e| e.at(path))?;
        if !found.is_empty() {
            found.push(b'/');
        }
        found.extend(step);
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(found));
    Ok(Entry { attr, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_paths_are_told_in_part() {
        let failure = Failure::from(volume::Error::NotFound);
        let deep = "d/".repeat(20_000);
        let said = failure.at(Path::new(&deep)).to_string();
        assert!(said.len() < 500 && said.contains(" ... "), "{said}");
        let failure = Failure::from(volume::Error::NotFound);
        assert_eq!(failure.at(Path::new("a/b")).to_string(), "a/b");
    }
}
