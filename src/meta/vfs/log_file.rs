//! The log's file: the frames of a commit are one write.
//!
//! SQLite writes the header and the page of each frame by themselves, two write(2) a page.
//! Here frames that follow each other are kept until the one that commits, which its header says (sqlite.org/
//! fileformat2.html, section 4.1: the size of the database after it, 0 in all others), and written then: before the
//! COMMIT returns, so that nothing is acknowledged that is not in the log. What cannot be written then is lost, and the
//! log is not gone on with behind it (`frames`). What is kept is of no commit, so nobody misses it where the rest is
//! passed on: what SQLite syncs or measures are commits, and nobody may read more.
#![expect(
    unsafe_code,
    reason = "called by SQLite, with the pointers of its contract"
)]

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods};

use super::frames::{Fate, Frames, Place};
use super::wrapped::{bytes, methods, parts, pass_on, passing, wrap};

/// The inner VFS takes 17 bits of a length (`seekAndWriteFd` in os_unix.c).
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Opens the log.
///
/// # Safety
/// As [`wrap`].
pub(super) unsafe fn open(
    file: *mut sqlite3_file,
    open: impl FnOnce(*mut sqlite3_file) -> c_int,
) -> c_int {
    // SAFETY: the caller's promise; the methods are for `Frames`.
    unsafe { wrap(file, &METHODS, open, |_| Frames::default()) }
}

/// Writes what is kept.
///
/// # Safety
/// `inner` is open.
unsafe fn flush(frames: &mut Frames, inner: NonNull<sqlite3_file>) -> c_int {
    // SAFETY: the caller's promise.
    let Some(write) = (unsafe { methods(inner).xWrite }) else {
        return ffi::SQLITE_IOERR;
    };
    let (kept, mut at) = frames.kept();
    for part in kept.chunks(WRITE_BYTES_MAX) {
        let len = c_int::try_from(part.len()).unwrap_or(c_int::MAX);
        // SAFETY: `part` has `len` bytes, and the file is open.
        let code = unsafe { write(inner.as_ptr(), part.as_ptr().cast(), len, at) };
        if code != ffi::SQLITE_OK {
            frames.note_lost(code);
            return code;
        }
        at += i64::from(len);
    }
    frames.note_written();
    ffi::SQLITE_OK
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    data: *const c_void,
    len: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite's own arguments: `len` bytes, for a file that is open.
    let ((frames, inner), bytes) = unsafe { (parts::<Frames>(file), bytes(data, len)) };
    match frames.take(bytes, at) {
        Fate::Kept => ffi::SQLITE_OK,
        // SAFETY: as above.
        Fate::Due => unsafe { flush(frames, inner) },
        Fate::Straight => pass_on!(file, xWrite, data, len, at),
        Fate::Lost(code) => code,
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    data: *mut c_void,
    len: c_int,
    at: i64,
) -> c_int {
    // SAFETY: as in `write`.
    let (frames, inner) = unsafe { parts::<Frames>(file) };
    match frames.find(at, usize::try_from(len).unwrap_or(0)) {
        Place::Kept(bytes) => {
            // SAFETY: as many bytes as `len` says, for which SQLite has room at `data`, in memory of its own.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data.cast(), bytes.len()) };
            return ffi::SQLITE_OK;
        }
        Place::Lost(code) => return code,
        Place::Both => {
            // SAFETY: the file is open.
            let code = unsafe { flush(frames, inner) };
            if code != ffi::SQLITE_OK {
                return code;
            }
        }
        Place::File => {}
    }
    pass_on!(file, xRead, data, len, at)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: as in `write`.
    let (frames, _) = unsafe { parts::<Frames>(file) };
    frames.note_cut(size);
    pass_on!(file, xTruncate, size)
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    ..passing::<Frames>()
};
