//! Where a file has data: the next bytes that extents cover, whatever is between them a hole.

use std::ops::Range;

use rusqlite::params;

use crate::meta::{Result, Session, View};
use crate::types::Ino;

// No extent is longer than a chunk (1 MiB): one that reaches over `?3` begins at most that far before.
const SEEN: &str = "
    SELECT off, len FROM extent WHERE ino = ?2 AND off > ?3 - 1048577 AND off + len > ?3 AND born <= ?1
    UNION ALL SELECT off, len FROM extent_past
        WHERE ino = ?2 AND off > ?3 - 1048577 AND off + len > ?3 AND born <= ?1 AND died > ?1
    ORDER BY off LIMIT ?4";
/// Extents that are looked at for one run.
const LOOK: usize = 1024;

/// The first of these ranges from `from` on, and what follows it without a gap.
fn first(mut ranges: Vec<Range<u64>>, from: u64) -> Option<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut ranges = ranges.into_iter().filter(|range| range.end > from);
    let mut run = ranges.next()?;
    run.start = run.start.max(from);
    for range in ranges {
        if range.start > run.end {
            break;
        }
        run.end = run.end.max(range.end);
    }
    Some(run)
}

impl Session {
    /// The next bytes of a file from `from` on that data is stored for. They may go on behind its end.
    pub fn next_run(&self, ino: Ino, from: u64) -> Result<Option<Range<u64>>> {
        let rest = from..i64::MAX.cast_unsigned();
        let own = self.extents(ino, &rest, LOOK)?;
        let mut ranges: Vec<_> = own.iter().map(|extent| extent.off..extent.end()).collect();
        ranges.extend(self.copied_ranges(ino, &rest, LOOK)?);
        Ok(first(ranges, from))
    }
}

impl View<'_> {
    /// As [`Session::next_run`].
    pub fn next_run(&self, ino: Ino, from: u64) -> Result<Option<Range<u64>>> {
        let mut stmt = self.session().conn().prepare_cached(SEEN)?;
        let (ino, from_sql) = (ino.raw().cast_signed(), from.cast_signed());
        let limit = i64::try_from(LOOK).unwrap_or(i64::MAX);
        let values = params![self.epoch().0, ino, from_sql, limit];
        let rows = stmt.query_map(values, |row| {
            let (off, len) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
            Ok(off.cast_unsigned()..(off + len).cast_unsigned())
        })?;
        let ranges = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(first(ranges, from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_is_one_run() {
        let ranges = [20..30, 0..5, 5..8, 30..31, 40..50];
        assert_eq!(first(ranges.to_vec(), 0), Some(0..8));
        assert_eq!(first(ranges.to_vec(), 6), Some(6..8));
        assert_eq!(first(ranges.to_vec(), 8), Some(20..31));
        assert_eq!(first(ranges.to_vec(), 50), None);
    }
}
