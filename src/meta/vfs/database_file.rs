//! The database's file: each page that is written gets its sum, and each that is read must have it.
//!
//! The log has no such sums: its frames have checksums of SQLite's, and it is read back when a server begins. What goes
//! from it into the database passes here.
#![expect(
    unsafe_code,
    reason = "called by SQLite, with the pointers of its contract"
)]

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use rusqlite::Connection;
use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods};

use super::page_sum::{self, PAGE_BYTES, Page, Sums};
use super::wrapped::{bytes, methods, parts, pass_on, passing, wrap};

/// An operation of `xFileControl` of our own (those below 100 are SQLite's): pages get sums, whatever the header says.
const KEEP_SUMS: c_int = 0x6361_736b;
const HEADER_BYTES: c_int = 100;

struct Pages {
    sums: Sums,
    /// A page on its way to the disk: SQLite's own is not changed.
    scratch: Page,
}

/// Opens the database.
///
/// # Safety
/// As [`wrap`].
pub(super) unsafe fn open(
    file: *mut sqlite3_file,
    open: impl FnOnce(*mut sqlite3_file) -> c_int,
) -> c_int {
    // SAFETY: the caller's promise; the methods are for `Pages`.
    unsafe {
        wrap(file, &METHODS, open, |inner| Pages {
            sums: header_of(inner).unwrap_or(Sums::Absent),
            scratch: [0; PAGE_BYTES],
        })
    }
}

/// Has a new database keep sums, from the first page on that is written: its header can be one of the last.
///
/// # Errors
/// SQLite's, for a connection that has no file.
pub(in crate::meta) fn keep_sums(conn: &Connection) -> rusqlite::Result<()> {
    reserve(conn, c_int::from(page_sum::SUM_BYTES))?;
    control(conn, KEEP_SUMS, ptr::null_mut())
}

/// Whether the pages of a database have sums, by its header as SQLite has read it.
///
/// # Errors
/// SQLite's, for a connection that has no file.
pub(in crate::meta) fn sums_of(conn: &Connection) -> rusqlite::Result<Option<Sums>> {
    let kept = c_int::from(page_sum::SUM_BYTES);
    Ok(match reserve(conn, -1)? {
        0 => Some(Sums::Absent),
        bytes if bytes == kept => Some(Sums::Kept),
        _ => None,
    })
}

/// Reserves so many bytes of each page, or none if that is negative; how many were before
/// (sqlite.org/c3ref/c_fcntl_begin_atomic_write.html, `SQLITE_FCNTL_RESERVE_BYTES`).
fn reserve(conn: &Connection, mut bytes: c_int) -> rusqlite::Result<c_int> {
    control(
        conn,
        ffi::SQLITE_FCNTL_RESERVE_BYTES,
        (&raw mut bytes).cast(),
    )?;
    Ok(bytes)
}

fn control(conn: &Connection, op: c_int, arg: *mut c_void) -> rusqlite::Result<()> {
    // SAFETY: the connection is open, and the callers give what their operation takes.
    let code = unsafe { ffi::sqlite3_file_control(conn.handle(), c"main".as_ptr(), op, arg) };
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

/// What the header of a file says, which is open.
fn header_of(inner: NonNull<sqlite3_file>) -> Option<Sums> {
    let mut header = [0_u8; HEADER_BYTES as usize];
    // SAFETY: the caller has opened it, and there is room for as many bytes as are read. A file that is shorter fills the
    // rest with zeros.
    unsafe {
        let read = methods(inner).xRead?;
        read(inner.as_ptr(), header.as_mut_ptr().cast(), HEADER_BYTES, 0);
    }
    Sums::of_header(&header)
}

/// The number of the page that `len` bytes at `at` are, if they are a page.
fn page_at(len: c_int, at: i64) -> Option<u32> {
    let at = u64::try_from(at).ok()?;
    let is_page = usize::try_from(len) == Ok(PAGE_BYTES) && at.is_multiple_of(PAGE_BYTES as u64);
    is_page.then(|| page_sum::number(at))
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    data: *const c_void,
    len: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite's own arguments: `len` bytes, for a file that is open.
    let ((pages, _), bytes) = unsafe { (parts::<Pages>(file), bytes(data, len)) };
    if at == 0 {
        pages.sums = Sums::of_header(bytes).unwrap_or(pages.sums);
    }
    match (page_at(len, at), pages.sums) {
        (Some(number), Sums::Kept) => {
            pages.scratch.copy_from_slice(bytes);
            page_sum::put(&mut pages.scratch, number);
            let data = pages.scratch.as_ptr().cast();
            pass_on!(file, xWrite, data, len, at)
        }
        _ => pass_on!(file, xWrite, data, len, at),
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    data: *mut c_void,
    len: c_int,
    at: i64,
) -> c_int {
    let code = pass_on!(file, xRead, data, len, at);
    let Some(number) = page_at(len, at).filter(|_| code == ffi::SQLITE_OK) else {
        return code;
    };
    // SAFETY: SQLite's own arguments: a page was read to `data`, in memory of its own, and the file is open.
    let (pages, page) = unsafe { (parts::<Pages>(file).0, &*data.cast::<Page>()) };
    if pages.sums == Sums::Kept && !page_sum::is_right(page, number) {
        log::error!("page {number} of the database is not what was written there");
        return ffi::SQLITE_IOERR_DATA;
    }
    code
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, arg: *mut c_void) -> c_int {
    if op == KEEP_SUMS {
        // SAFETY: SQLite's own argument, for a file that is open.
        let (pages, _) = unsafe { parts::<Pages>(file) };
        pages.sums = Sums::Kept;
        return ffi::SQLITE_OK;
    }
    pass_on!(file, xFileControl, op, arg)
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    xRead: Some(read),
    xWrite: Some(write),
    xFileControl: Some(file_control),
    ..passing::<Pages>()
};
