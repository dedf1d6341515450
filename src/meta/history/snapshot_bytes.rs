//! How many bytes a snapshot holds, and how many it alone.

use rusqlite::params;

use crate::meta::{Result, Session, Snapshot};
use crate::types::Epoch;

// Extents by the epochs in which they are seen: one pass over the tables, whatever the number of snapshots.
const SPANS: &str = "
    SELECT born, NULL, sum(len) FROM extent GROUP BY born
    UNION ALL SELECT born, died, sum(len) FROM extent_past GROUP BY born, died";
// What `WriteTx::purge` would free, were the snapshot removed: extents born after `?1` that died in
// `?2..=?3`, and of their chunks those that nothing else names.
const UNIQUE: &str = "
    SELECT coalesce(sum(c.stored_len), 0) FROM chunk c JOIN (
        SELECT chunk, count(*) AS named FROM extent_past
        WHERE died BETWEEN ?2 AND ?3 AND born > ?1 GROUP BY chunk) e
    ON c.id = e.chunk AND c.refs = e.named";

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotBytes {
    /// Bytes of its files that data is stored for.
    pub referenced: u64,
    /// Stored bytes that come back when it is removed, and no other.
    pub unique: u64,
}

/// Bytes of extents that are seen in `born..died`; in all later epochs where there is no `died`.
struct Span {
    born: i64,
    died: Option<i64>,
    bytes: u64,
}

impl Session {
    /// All snapshots, the oldest first, and what each holds.
    pub fn measured_snapshots(&self) -> Result<Vec<(Snapshot, SnapshotBytes)>> {
        let (snapshots, spans, head) = (self.all_snapshots()?, self.spans()?, self.head()?.0);
        let pending = self.pending()?.into_iter().filter(|one| !one.is_taken);
        let hidden: Vec<Epoch> = pending.map(|one| one.epoch).collect();
        let epochs: Vec<i64> = snapshots.iter().map(|snapshot| snapshot.epoch.0).collect();
        let mut measured = Vec::new();
        for (i, snapshot) in snapshots.into_iter().enumerate() {
            let at = snapshot.epoch.0;
            let before = i.checked_sub(1).map_or(0, |before| epochs[before]);
            let after = epochs.get(i + 1).copied().unwrap_or(head);
            let seen = spans
                .iter()
                .filter(|span| span.born <= at && span.died.is_none_or(|died| at < died));
            let bytes = SnapshotBytes {
                referenced: seen.map(|span| span.bytes).sum(),
                unique: self.unique(before, at, after)?,
            };
            measured.push((snapshot, bytes));
        }
        // Only now: rows are kept for one that is not decided, too, so it counts as a neighbour of the others.
        measured.retain(|(one, _)| !hidden.contains(&one.epoch));
        Ok(measured)
    }

    fn unique(&self, before: i64, at: i64, after: i64) -> Result<u64> {
        let mut stmt = self.conn().prepare_cached(UNIQUE)?;
        let bytes: i64 = stmt.query_row(params![before, at + 1, after], |row| row.get(0))?;
        Ok(bytes.cast_unsigned())
    }

    fn spans(&self) -> Result<Vec<Span>> {
        let mut stmt = self.conn().prepare_cached(SPANS)?;
        let spans = stmt.query_map([], |row| {
            Ok(Span {
                born: row.get(0)?,
                died: row.get(1)?,
                bytes: row.get::<_, i64>(2)?.cast_unsigned(),
            })
        })?;
        spans.map(|span| Ok(span?)).collect()
    }
}
