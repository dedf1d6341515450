//! The frames of a commit are one write: SQLite's "unix-excl" VFS, but for the log (sqlite.org/vfs.html).
//!
//! SQLite writes the header and the page of each frame by themselves, two write(2) a page.
//! Here frames that follow each other are kept until the one that commits, which its header says (sqlite.org/
//! fileformat2.html, section 4.1: the size of the database after it, 0 in all others), and written then: before the
//! COMMIT returns, so that nothing is acknowledged that is not in the log. All else goes straight to the host. Knows no
//! table and no connection.

use std::ffi::{CStr, c_int, c_void};
use std::mem::size_of;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::OnceLock;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

/// It keeps the lock on the database for as long as it is open, and the index of the log in memory that the connections
/// of this process share: no lock is taken by a system call, and there is no `-shm` file. A volume has one server, so
/// nobody is kept out.
const INNER: &CStr = c"unix-excl";
const NAME: &CStr = c"cask";
const FRAME_HEADER_BYTES: usize = 24;
/// The inner VFS takes 17 bits of a length (`seekAndWriteFd` in os_unix.c).
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Of frames of a transaction that SQLite's cache does not hold: so much is kept of them.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

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

/// Frames that follow each other, from `at` on.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<u8>,
    at: i64,
    /// Whether the header that came last says that its frame commits.
    commits: bool,
    /// How far the log was written: what is before that is written anew, for which SQLite has reasons of its own.
    end: i64,
}

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It waits for what follows.
    Kept,
    /// All that was kept is to be written now.
    Due,
    /// It is to be written by itself, after what was kept.
    Straight,
}

impl Frames {
    fn end_of_kept(&self) -> i64 {
        self.at + i64::try_from(self.bytes.len()).unwrap_or(i64::MAX)
    }

    /// Takes a write that belongs to a frame.
    fn take(&mut self, data: &[u8], at: i64) -> Fate {
        let follows = !self.bytes.is_empty() && at == self.end_of_kept();
        let is_header = data.len() == FRAME_HEADER_BYTES;
        let begins = self.bytes.is_empty() && is_header && at >= self.end;
        if !follows && !begins {
            let end = at + i64::try_from(data.len()).unwrap_or(i64::MAX);
            // The header of the log itself: it begins anew, and all that is behind is old.
            self.end = if at == 0 { end } else { self.end.max(end) };
            return Fate::Straight;
        }
        if begins {
            self.at = at;
        }
        if let (true, Some(size)) = (is_header, data.get(4..8)) {
            self.commits = size != [0; 4];
        }
        self.bytes.extend_from_slice(data);
        self.end = self.end_of_kept();
        let is_whole = !is_header && (self.commits || self.bytes.len() >= KEPT_BYTES_MAX);
        if is_whole { Fate::Due } else { Fate::Kept }
    }
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

    /// Calls a method of the file below, after what was kept was written.
    macro_rules! pass_on {
        ($file:expr, $method:ident $(, $arg:expr)*) => {{
            // SAFETY: SQLite's own arguments, for a file that is open.
            unsafe {
                let (frames, inner) = log($file);
                match (flush(frames, inner), methods(inner).$method) {
                    (ffi::SQLITE_OK, Some(method)) => method(inner.as_ptr() $(, $arg)*),
                    (ffi::SQLITE_OK, None) => ffi::SQLITE_IOERR,
                    (code, _) => code,
                }
            }
        }};
    }

    /// Writes what was kept. What fails is forgotten: SQLite rolls the transaction back.
    ///
    /// # Safety
    /// `inner` is open.
    unsafe fn flush(frames: &mut Frames, inner: NonNull<sqlite3_file>) -> c_int {
        if frames.bytes.is_empty() {
            return ffi::SQLITE_OK;
        }
        // SAFETY: the caller's promise.
        let Some(write) = (unsafe { methods(inner).xWrite }) else {
            return ffi::SQLITE_IOERR;
        };
        let mut code = ffi::SQLITE_OK;
        let mut at = frames.at;
        for part in frames.bytes.chunks(WRITE_BYTES_MAX) {
            let len = c_int::try_from(part.len()).unwrap_or(c_int::MAX);
            if code == ffi::SQLITE_OK {
                // SAFETY: `part` has `len` bytes, and the file is open.
                code = unsafe { write(inner.as_ptr(), part.as_ptr().cast(), len, at) };
            }
            at += i64::from(len);
        }
        frames.bytes.clear();
        code
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
        }
    }

    unsafe extern "C" fn read(
        file: *mut sqlite3_file,
        data: *mut c_void,
        len: c_int,
        at: i64,
    ) -> c_int {
        pass_on!(file, xRead, data, len, at)
    }

    unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
        // SAFETY: as in `write`.
        let (frames, _) = unsafe { log(file) };
        frames.end = frames.end.min(size);
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

    fn header(commits: bool) -> [u8; FRAME_HEADER_BYTES] {
        let mut header = [7; FRAME_HEADER_BYTES];
        header[4..8].fill(u8::from(commits));
        header
    }

    #[test]
    fn frames_are_kept_until_one_commits() {
        let mut frames = Frames::default();
        assert_eq!(frames.take(&[1; 32], 0), Fate::Straight, "the log's header");
        assert_eq!(frames.take(&header(false), 32), Fate::Kept);
        assert_eq!(frames.take(&[2; 4096], 56), Fate::Kept);
        assert_eq!(frames.take(&header(true), 4152), Fate::Kept);
        assert_eq!(frames.take(&[3; 4096], 4176), Fate::Due);
        assert_eq!((frames.at, frames.bytes.len()), (32, 2 * 4120));
    }

    #[test]
    fn what_was_written_before_is_written_anew_by_itself() {
        let mut frames = Frames::default();
        frames.take(&header(false), 32);
        frames.take(&[2; 4096], 56);
        assert_eq!(frames.take(&[3; 4096], 56), Fate::Straight);
        frames.bytes.clear();
        assert_eq!(frames.take(&header(true), 32), Fate::Straight, "a checksum");
        assert_eq!(
            frames.take(&header(true), 4152),
            Fate::Kept,
            "behind the end"
        );
        frames.bytes.clear();
        assert_eq!(frames.take(&[1; 32], 0), Fate::Straight);
        assert_eq!(
            frames.take(&header(true), 32),
            Fate::Kept,
            "the log began anew"
        );
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
