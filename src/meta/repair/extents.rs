//! Extents: within their chunk and their file, and no two for one byte. What is not certain is lost.

use std::collections::BTreeMap;

use super::Workpiece;
use crate::meta::Result;
use crate::types::ChunkId;

/// No chunk is longer, and so no extent.
const LENGTH_MAX: i64 = 1024 * 1024;
/// A file of which more is lost than so many extents say has holes there.
const PIECES_MAX: usize = 1 << 20;

const NAMED_AND_LOST: &str = "
    SELECT chunk, max(chunk_off + len) FROM (
        SELECT chunk, chunk_off, len FROM extent
        UNION ALL SELECT chunk, chunk_off, len FROM extent_past)
    WHERE chunk NOT IN (SELECT id FROM chunk) GROUP BY chunk";
const INSERT_LOST: &str = "
    INSERT INTO chunk (id, hash, segment, off, len, stored_len, codec, sums, refs, shared, live)
    VALUES (?1, zeroblob(32), 0, 0, ?2, 0, 0, x'', 1, 0, 0)";
const NEXT_CHUNK: &str = "SELECT coalesce(max(id), 0) + 1 FROM chunk";
const UNCERTAIN: &str = "
    SELECT e.ino FROM extent e JOIN chunk c ON c.id = e.chunk
        WHERE e.chunk_off < 0 OR e.chunk_off + e.len > c.len
    UNION SELECT i.ino FROM inode i JOIN extent e ON e.ino = i.ino
        WHERE i.nlink > 0 AND e.off + e.len > i.size
    UNION SELECT ino FROM (SELECT ino, off, max(off + len) OVER (PARTITION BY ino ORDER BY off
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM extent) WHERE off < before";
const SIZE: &str = "SELECT coalesce((SELECT size FROM inode WHERE ino = ?1), 9223372036854775807)";
const OF_FILE: &str = "
    SELECT e.off, e.len, e.born, e.chunk, e.chunk_off,
        e.chunk_off >= 0 AND e.chunk_off + e.len <= c.len
    FROM extent e JOIN chunk c ON c.id = e.chunk WHERE e.ino = ?1 ORDER BY e.off";
const KEEP: &str =
    "INSERT OR IGNORE INTO extent_past SELECT *, ?3 FROM extent WHERE ino = ?1 AND off = ?2";
const DELETE: &str = "DELETE FROM extent WHERE ino = ?1 AND off = ?2";
const INSERT: &str = "
    INSERT INTO extent (ino, off, born, len, chunk, chunk_off) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const UNCERTAIN_PAST: &str = "
    SELECT e.ino, e.off, e.born, e.len FROM extent_past e JOIN chunk c ON c.id = e.chunk
    WHERE e.chunk_off < 0 OR e.chunk_off + e.len > c.len";
const LOSE_PAST: &str = "
    UPDATE extent_past SET chunk = ?4, chunk_off = 0, len = ?5 WHERE ino = ?1 AND off = ?2 AND born = ?3";
const NOBODYS: &str = "
    DELETE FROM extent WHERE ino NOT IN (SELECT ino FROM inode) RETURNING ino";
const NOBODYS_ATTRIBUTES: &str = "
    DELETE FROM xattr WHERE ino NOT IN (SELECT ino FROM inode) RETURNING ino";
const WRONG_ALLOCATED: &str = "
    UPDATE inode SET allocated = (SELECT coalesce(sum(len), 0) FROM extent e WHERE e.ino = inode.ino)
    WHERE nlink > 0 AND allocated <>
        (SELECT coalesce(sum(len), 0) FROM extent e WHERE e.ino = inode.ino) RETURNING ino";

/// A row of `extent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    off: i64,
    len: i64,
    born: i64,
    /// Which bytes; none that are certain.
    bytes: Option<(i64, i64)>,
}

impl Extent {
    fn end(&self) -> i64 {
        self.off.saturating_add(self.len)
    }

    /// The part of it in `from..to`.
    fn part(&self, from: i64, to: i64) -> Self {
        let bytes = self
            .bytes
            .map(|(chunk, at)| (chunk, at + (from - self.off)));
        Self {
            off: from,
            len: to - from,
            bytes,
            ..*self
        }
    }
}

impl Workpiece {
    pub(super) fn mend_extents(&mut self) -> Result<()> {
        for query in [NOBODYS, NOBODYS_ATTRIBUTES] {
            let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
            for ino in self.inos(query)? {
                *counts.entry(ino).or_default() += 1;
            }
            for (ino, count) in counts {
                self.note(
                    None,
                    format!("{count} rows of inode {ino}, which is lost, are removed"),
                );
            }
        }
        self.note_lost_chunks()?;
        self.mend_mapping()
    }

