//! SQLite's files as cask has them (sqlite.org/vfs.html): the "unix-excl" VFS, but for two of them. A commit is one write
//! of the log ([`log_file`]), and a page of the database has a sum ([`database_file`]). What is read from the disk comes
//! with its neighbours ([`cold_reads`]). All else goes straight to the host. Knows no table and no connection.

mod cold_reads;
mod database_file;
mod frames;
mod log_file;
pub(super) mod page_sum;
mod wrapped;

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};

pub(super) use database_file::{keep_sums, sums_of};

/// It keeps the lock on the database for as long as it is open, and the index of the log in memory that the connections
/// of this process share: no lock is taken by a system call, and there is no `-shm` file. A volume has one server, so
/// nobody is kept out.
const INNER: &CStr = c"unix-excl";
const NAME: &CStr = c"cask";

/// The name of the VFS, which is there from the first call on.
///
/// # Errors
/// SQLite's code, when it lacks "unix-excl" or memory.
pub(in crate::meta) fn name() -> Result<&'static CStr, c_int> {
    static REGISTERED: OnceLock<c_int> = OnceLock::new();
    match *REGISTERED.get_or_init(register) {
        ffi::SQLITE_OK => Ok(NAME),
        code => Err(code),
    }
}

fn register() -> c_int {
    // SAFETY: it only looks the name up, and initialises SQLite where that was not done.
    #[expect(unsafe_code, reason = "SQLite has no other interface for this")]
    let inner = unsafe { ffi::sqlite3_vfs_find(INNER.as_ptr()) };
    let Some(inner) = NonNull::new(inner) else {
        return ffi::SQLITE_NOTFOUND;
    };
    // SAFETY: it is registered.
    #[expect(unsafe_code, reason = "SQLite has no other interface for this")]
    let installed = unsafe { cold_reads::install(inner) };
    if installed != ffi::SQLITE_OK {
        return installed;
    }
    // SAFETY: it lives as long as the process, and is changed by nobody but the registration of others (`pNext`).
    #[expect(unsafe_code, reason = "SQLite has no other interface for this")]
    let mut vfs: sqlite3_vfs = unsafe { *inner.as_ptr() };
    vfs.szOsFile += c_int::try_from(wrapped::BYTES).unwrap_or(c_int::MAX);
    vfs.zName = NAME.as_ptr();
    vfs.xOpen = Some(open);
    vfs.pNext = ptr::null_mut();
    let vfs = Box::into_raw(Box::new(vfs));
    // SAFETY: what is registered is never freed, and whole.
    #[expect(unsafe_code, reason = "SQLite has no other interface for this")]
    unsafe {
        ffi::sqlite3_vfs_register(vfs, 0)
    }
}

/// `xOpen`: the log and the database get methods of their own, anything else is the inner VFS's alone.
#[expect(
    unsafe_code,
    reason = "called by SQLite, with the pointers of its contract"
)]
unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: as in `register`. It compares its own name, so it is given itself.
    let inner_vfs = unsafe { ffi::sqlite3_vfs_find(INNER.as_ptr()) };
    // SAFETY: registered, so it is there.
    let Some(inner_open) = (unsafe { (*inner_vfs).xOpen }) else {
        return ffi::SQLITE_CANTOPEN;
    };
    // SAFETY: SQLite's own arguments; it is called with the file's own place, or that behind what wraps it.
    let open = |file| unsafe { inner_open(inner_vfs, name, file, flags, out_flags) };
    if flags & ffi::SQLITE_OPEN_WAL != 0 {
        // SAFETY: `szOsFile` bytes are at `file`.
        unsafe { log_file::open(file, open) }
    } else if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        // SAFETY: as above.
        unsafe { database_file::open(file, open) }
    } else {
        open(file)
    }
}

#[cfg(test)]
mod tests;
