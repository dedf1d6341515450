//! A file of the inner VFS with something of our own in front of it, as SQLite sees both: one block of memory. Passes on
//! what is not done otherwise.
#![expect(
    unsafe_code,
    reason = "called by SQLite, with the pointers of its contract"
)]

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::slice;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods};

/// `inner` is in the memory behind this; `own` is what is in front of it.
#[repr(C)]
struct Wrapped<T> {
    base: sqlite3_file,
    inner: NonNull<sqlite3_file>,
    own: *mut T,
}

/// What a wrapped file takes more than the one below it.
pub(super) const BYTES: usize = size_of::<Wrapped<()>>().next_multiple_of(16);

/// Has `open` open a file, and wraps it: `own` is made once it is open.
///
/// # Safety
/// At `file` is room for [`BYTES`] more than the inner VFS asks for, and `methods` are for a `T`.
pub(super) unsafe fn wrap<T>(
    file: *mut sqlite3_file,
    methods: &'static sqlite3_io_methods,
    open: impl FnOnce(*mut sqlite3_file) -> c_int,
    own: impl FnOnce(NonNull<sqlite3_file>) -> T,
) -> c_int {
    // SAFETY: the caller's promise.
    let inner = unsafe { file.byte_add(BYTES) };
    let code = open(inner);
    let (Some(inner), ffi::SQLITE_OK) = (NonNull::new(inner), code) else {
        // SAFETY: SQLite closes nothing that has no methods.
        unsafe { (*file).pMethods = ptr::null() };
        return code;
    };
    let wrapped = Wrapped {
        base: sqlite3_file { pMethods: methods },
        inner,
        own: Box::into_raw(Box::new(own(inner))),
    };
    // SAFETY: there is room, aligned as SQLite's allocator does (8 bytes), and nothing to drop.
    unsafe { ptr::write(file.cast(), wrapped) };
    code
}

/// What is in front of a file, and the file below.
///
/// # Safety
/// `file` was wrapped for a `T` and is not closed; SQLite uses a file from one thread at a time.
pub(super) unsafe fn parts<'a, T>(file: *mut sqlite3_file) -> (&'a mut T, NonNull<sqlite3_file>) {
    // SAFETY: the caller's promise; both pointers were set by `wrap`, and `own` is freed by `close` only.
    unsafe {
        let wrapped: *mut Wrapped<T> = file.cast();
        (&mut *(*wrapped).own, (*wrapped).inner)
    }
}

/// The methods of the file below.
///
/// # Safety
/// It is open.
pub(super) unsafe fn methods<'a>(inner: NonNull<sqlite3_file>) -> &'a sqlite3_io_methods {
    // SAFETY: an open file has methods, which are static.
    unsafe { &*(*inner.as_ptr()).pMethods }
}

/// What SQLite writes.
///
/// # Safety
/// At `data` are `len` bytes.
pub(super) unsafe fn bytes<'a>(data: *const c_void, len: c_int) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(data.cast(), usize::try_from(len).unwrap_or(0)) }
}

/// Calls a method of the file below one that is wrapped.
macro_rules! pass_on {
    ($file:expr, $method:ident $(, $arg:expr)*) => {{
        // SAFETY: SQLite's own arguments, for a file that is open; what is in front of it is not looked at.
        unsafe {
            let (_, inner) = $crate::meta::vfs::wrapped::parts::<()>($file);
            match $crate::meta::vfs::wrapped::methods(inner).$method {
                Some(method) => method(inner.as_ptr() $(, $arg)*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}
pub(super) use pass_on;

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    pass_on!(file, xTruncate, size)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    pass_on!(file, xSync, flags)
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    pass_on!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass_on!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass_on!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, is: *mut c_int) -> c_int {
    pass_on!(file, xCheckReservedLock, is)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, arg: *mut c_void) -> c_int {
    pass_on!(file, xFileControl, op, arg)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    pass_on!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    pass_on!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    at: *mut *mut c_void,
) -> c_int {
    pass_on!(file, xShmMap, region, size, extend, at)
}

unsafe extern "C" fn shm_lock(
    file: *mut sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    pass_on!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as in `pass_on`.
    unsafe {
        let (_, inner) = parts::<()>(file);
        if let Some(method) = methods(inner).xShmBarrier {
            method(inner.as_ptr());
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    pass_on!(file, xShmUnmap, delete)
}

/// `xClose`.
///
/// # Safety
/// `file` was wrapped for a `T`, and is not used again.
pub(super) unsafe extern "C" fn close<T>(file: *mut sqlite3_file) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let wrapped: *mut Wrapped<T> = file.cast();
        drop(Box::from_raw((*wrapped).own));
        let inner = (*wrapped).inner;
        methods(inner)
            .xClose
            .map_or(ffi::SQLITE_OK, |close| close(inner.as_ptr()))
    }
}

/// Methods that pass everything on, of a file that is never mapped (version 2: sqlite.org/c3ref/io_methods.html).
pub(super) const fn passing<T>() -> sqlite3_io_methods {
    sqlite3_io_methods {
        iVersion: 2,
        xClose: Some(close::<T>),
        xRead: None,
        xWrite: None,
        xTruncate: Some(truncate),
        xSync: Some(sync),
        xFileSize: Some(file_size),
        xLock: Some(lock),
        xUnlock: Some(unlock),
        xCheckReservedLock: Some(check_reserved_lock),
        xFileControl: Some(file_control),
        xSectorSize: Some(sector_size),
        xDeviceCharacteristics: Some(device_characteristics),
        xShmMap: Some(shm_map),
        xShmLock: Some(shm_lock),
        xShmBarrier: Some(shm_barrier),
        xShmUnmap: Some(shm_unmap),
        xFetch: None,
        xUnfetch: None,
    }
}
