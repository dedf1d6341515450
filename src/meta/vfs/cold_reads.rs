//! Reads of SQLite's files that the host has not in memory: whoever lent the thread is told before the disk is waited
//! for, and what stands near comes along. The rows that a caller asks for next are mostly there: after a start, or when
//! the host's memory was short, a disk is asked once for many pages, and not for each.
#![expect(
    unsafe_code,
    reason = "called by SQLite, with the arguments of pread(2)"
)]

use std::ffi::{c_int, c_void};
use std::mem::transmute;
use std::ptr::NonNull;

use rusqlite::ffi::{self, sqlite3_vfs};
use rustix::io::Errno;

use crate::types::about_to_wait;

/// What comes along: as much as a disk gives in little more time than a page.
const AHEAD_BYTES: libc::off_t = 128 << 10;

type Pread = unsafe extern "C" fn(c_int, *mut c_void, usize, libc::off_t) -> isize;

/// Has the VFS read by [`pread`], from now on and in all that is opened (sqlite.org/c3ref/vfs.html, `xSetSystemCall`).
///
/// # Safety
/// `inner` is a "unix" VFS that is registered.
pub(super) unsafe fn install(inner: NonNull<sqlite3_vfs>) -> c_int {
    let ours: Pread = pread;
    // SAFETY: a VFS of version 3 has the method; SQLite calls what it gets as a pread(2), which this is.
    unsafe {
        let Some(set) = (*inner.as_ptr()).xSetSystemCall else {
            return ffi::SQLITE_NOTFOUND;
        };
        let ours = transmute::<Pread, unsafe extern "C" fn()>(ours);
        set(inner.as_ptr(), c"pread".as_ptr(), Some(ours))
    }
}

/// pread(2).
unsafe extern "C" fn pread(file: c_int, data: *mut c_void, len: usize, at: libc::off_t) -> isize {
    let room = libc::iovec {
        iov_base: data,
        iov_len: len,
    };
    // SAFETY: SQLite's own arguments: there is room for `len` bytes at `data`.
    let known = unsafe { libc::preadv2(file, &raw const room, 1, at, libc::RWF_NOWAIT) };
    if usize::try_from(known) == Ok(len) {
        return known;
    }
    // A part of it: the end of the file, or of what the host has.
    let is_cold = known > 0
        || known < 0
            && Errno::from_io_error(&std::io::Error::last_os_error()) == Some(Errno::AGAIN);
    if is_cold {
        about_to_wait();
        let lacks = at + libc::off_t::try_from(known.max(0)).unwrap_or(0);
        let start = lacks - lacks % AHEAD_BYTES;
        // SAFETY: it takes numbers only. What it fails by the read will tell.
        unsafe { libc::posix_fadvise(file, start, AHEAD_BYTES, libc::POSIX_FADV_WILLNEED) };
    }
    // SAFETY: as above.
    unsafe { libc::pread(file, data, len, at) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;
    use std::io::{IoSliceMut, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::rc::Rc;
    use std::thread::sleep;
    use std::time::Duration;

    use rustix::fs::{Advice, fadvise};
    use rustix::io::{ReadWriteFlags, preadv2};

    use super::*;
    use crate::types::on_waiting;

    const PAGE: usize = 4096;

    fn is_here(file: &File, at: libc::off_t) -> bool {
        let mut page = [0; PAGE];
        let at = u64::try_from(at).unwrap();
        let read = preadv2(
            file,
            &mut [IoSliceMut::new(&mut page)],
            at,
            ReadWriteFlags::NOWAIT,
        );
        read.is_ok()
    }

    fn read(file: &File, at: libc::off_t) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        // SAFETY: there is room for a page.
        let read = unsafe { pread(file.as_raw_fd(), page.as_mut_ptr().cast(), PAGE, at) };
        assert_eq!(usize::try_from(read), Ok(PAGE));
        page
    }

    #[test]
    fn what_the_disk_has_is_told_of_and_brings_its_neighbours() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let told = Rc::new(Cell::new(0));
        let tells = Rc::clone(&told);
        on_waiting(move || tells.set(tells.get() + 1));
        // In the middle: what is read at the beginning brings more by itself.
        let at = 4 * AHEAD_BYTES + 9 * 4096;
        assert_eq!(read(&file, at), [7; PAGE]);
        if told.get() == 0 {
            eprintln!("skipped: the host keeps temporary files in memory");
            return;
        }
        assert_eq!(read(&file, at), [7; PAGE]);
        assert_eq!(told.get(), 1, "by now it is in memory");
        // A look has the host read that page: each is at another, and none before one that was looked at.
        let mut neighbours = (10..32).rev().map(|page| 4 * AHEAD_BYTES + page * 4096);
        assert!(neighbours.any(|neighbour| {
            sleep(Duration::from_millis(20));
            is_here(&file, neighbour)
        }));
        assert!(!is_here(&file, 6 * AHEAD_BYTES));
    }
}
