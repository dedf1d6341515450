//! The frames of a commit are one write: SQLite's "unix-excl" VFS, but for the log (sqlite.org/vfs.html).
//!
//! SQLite writes the header and the page of each frame by themselves, two write(2) a page.
//! Here frames that follow each other are kept until the one that commits, which its header says (sqlite.org/
//! fileformat2.html, section 4.1: the size of the database after it, 0 in all others), and written then: before the
//! COMMIT returns, so that nothing is acknowledged that is not in the log. What cannot be written then is lost, and the
//! log is not gone on with behind it (`frames`). All else goes straight to the host. Knows no table and no connection.

use std::ffi::{CStr, c_int, c_void};
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::OnceLock;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use super::frames::{Fate, Frames, Place};

/// It keeps the lock on the database for as long as it is open, and the index of the log in memory that the connections
/// of this process share: no lock is taken by a system call, and there is no `-shm` file. A volume has one server, so
/// nobody is kept out.
const INNER: &CStr = c"unix-excl";
const NAME: &CStr = c"cask";
/// The inner VFS takes 17 bits of a length (`seekAndWriteFd` in os_unix.c).
const WRITE_BYTES_MAX: usize = 64 * 1024;

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

/// The log, as SQLite sees it: `inner`, which is in the memory behind this, and frames that it has not been given yet.
#[repr(C)]
struct LogFile {
    base: sqlite3_file,
    inner: NonNull<sqlite3_file>,
    frames: *mut Frames,
}

fn register() -> c_int {
    // SAFETY: it only looks the name up, and initialises SQLite where that was not done.
    #[expect(unsafe_code, reason = "SQLite has no other interface for this")]
    let inner = unsafe { ffi::sqlite3_vfs_find(INNER.as_ptr()) };
    let Some(inner) = NonNull::new(inner) else {
        return ffi::SQLITE_NOTFOUND;
    };
    // SAFETY: it lives as long as the process, and is changed by nobody but the registration of others (`pNext`).
    #[expect(unsafe_code, reason = "SQLite has no other interface for this")]
    let mut vfs: sqlite3_vfs = unsafe { *inner.as_ptr() };
    let size = size_of::<LogFile>().next_multiple_of(16);
    vfs.szOsFile += c_int::try_from(size).unwrap_or(c_int::MAX);
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

#[expect(
    unsafe_code,
    reason = "called by SQLite, with the pointers of its contract"
)]
mod calls {
    use super::*;

    /// `xOpen`: the log gets a [`LogFile`], anything else is the inner VFS's alone.
    pub(super) unsafe extern "C" fn open(
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
        if flags & ffi::SQLITE_OPEN_WAL == 0 {
            // SAFETY: SQLite's own arguments; `file` has room for more than the inner VFS asks for.
            return unsafe { inner_open(inner_vfs, name, file, flags, out_flags) };
        }
        let offset = size_of::<LogFile>().next_multiple_of(16);
        // SAFETY: `szOsFile` bytes are at `file`: as many as that, and what the inner VFS asks for.
        let inner = unsafe { file.byte_add(offset) };
        // SAFETY: as above.
        let code = unsafe { inner_open(inner_vfs, name, inner, flags, out_flags) };
        let (Some(inner), ffi::SQLITE_OK) = (NonNull::new(inner), code) else {
            // SAFETY: SQLite closes nothing that has no methods.
            unsafe { (*file).pMethods = ptr::null() };
            return code;
        };
        let log = LogFile {
            base: sqlite3_file {
                pMethods: &raw const METHODS,
            },
            inner,
            frames: Box::into_raw(Box::default()),
        };
        // SAFETY: there is room, aligned as SQLite's allocator does (8 bytes), and nothing to drop.
        unsafe { ptr::write(file.cast(), log) };
        code
    }

