//! The log against plain SQLite, and what a full disk leaves; pages of the database that changed.

use std::ffi::c_void;
use std::fs::File;
use std::os::unix::fs::FileExt;

use rusqlite::{Connection, OpenFlags};

use super::page_sum::{PAGE_BYTES, Page, is_right};
use super::*;
use crate::meta::Error;

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

/// Of three hundred rows that overflow their pages, one index, and pages that were freed; without a log.
fn summed(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let path = dir.path().join("db");
    let conn = Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), name().unwrap());
    let conn = conn.unwrap();
    keep_sums(&conn).unwrap();
    conn.pragma_update(None, "secure_delete", "ON").unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.pragma_update(None, "cache_size", 10).unwrap();
    let fill = "CREATE TABLE t (id INTEGER PRIMARY KEY, x NOT NULL); CREATE INDEX i ON t (x);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
        INSERT INTO t SELECT i, randomblob(200 + 40 * i) FROM n; DELETE FROM t WHERE id % 3 = 0;";
    conn.execute_batch(fill).unwrap();
    conn.pragma_update(None, "journal_mode", "DELETE").unwrap();
    path
}

fn pages(path: &std::path::Path) -> Vec<Page> {
    let bytes = std::fs::read(path).unwrap();
    bytes.as_chunks::<PAGE_BYTES>().0.to_vec()
}

fn scan(dir: &tempfile::TempDir) -> Result<i64, Error> {
    let path = dir.path().join("db");
    let conn = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), name().unwrap())?;
    Ok(
        conn.query_row("SELECT sum(length(x)) FROM t NOT INDEXED", [], |row| {
            row.get(0)
        })?,
    )
}

#[test]
fn each_page_that_is_written_has_its_sum() {
    let dir = tempfile::tempdir().unwrap();
    let pages = pages(&summed(&dir));
    assert!(pages.len() > 300, "{}", pages.len());
    for (number, page) in (1..).zip(&pages) {
        assert!(is_right(page, number), "page {number}");
    }
}

#[test]
fn a_copy_has_the_sums_of_what_it_is_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = summed(&dir);
    let open = |path| {
        Connection::open_with_flags_and_vfs(path, OpenFlags::default(), name().unwrap()).unwrap()
    };
    let (source, to) = (open(path), dir.path().join("copy"));
    let mut target = open(to.clone());
    keep_sums(&target).unwrap();
    target.pragma_update(None, "cache_size", 10).unwrap();
    let backup = rusqlite::backup::Backup::new(&source, &mut target).unwrap();
    backup.step(-1).unwrap();
    drop(backup);
    for (number, page) in (1..).zip(&pages(&to)) {
        assert!(is_right(page, number), "page {number}");
    }
}

#[test]
fn a_page_that_changed_on_the_disk_is_an_error_and_never_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = summed(&dir);
    let whole = scan(&dir).unwrap();
    let (pages, file) = (
        pages(&path),
        File::options().write(true).open(&path).unwrap(),
    );
    let mut found = 0;
    for (i, page) in pages.iter().enumerate() {
        let at = (i * PAGE_BYTES) as u64;
        // In what SQLite takes for a row, by far the most of a page.
        file.write_all_at(&[page[3000] ^ 1], at + 3000).unwrap();
        match scan(&dir) {
            // A page of the index, or one that is free.
            Ok(sum) => assert_eq!(sum, whole, "page {}", i + 1),
            Err(error) => {
                assert!(matches!(error, Error::Corrupt(_)), "{error}");
                found += 1;
            }
        }
        file.write_all_at(page, at).unwrap();
    }
    assert!(found > 150, "{found}");
    // Two pages that were exchanged, each whole.
    file.write_all_at(&pages[9], 8 * PAGE_BYTES as u64).unwrap();
    file.write_all_at(&pages[8], 9 * PAGE_BYTES as u64).unwrap();
    scan(&dir).unwrap_err();
}
