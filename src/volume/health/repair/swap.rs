//! The repaired database takes the place of the damaged one, in steps that whoever opens the volume next goes on with.
//!
//! The log belongs to the damaged database, and must not be beside the new one: once the repaired database has its
//! name, no other is used any more, and the log and the damaged one are put aside.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::meta::log_path;
use crate::volume::error::{Error, Result};
use crate::volume::layout::DATABASE;

/// Complete, and to take the database's place.
const REPAIRED: &str = "meta.db.repaired";
/// The database as it was; when that was follows.
const KEPT: &str = "meta.db.before-";

/// Makes the database at `path` durable, and the one that volume `dir` will have.
pub(super) fn offer(path: &Path, dir: &Path) -> Result<()> {
    let cannot = |e| Error::storage(format!("cannot put {REPAIRED} in place"), e);
    durable::sync_file(path).map_err(cannot)?;
    durable::rename(path, &dir.join(REPAIRED)).map_err(cannot)
}

/// Puts a repaired database in place, if one waits for that; returns what the damaged one is called now.
pub(in crate::volume) fn finish(dir: &Path) -> Result<Option<PathBuf>> {
    let cannot = |e| Error::storage(format!("cannot put {REPAIRED} in place"), e);
    let (fresh, database) = (dir.join(REPAIRED), dir.join(DATABASE));
    let made = match fs::metadata(&fresh) {
        Ok(found) => found.mtime(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(cannot(e)),
    };
    // By the new database's time: whoever goes on with a swap that was interrupted comes to the same name.
    let kept = dir.join(format!("{KEPT}{made}"));
    keep(&database, &kept).map_err(cannot)?;
    match durable::rename(&log_path(&database), &log_path(&kept)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
        _ => {}
    }
    durable::rename(&fresh, &database).map_err(cannot)?;
    Ok(Some(kept))
}

/// A second name, or a copy where there are none: the first stays until the new database has it.
fn keep(database: &Path, kept: &Path) -> io::Result<()> {
    match fs::hard_link(database, kept) {
        Ok(()) => Ok(()),
        Err(e)
            if matches!(
                e.kind(),
                // A swap before this one came so far; or the database itself was lost, and there is nothing to keep.
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound
            ) =>
        {
            Ok(())
        }
        Err(_) => {
            fs::copy(database, kept)?;
            durable::sync_file(kept)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &[u8]) {
        durable::replace_file(path, text).unwrap();
    }

    #[test]
    fn a_swap_that_was_interrupted_anywhere_is_finished() {
        for steps in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            put(&at("meta.db"), b"damaged");
            put(&at("meta.db-wal"), b"log");
            put(&at("new"), b"whole");
            offer(&at("new"), dir.path()).unwrap();
            let made = fs::metadata(at(REPAIRED)).unwrap().mtime();
            let kept = at(&format!("{KEPT}{made}"));
            if steps > 0 {
                keep(&at("meta.db"), &kept).unwrap();
            }
            if steps > 1 {
                durable::rename(&at("meta.db-wal"), &log_path(&kept)).unwrap();
            }
            assert_eq!(finish(dir.path()).unwrap(), Some(kept.clone()));
            assert_eq!(fs::read(at("meta.db")).unwrap(), b"whole");
            assert!(!at("meta.db-wal").exists());
            assert_eq!(fs::read(&kept).unwrap(), b"damaged");
            assert_eq!(fs::read(log_path(&kept)).unwrap(), b"log");
            assert_eq!(finish(dir.path()).unwrap(), None);
        }
    }
}
