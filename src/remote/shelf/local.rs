//! A directory as a store: each object a file that appears by a rename, whole and durable.
//!
//! Who replaces an object holds a lock on the directory meanwhile, so that two hosts on one NFS or two processes here
//! cannot both believe that they did.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{Bytes, Key, Listed, OBJECT_BYTES_MAX, Shelf, Tag};
use crate::durable;
use crate::remote::seal::random_bytes;
use crate::remote::{Error, Result};

const LOCK: &str = ".lock";
/// What an unfinished file is called; no part of a key begins with a dot.
const UNFINISHED: &str = ".new-";

/// A directory of objects.
#[derive(Debug)]
pub(in crate::remote) struct Local {
    dir: PathBuf,
}

impl Local {
    /// The store in `dir`, which must be there.
    pub(in crate::remote) fn open(dir: &Path) -> Result<Self> {
        match fs::metadata(dir) {
            Ok(found) if found.is_dir() => Ok(Self {
                dir: dir.to_owned(),
            }),
            Ok(_) => Err(Error::Setting(format!("{} is no directory", dir.display()))),
            Err(e) => Err(failed("open", dir.display().to_string(), e)),
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(key.as_str())
    }

    fn lock(&self) -> io::Result<File> {
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.dir.join(LOCK))?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    fn store(&self, key: &Key, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let parent = path.parent().unwrap_or(&self.dir);
        self.make_dirs(parent)?;
        let name = random_bytes::<8>().map_err(io::Error::other)?;
        let fresh = parent.join(format!("{UNFINISHED}{:016x}", u64::from_le_bytes(name)));
        let stored = write(&fresh, bytes).and_then(|()| durable::rename(&fresh, &path));
        if stored.is_err() {
            // It has no name of an object: nobody takes it for one.
            drop(fs::remove_file(&fresh));
        }
        stored
    }

    fn make_dirs(&self, parent: &Path) -> io::Result<()> {
        if parent.is_dir() {
            return Ok(());
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made?;
        // Up to the store's own directory: each of them may be new.
        let mut dir = parent;
        while dir != self.dir {
            durable::sync_parent(dir)?;
            dir = dir.parent().unwrap_or(&self.dir);
        }
        Ok(())
    }

    /// The files below `dir` whose names are wanted.
    fn walk(&self, dir: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let mut left = vec![dir.to_owned()];
        while let Some(dir) = left.pop() {
            let cannot = |e| failed("list", dir.clone(), e);
            let entries = match fs::read_dir(self.dir.join(&dir)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(cannot)?,
            };
            for entry in entries {
                let entry = entry.map_err(cannot)?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let path = match dir.as_str() {
                    "" => name.clone(),
                    dir => format!("{dir}/{name}"),
                };
                // One that was removed meanwhile is not there.
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() && !name.starts_with('.') => left.push(path),
                    Ok(meta) if !meta.is_dir() && is_wanted(&name) => found.push(Listed {
                        key: Key::new(path),
                        bytes: meta.len(),
                        modified: meta.mtime(),
                        tag: None,
                    }),
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        Ok(found)
    }

    fn read(&self, key: &Key) -> io::Result<(Vec<u8>, Tag)> {
        let bytes = fs::read(self.path(key))?;
        let tag = Tag(blake3::hash(&bytes).to_hex().to_string());
        Ok((bytes, tag))
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failed(op: &'static str, object: String, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => Error::Missing { object },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::Denied {
            op,
            object,
            source: Box::new(e),
        },
        _ => Error::Unreachable {
            op,
            object,
            source: Box::new(e),
        },
    }
}

impl Shelf for Local {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        let stored = self.store(key, &bytes);
        stored.map_err(|e| failed("store", key.to_string(), e))
    }

    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        let cannot = |e| failed("store", key.to_string(), e);
        let _lock = self.lock().map_err(cannot)?;
        if self.path(key).exists() {
            return Err(Error::Exists {
                object: key.to_string(),
            });
        }
        self.store(key, &bytes).map_err(cannot)?;
        Ok(Tag(blake3::hash(&bytes).to_hex().to_string()))
    }

    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        let cannot = |e| failed("store", key.to_string(), e);
        let _lock = self.lock().map_err(cannot)?;
        let is_it = match self.read(key) {
            Ok((_, found)) => found == *tag,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(cannot(e)),
        };
        if !is_it {
            return Err(Error::Changed {
                object: key.to_string(),
            });
        }
        self.store(key, &bytes).map_err(cannot)?;
        Ok(Tag(blake3::hash(&bytes).to_hex().to_string()))
    }

    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        let cannot = |e| failed("read", key.to_string(), e);
        let found = fs::metadata(self.path(key)).map_err(cannot)?;
        if found.len() > OBJECT_BYTES_MAX {
            return Err(Error::damaged(key, "it is too long"));
        }
        self.read(key).map_err(cannot)
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.path(key))?;
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = Vec::new();
            let len = range.end.saturating_sub(range.start);
            file.take(len).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| failed("read", key.to_string(), e))
    }

    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        self.walk(dir, |name| !name.starts_with('.'))
    }

    fn unfinished(&self) -> Result<Vec<Listed>> {
        self.walk("", |name| name.starts_with(UNFINISHED))
    }

    fn delete(&self, key: &Key) -> Result<()> {
        match fs::remove_file(self.path(key)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(failed("delete", key.to_string(), e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