    /// What SQLite asked of the log.
    ///
    /// # Safety
    /// `file` was opened by [`open`] and is not closed; SQLite uses a file from one thread at a time.
    unsafe fn log<'a>(file: *mut sqlite3_file) -> (&'a mut Frames, NonNull<sqlite3_file>) {
        // SAFETY: the caller's promise; both pointers were set by `open`, and `frames` is freed by `close` only.
        unsafe {
            let log: *mut LogFile = file.cast();
            (&mut *(*log).frames, (*log).inner)
        }
    }

    /// The methods of the file below.
    ///
    /// # Safety
    /// It is open.
    unsafe fn methods<'a>(inner: NonNull<sqlite3_file>) -> &'a sqlite3_io_methods {
        // SAFETY: an open file has methods, which are static.
        unsafe { &*(*inner.as_ptr()).pMethods }
    }

    /// Calls a method of the file below. What is kept is of no commit, so nobody misses it there: what SQLite syncs or
    /// measures are commits, and nobody may read more.
    macro_rules! pass_on {
        ($file:expr, $method:ident $(, $arg:expr)*) => {{
            // SAFETY: SQLite's own arguments, for a file that is open.
            unsafe {
                let (_, inner) = log($file);
                match methods(inner).$method {
                    Some(method) => method(inner.as_ptr() $(, $arg)*),
                    None => ffi::SQLITE_IOERR,
                }
            }
        }};
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
        let (frames, inner) = unsafe { log(file) };
        // SAFETY: as above.
        let bytes =
            unsafe { slice::from_raw_parts(data.cast(), usize::try_from(len).unwrap_or(0)) };
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
        let (frames, inner) = unsafe { log(file) };
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
        let (frames, _) = unsafe { log(file) };
        frames.note_cut(size);
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

    unsafe extern "C" fn file_control(
        file: *mut sqlite3_file,
        op: c_int,
        arg: *mut c_void,
    ) -> c_int {
        pass_on!(file, xFileControl, op, arg)
    }

    unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
        pass_on!(file, xSectorSize)
    }

    unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
        pass_on!(file, xDeviceCharacteristics)
    }

    /// `xClose`: what was kept is of no commit.
    unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
        // SAFETY: opened by `open`, and closed once: nobody uses `frames` again.
        unsafe {
            let log: *mut LogFile = file.cast();
            drop(Box::from_raw((*log).frames));
            let inner = (*log).inner;
            methods(inner)
                .xClose
                .map_or(ffi::SQLITE_OK, |close| close(inner.as_ptr()))
        }
    }

    /// Version 1: a log has no shared memory of its own and is not mapped.
    static METHODS: sqlite3_io_methods = sqlite3_io_methods {
        iVersion: 1,
        xClose: Some(close),
        xRead: Some(read),
        xWrite: Some(write),
        xTruncate: Some(truncate),
        xSync: Some(sync),
        xFileSize: Some(file_size),
        xLock: Some(lock),
        xUnlock: Some(unlock),
        xCheckReservedLock: Some(check_reserved_lock),
        xFileControl: Some(file_control),
        xSectorSize: Some(sector_size),
        xDeviceCharacteristics: Some(device_characteristics),
        xShmMap: None,
        xShmLock: None,
        xShmBarrier: None,
        xShmUnmap: None,
        xFetch: None,
        xUnfetch: None,
    };
}

