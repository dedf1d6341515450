//! Several states of one volume that arrive one after the other, the oldest first: each becomes a snapshot, and the last
//! is the head as well. What is as it was in the state before is there once.
//!
//! The rows of a state come into tables of their own, which are merged and cleared; numbers of chunks are those of their
//! places, which all states share.

use std::path::Path;

use super::hashed::ArrivedSnapshot;
use super::merge::{CONCLUDE, merge_rows};
use super::{Arrival, CLEAR_ROOT, Inserts};
use crate::meta::Result;
use crate::meta::schema::connect;
use crate::meta::schema::text::sql;

const APART: Inserts = Inserts {
    inode: sql!("INSERT INTO arrived.inode ({inode}) VALUES ({inode params 1})"),
    entry: sql!("INSERT INTO arrived.dentry ({dentry}) VALUES ({dentry params 1})"),
    xattr: sql!("INSERT INTO arrived.xattr ({xattr}) VALUES ({xattr params 1})"),
    extent: sql!("INSERT INTO arrived.extent ({extent}) VALUES ({extent params 1})"),
};
const CLEAR: &str = "
    DELETE FROM arrived.inode;
    DELETE FROM arrived.dentry;
    DELETE FROM arrived.xattr;
    DELETE FROM arrived.extent;";

impl Arrival {
    /// As [`Self::begin`], for several states; `state` is for one of them, and must not exist.
    ///
    /// # Errors
    /// Those of it.
    pub fn begin_states(path: &Path, scratch: &Path, state: &Path) -> Result<Self> {
        drop(connect::create(state)?);
        // It has no log from then on, and can be attached.
        drop(connect::open_copy(state)?);
        let mut arrival = Self::open(path, scratch)?;
        let conn = arrival.session.conn();
        conn.execute("ATTACH ?1 AS arrived", [state.to_string_lossy()])?;
        conn.pragma_update(Some("arrived"), "journal_mode", "OFF")?;
        conn.pragma_update(Some("arrived"), "synchronous", "OFF")?;
        arrival.session.run("BEGIN")?;
        arrival.session.run(CLEAR_ROOT)?;
        arrival.session.conn().execute_batch(CLEAR)?;
        arrival.inserts = APART;
        arrival.state = Some(state.to_owned());
        Ok(arrival)
    }

    /// All rows of a state have arrived: it is the next snapshot, and those of a later one may come.
    ///
    /// # Errors
    /// [`crate::meta::Error::Corrupt`] when there is a snapshot of its name; [`crate::meta::Error::Full`],
    /// [`crate::meta::Error::Sqlite`].
    pub fn end_state(&self, snapshot: &ArrivedSnapshot) -> Result<()> {
        debug_assert!(self.state.is_some(), "there are several states");
        let conn = self.session.conn();
        merge_rows(conn, snapshot)?;
        Ok(conn.execute_batch(CLEAR)?)
    }

    /// All states and all chunks have come: counts what names what, and commits.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_states(self) -> Result<()> {
        self.session.conn().execute_batch(CONCLUDE)?;
        self.commit_sound()
    }
}
