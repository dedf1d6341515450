//! Small reads at random of large files. The host would take some for a sequence, where what stands before them is in its
//! memory by others, and read far ahead: the caller waits for that. So their files are told to be read at random
//! (`readers.rs`), and while the host lacks what is asked for, a block around it is read in the same request to the disk.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::pread::{Source, read_exact};

/// What is read at once while the host lacks most: a disk gives it in little more time than a page, and databases come
/// back to what stands near.
const BLOCK_BYTES: u64 = 16 << 10;

/// Small reads of one store.
#[derive(Debug, Default)]
pub(super) struct Scattered {
    /// Whether the last had to wait for the disk: then the next will, too.
    was_cold: AtomicBool,
}

impl Scattered {
    /// As [`read_exact`].
    ///
    /// # Errors
    /// As [`read_exact`].
    pub(super) fn read(&self, file: &File, out: &mut [u8], offset: u64) -> io::Result<()> {
        // A disk tries a bad page for long, and would again for each that stands near: not after one that failed.
        let read = if self.was_cold.swap(false, Ordering::Relaxed) {
            read_around(file, out, offset)
        } else {
            read_exact(file, out, offset)
        };
        if read? == Source::Disk {
            self.was_cold.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn read_around(file: &File, out: &mut [u8], offset: u64) -> io::Result<Source> {
    let start = offset - offset % BLOCK_BYTES;
    let skipped = usize::try_from(offset - start).map_err(io::Error::other)?;
    let end = (offset + out.len() as u64).next_multiple_of(BLOCK_BYTES);
    let bytes = usize::try_from(end - start).map_err(io::Error::other)?;
    let mut around = vec![0; bytes];
    let Ok(source) = read_exact(file, &mut around, start) else {
        // The last block of the file, or a bad page of the disk beside what is wanted: the next is read as it is, too.
        return read_exact(file, out, offset).map(|_| Source::Memory);
    };
    out.copy_from_slice(&around[skipped..skipped + out.len()]);
    Ok(source)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::fs::{Advice, fadvise};

    use super::*;
    use crate::chunks::pread::is_here;

    const PAGE_LEN: usize = 4096;
    const PAGE: u64 = PAGE_LEN as u64;
    const PAGES: u64 = 256;

    /// A file at random positions, each page with its number, of which the host has nothing in memory.
    fn cold() -> File {
        let mut file = tempfile::tempfile().unwrap();
        for page in 0..PAGES {
            file.write_all(&[page.to_le_bytes()[0]; PAGE_LEN]).unwrap();
        }
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        fadvise(&file, 0, None, Advice::Random).unwrap();
        file
    }

    #[test]
    fn while_the_host_has_nothing_a_block_comes_along() {
        let (file, reads) = (cold(), Scattered::default());
        if is_here(&file, 200 * PAGE) {
            eprintln!("skipped: the host keeps temporary files in memory");
            return;
        }
        let mut out = [0; PAGE_LEN];
        for (page, brings_block) in [(9, false), (101, true)] {
            reads.read(&file, &mut out, page * PAGE).unwrap();
            assert_eq!(out, [page.to_le_bytes()[0]; PAGE_LEN]);
            assert_eq!(is_here(&file, (page + 2) * PAGE), brings_block);
        }
        assert!(!is_here(&file, 104 * PAGE), "of another block");
        reads.read(&file, &mut out, 102 * PAGE).unwrap();
        reads.read(&file, &mut out, 150 * PAGE).unwrap();
        assert!(!is_here(&file, 151 * PAGE), "the one before was in memory");
    }

    #[test]
    fn what_is_read_is_what_stands_there_to_the_end_of_the_file() {
        let (file, reads) = (cold(), Scattered::default());
        let end = PAGES * PAGE - 100;
        file.set_len(end).unwrap();
        let mut out = [0; 5000];
        for offset in [3 * PAGE + 1, 77 * PAGE - 3000, end - 5000] {
            reads.was_cold.store(true, Ordering::Relaxed);
            reads.read(&file, &mut out, offset).unwrap();
            let expected = (offset..offset + 5000).map(|at| (at / PAGE).to_le_bytes()[0]);
            assert!(out.iter().copied().eq(expected));
        }
        reads.was_cold.store(true, Ordering::Relaxed);
        let beyond = reads.read(&file, &mut out, end - 10).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    }
}