use calls::open;

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, OpenFlags};

    /// A full disk at the n-th pwrite(2) of SQLite on this thread, once (sqlite.org/c3ref/vfs.html, xSetSystemCall).
    #[expect(unsafe_code, reason = "SQLite has no other interface for this")]
    mod full_once {
        use super::*;
        use std::cell::Cell;
        use std::io::Write;

        type Pwrite = unsafe extern "C" fn(c_int, *const c_void, usize, i64) -> isize;

        thread_local! {
            static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        }
        static REAL: OnceLock<Pwrite> = OnceLock::new();

        unsafe extern "C" fn pwrite(fd: c_int, data: *const c_void, len: usize, at: i64) -> isize {
            let left = LEFT.get();
            LEFT.set(left.and_then(|left| left.checked_sub(1)));
            if left == Some(0) {
                // Sets errno as a full disk does.
                let mut full = std::fs::OpenOptions::new()
                    .write(true)
                    .open("/dev/full")
                    .unwrap();
                full.write_all(b"x").unwrap_err();
                return -1;
            }
            // SAFETY: SQLite's own arguments.
            unsafe { REAL.get().unwrap()(fd, data, len, at) }
        }

        /// Lets so many through before it.
        pub(super) fn after(writes: u32) {
            REAL.get_or_init(|| {
                let name = c"pwrite".as_ptr();
                // SAFETY: it is there, with both methods, as is the system call.
                unsafe {
                    let inner = ffi::sqlite3_vfs_find(INNER.as_ptr());
                    let real = (*inner).xGetSystemCall.unwrap()(inner, name).unwrap();
                    let ours: Pwrite = pwrite;
                    let ours = std::mem::transmute::<Pwrite, unsafe extern "C" fn()>(ours);
                    (*inner).xSetSystemCall.unwrap()(inner, name, Some(ours));
                    std::mem::transmute::<unsafe extern "C" fn(), Pwrite>(real)
                }
            });
            LEFT.set(Some(writes));
        }

        /// Whether it has come.
        pub(super) fn has_come() -> bool {
            LEFT.take().is_none()
        }
    }

    type Rows = Vec<(i64, Vec<u8>)>;

    fn rows(conn: &Connection) -> Rows {
        let ok: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(ok, "ok");
        let mut all = conn.prepare("SELECT id, x FROM t ORDER BY id").unwrap();
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(|row| row.unwrap()).collect()
    }

    /// As SQLite by itself finds it, from what is in the files.
    fn rows_of_files(dir: &tempfile::TempDir) -> Rows {
        let copy = tempfile::tempdir().unwrap();
        for file in ["db", "db-wal"] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        rows(&Connection::open(copy.path().join("db")).unwrap())
    }

    /// Nothing but a full disk is what a full disk looks like.
    fn may_be_full<T>(done: rusqlite::Result<T>) {
        if let Err(error) = done {
            let code = error.sqlite_error_code();
            assert_eq!(code, Some(rusqlite::ErrorCode::DiskFull), "{error}");
        }
    }

    /// A transaction that the cache does not hold, of so many steps, each of which may fail by itself and is gone on after.
    /// Some errors end the transaction early.
    fn change_much(conn: &Connection, round: i64, steps: i64) {
        conn.execute_batch("BEGIN").unwrap();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
            INSERT INTO t SELECT i + ?1, zeroblob(3000) FROM n";
        // Of many rows, of which one could break a constraint: SQLite then ends the statement alone.
        let change = "UPDATE t SET x = CAST(replace(hex(zeroblob(1500)), '00', ?1) AS BLOB)";
        for step in 0..steps {
            may_be_full(conn.execute(fill, [1000 * round + 100 * step]));
            may_be_full(conn.execute(change, [format!("{round}{step}")]));
            if conn.is_autocommit() {
                return;
            }
        }
        may_be_full(conn.execute_batch("COMMIT"));
        if !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK").unwrap();
        }
    }

    /// A transaction of so many steps on a disk that is full at that write, and another one; whether it came to that.
    fn change_on_full(steps: i64, writes: u32) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let conn = connect(&dir);
        conn.pragma_update(None, "cache_size", 10).unwrap();
        conn.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x NOT NULL)")
            .unwrap();
        conn.execute("INSERT INTO t VALUES (1, x'01')", []).unwrap();
        full_once::after(writes);
        change_much(&conn, 1, steps);
        let has_come = full_once::has_come();
        let first = rows(&conn);
        assert_eq!(rows_of_files(&dir), first, "after {writes}");
        change_much(&conn, 2, steps);
        let both = rows(&conn);
        assert_eq!(
            both.len(),
            first.len() + usize::try_from(100 * steps).unwrap()
        );
        assert_eq!(rows_of_files(&dir), both, "after {writes}");
        assert_eq!(rows(&connect(&dir)), both, "after {writes}");
        has_come
    }

    #[test]
    fn a_log_that_was_full_once_has_all_commits_and_nothing_else() {
        for steps in [1, 3] {
            let mut writes = 0;
            while change_on_full(steps, writes) {
                writes += 1 + writes / 4;
            }
            assert!(writes > 3, "no more than {writes} are made");
        }
    }

    fn connect(dir: &tempfile::TempDir) -> Connection {
        let path = dir.path().join("db");
        let conn = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), name().unwrap());
        let conn = conn.unwrap();
        conn.pragma_update(None, "journal_mode", "WAL").unwrap();
        conn.pragma_update(None, "synchronous", "NORMAL").unwrap();
        conn.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        conn
    }

    /// write(2) and its like, by this thread.
    fn writes() -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let count = io.lines().find_map(|line| line.strip_prefix("syscw: "));
        count.unwrap().parse().unwrap()
    }

    #[test]
    fn a_commit_is_one_write_and_others_see_it() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reader) = (connect(&dir), connect(&dir));
        writer
            .execute_batch("CREATE TABLE a (x); CREATE TABLE b (x); INSERT INTO a VALUES (0)")
            .unwrap();
        let before = writes();
        writer
            .execute_batch("BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (2); COMMIT")
            .unwrap();
        assert_eq!(writes() - before, 1);
        let sum = "SELECT (SELECT sum(x) FROM a) + (SELECT sum(x) FROM b)";
        let sum: i64 = reader.query_row(sum, [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 3);
    }

    /// With a cache of some pages SQLite writes frames before the commit, writes them anew, and rolls them back.
    #[test]
    fn transactions_that_the_cache_does_not_hold_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let conn = connect(&dir);
        conn.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
            .unwrap();
        conn.pragma_update(None, "cache_size", 10).unwrap();
        let fill = |round: i64| {
            conn.execute_batch("BEGIN").unwrap();
            for pass in 0..2 {
                for id in 0..600 {
                    let x = vec![u8::try_from(round).unwrap(); 3000 + pass];
                    let put = "INSERT OR REPLACE INTO t VALUES (?1, ?2)";
                    conn.execute(put, rusqlite::params![id, x]).unwrap();
                }
            }
        };
        for round in 0..6 {
            fill(round);
            let end = if round % 2 == 0 { "COMMIT" } else { "ROLLBACK" };
            conn.execute_batch(end).unwrap();
            if round == 2 {
                conn.execute_batch("PRAGMA wal_checkpoint(RESTART)")
                    .unwrap();
            }
        }
        let check = |conn: &Connection| {
            let ok: String = conn
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(ok, "ok");
            let sql = "SELECT count(*), min(x) = max(x), min(substr(x, 1, 1)) FROM t";
            let all = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let found: (i64, bool, Vec<u8>) = conn.query_row(sql, [], all).unwrap();
            assert_eq!(found, (600, true, vec![4]));
        };
        check(&conn);
        check(&connect(&dir));
        // As a server that takes over finds it, from the log alone.
        let copy = tempfile::tempdir().unwrap();
        for file in ["db", "db-wal"] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        check(&connect(&copy));
    }
}