    /// Chunks that extents name and that are in no table.
    fn note_lost_chunks(&mut self) -> Result<()> {
        let found = self.all(NAMED_AND_LOST, &[], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?))
        })?;
        for (id, _) in found {
            self.insert_lost(id, LENGTH_MAX)?;
        }
        Ok(())
    }

    fn insert_lost(&mut self, id: i64, len: i64) -> Result<()> {
        self.run(INSERT_LOST, &[&id, &len])?;
        self.lost.insert(ChunkId(id));
        Ok(())
    }

    fn new_lost(&mut self, len: i64) -> Result<i64> {
        let id = self.one(NEXT_CHUNK, &[])?;
        self.insert_lost(id, len)?;
        Ok(id)
    }

    /// Extents that reach beyond their chunk or file, or over each other; what files take.
    pub(super) fn mend_mapping(&mut self) -> Result<()> {
        for ino in self.inos(UNCERTAIN)? {
            self.mend_file(ino)?;
        }
        let past = self.all(UNCERTAIN_PAST, &[], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        })?;
        for [ino, off, born, len] in past {
            let len: i64 = LENGTH_MAX.min(len);
            let chunk = self.new_lost(len)?;
            self.run(LOSE_PAST, &[&ino, &off, &born, &chunk, &len])?;
        }
        for ino in self.inos(WRONG_ALLOCATED)? {
            self.note(
                ino,
                "what it takes is counted anew, by the data that it has",
            );
        }
        Ok(())
    }

    fn mend_file(&mut self, ino: i64) -> Result<()> {
        let size: i64 = self.one(SIZE, &[&ino])?;
        let found = self.all(OF_FILE, &[&ino], |row| {
            let certain: bool = row.get(5)?;
            Ok(Extent {
                off: row.get(0)?,
                len: row.get(1)?,
                born: row.get(2)?,
                bytes: certain.then_some((row.get(3)?, row.get(4)?)),
            })
        })?;
        let pieces = pieces(&found, size);
        let gone = found
            .iter()
            .filter(|one| one.bytes.is_none() || !pieces.contains(one));
        for one in gone {
            if one.born <= self.newest {
                self.run(KEEP, &[&ino, &one.off, &self.now])?;
            }
            self.run(DELETE, &[&ino, &one.off])?;
        }
        for piece in &pieces {
            if piece.bytes.is_some() && found.contains(piece) {
                continue;
            }
            let (chunk, at) = match piece.bytes {
                Some(bytes) => bytes,
                None => (self.new_lost(piece.len)?, 0),
            };
            let (off, len) = (piece.off, piece.len);
            self.run(INSERT, &[&ino, &off, &self.now, &len, &chunk, &at])?;
        }
        self.note(
            ino,
            "its extents did not fit its size, its chunks or each other",
        );
        Ok(())
    }
}

/// What is left of extents, sorted by offset, within `size` bytes: a byte that two of them claim is nobody's.
fn pieces(extents: &[Extent], size: i64) -> Vec<Extent> {
    let mut edges: Vec<i64> = extents
        .iter()
        .flat_map(|one| [one.off, one.end()])
        .filter(|&edge| edge < size)
        .collect();
    edges.push(size);
    edges.sort_unstable();
    edges.dedup();
    let mut pieces: Vec<(Option<usize>, Extent)> = Vec::new();
    let (mut next, mut active) = (0, Vec::new());
    for edge in edges.windows(2) {
        let (from, to) = (edge[0], edge[1]);
        while extents.get(next).is_some_and(|one| one.off <= from) {
            active.push(next);
            next += 1;
        }
        active.retain(|&i: &usize| extents[i].end() > from);
        let claims = match active.as_slice() {
            [] => continue,
            [one] => Some(*one).filter(|&i| extents[i].bytes.is_some()),
            _ => None,
        };
        match pieces.last_mut() {
            Some((owner, last)) if *owner == claims && last.end() == from => last.len += to - from,
            _ => pieces.push((claims, piece(extents, claims, &active, from, to))),
        }
    }
    pieces
        .into_iter()
        .flat_map(|(_, piece)| split(piece))
        .collect()
}

fn piece(extents: &[Extent], owner: Option<usize>, active: &[usize], from: i64, to: i64) -> Extent {
    match owner {
        Some(owner) => extents[owner].part(from, to),
        None => Extent {
            off: from,
            len: to - from,
            born: active.iter().map(|&i| extents[i].born).max().unwrap_or(0),
            bytes: None,
        },
    }
}

/// Pieces no longer than an extent may be.
fn split(piece: Extent) -> impl Iterator<Item = Extent> {
    let starts = (piece.off..piece.end()).step_by(usize::try_from(LENGTH_MAX).unwrap_or(1));
    starts
        .take(PIECES_MAX)
        .map(move |from| piece.part(from, piece.end().min(from + LENGTH_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(off: i64, len: i64, chunk: i64) -> Extent {
        Extent {
            off,
            len,
            born: 1,
            bytes: (chunk > 0).then_some((chunk, 0)),
        }
    }

    type Shown = (i64, i64, Option<(i64, i64)>);

    fn shown(extents: &[Extent], size: i64) -> Vec<Shown> {
        let pieces = pieces(extents, size).into_iter();
        pieces.map(|one| (one.off, one.len, one.bytes)).collect()
    }

    #[test]
    fn what_two_extents_claim_is_lost_and_the_rest_of_both_stays() {
        let found = shown(&[extent(0, 100, 1), extent(60, 100, 2)], 200);
        assert_eq!(
            found,
            [
                (0, 60, Some((1, 0))),
                (60, 40, None),
                (100, 60, Some((2, 40)))
            ]
        );
        let found = shown(&[extent(0, 100, 1), extent(20, 10, 2)], 200);
        assert_eq!(
            found,
            [
                (0, 20, Some((1, 0))),
                (20, 10, None),
                (30, 70, Some((1, 30)))
            ]
        );
    }

    #[test]
    fn what_fits_stays_and_what_is_behind_the_end_goes() {
        let fits = [extent(0, 10, 1), extent(10, 10, 2), extent(30, 5, 3)];
        assert_eq!(pieces(&fits, 35), fits);
        assert_eq!(
            shown(&fits, 12),
            [(0, 10, Some((1, 0))), (10, 2, Some((2, 0)))]
        );
    }

    #[test]
    fn an_uncertain_extent_is_lost_in_pieces_of_a_chunk() {
        let found = shown(&[extent(0, i64::MAX, 0)], LENGTH_MAX + 5);
        assert_eq!(found, [(0, LENGTH_MAX, None), (LENGTH_MAX, 5, None)]);
    }
}
