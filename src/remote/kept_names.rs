//! What is kept of objects in a directory of a remote's cache, by their ids. These files only save requests; pushes and
//! collections of this host write them, and clean up, beside each other.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::object::ObjectId;

/// What has no id for a name is another's that is being written; older than this, of a process that was killed.
const UNFINISHED_AGE: Duration = Duration::from_hours(1);

/// What a directory held at one time.
#[derive(Debug)]
pub(super) struct KeptNames(Vec<PathBuf>);

impl KeptNames {
    /// Before the store is asked what is there: what another push stores and keeps after that is not in the list.
    ///
    /// # Errors
    /// Those of readdir(3); a directory that is not there is empty.
    pub(super) fn now_in(dir: &Path) -> io::Result<Self> {
        let entries = match fs::read_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self(Vec::new())),
            entries => entries?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<io::Result<_>>().map(Self)
    }

    /// Removes those whose objects are not there any more, and what was left unfinished.
    pub(super) fn remove_unless(self, is_there: impl Fn(&ObjectId) -> bool) {
        for path in self.0 {
            let is_done_with = match id_of(&path) {
                Some(id) => !is_there(&id),
                None => is_abandoned(&path),
            };
            if is_done_with {
                remove(&path);
            }
        }
    }

    /// Those of objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().filter(|path| id_of(path).is_some())
    }
}

/// Removes a file that another may have removed.
pub(super) fn remove(path: &Path) {
    if let Err(e) = fs::remove_file(path)
        && e.kind() != io::ErrorKind::NotFound
    {
        log::debug!("cannot remove {}: {e}", path.display());
    }
}

fn id_of(path: &Path) -> Option<ObjectId> {
    path.file_name().and_then(OsStr::to_str)?.parse().ok()
}

fn is_abandoned(path: &Path) -> bool {
    let written = fs::symlink_metadata(path).and_then(|found| found.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok());
    age.is_some_and(|age| age > UNFINISHED_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::SystemTime;

    #[test]
    fn what_others_write_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let make = |name: &str| File::create(path(name)).unwrap();
        let id = |digit: &str| digit.repeat(64);
        let writing = format!("{}.7-0.new", id("3"));
        let killed = format!("{}.6-0.new", id("3"));
        for name in [&id("1"), &id("2"), &writing] {
            make(name);
        }
        make(&killed).set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let names = KeptNames::now_in(dir.path()).unwrap();
        make(&id("4"));
        names.remove_unless(|object| object.to_string() == id("1"));
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [id("1"), writing, id("4")]);
    }
}
