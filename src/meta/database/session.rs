//! A connection, on which every file of the tables has its queries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use crate::meta::database::seen_inodes::SeenInodes;
use crate::meta::error::Result;

/// A connection, with the queries that the files of the tables give it.
#[derive(Debug)]
pub struct Session {
    conn: Connection,
    copying: CopyMark,
    seen: SeenInodes,
}

/// Whether a copy may be under way. While this is false nobody sees a state that has one, so nobody needs to look.
pub(in crate::meta) type CopyMark = Arc<AtomicBool>;

/// A connection that reads one after another have. Its lock is for the guard, which has the session for as long as the
/// read lasts and can be given back by a drop.
pub(super) type PooledReader = Arc<parking_lot::Mutex<Session>>;

impl Session {
    /// A connection that was opened by itself.
    pub(in crate::meta) fn of(conn: Connection) -> Self {
        Self::marked(conn, CopyMark::new(AtomicBool::new(true)))
    }

    /// One of several connections of an open volume, which share the mark.
    pub(in crate::meta) fn marked(conn: Connection, copying: CopyMark) -> Self {
        Self {
            conn,
            copying,
            seen: SeenInodes::default(),
        }
    }

    /// The inodes that the transaction under way has seen.
    pub(in crate::meta) const fn seen(&self) -> &SeenInodes {
        &self.seen
    }

    pub(in crate::meta) const fn conn(&self) -> &Connection {
        &self.conn
    }

    pub(in crate::meta) fn into_conn(self) -> Connection {
        self.conn
    }

    pub(super) const fn copying_mark(&self) -> &CopyMark {
        &self.copying
    }

    pub(in crate::meta) fn may_be_copying(&self) -> bool {
        self.copying.load(Ordering::SeqCst)
    }

    /// Runs a statement that has no parameters and no rows.
    pub(in crate::meta) fn run(&self, sql: &'static str) -> Result<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
