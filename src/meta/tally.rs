//! What the tables hold, counted as they change: nobody has to look at every row to know.
//!
//! The counts are exact as of the last commit. They are stored when the database is closed, and counted
//! anew, beside the writers, after it was not.

use std::collections::BTreeMap;

use rusqlite::params;

use super::database::Writer;
use super::setting::Setting;
use super::{Database, ReadTx, Result, Session, WriteTx};
use crate::types::{Location, SegmentId, record_bytes};

const INODES: &str = "SELECT count(*) FROM inode";
// What copies have still to write counts as if they had.
const EXTENTS: &str = "
    SELECT count(*), coalesce(sum(len), 0) + (SELECT coalesce(sum(bytes), 0) FROM copying) FROM extent";
// A record is its header and its bytes, to the next multiple of 8 (`types::record_bytes`).
const CHUNKS: &str = "
    SELECT segment, live > 0, count(*), sum(len), sum(stored_len), sum((stored_len + 71) & ~7)
    FROM chunk GROUP BY segment, live > 0";
const TOTALS: &str = "SELECT inodes, extents, logical, head_chunks, head_plain, head_stored,
    past_chunks, past_plain, past_stored FROM tally";
const SEGMENTS: &str = "SELECT id, chunks, bytes FROM segment";
const CLEAR: [&str; 2] = ["DELETE FROM tally", "DELETE FROM segment"];
const STORE_TOTALS: &str = "INSERT INTO tally (inodes, extents, logical, head_chunks, head_plain,
    head_stored, past_chunks, past_plain, past_stored) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const STORE_SEGMENT: &str = "INSERT INTO segment (id, chunks, bytes) VALUES (?1, ?2, ?3)";

/// What the tables hold, or by how much that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Inodes of the head, and those without a name that wait to be freed.
    pub inodes: i64,
    /// Extents of the head.
    pub extents: i64,
    /// Bytes that those extents cover, and those that copies under way will.
    pub logical: i64,
    /// Chunks that extents of the head name.
    pub head: Stored,
    /// Chunks that only extents of snapshots name.
    pub past: Stored,
    /// What each segment holds that is named; those that hold nothing are left out.
    pub segments: BTreeMap<SegmentId, InSegment>,
}

/// A set of chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// How many.
    pub chunks: i64,
    /// Their bytes of plaintext.
    pub plain: i64,
    /// Their bytes as they are stored.
    pub stored: i64,
}

/// What a segment holds that is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InSegment {
    /// Chunks.
    pub chunks: i64,
    /// Bytes of their records.
    pub bytes: i64,
}

impl Tally {
    /// Bytes of all records that are named.
    #[must_use]
    pub fn record_bytes(&self) -> i64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.inodes += more.inodes;
        self.extents += more.extents;
        self.logical += more.logical;
        self.head.add(more.head);
        self.past.add(more.past);
        for (&id, part) in &more.segments {
            self.add_to_segment(id, *part);
        }
    }

    fn add_to_segment(&mut self, id: SegmentId, more: InSegment) {
        if id == SegmentId::LOST {
            return;
        }
        let segment = self.segments.entry(id).or_default();
        segment.chunks += more.chunks;
        segment.bytes += more.bytes;
        if *segment == InSegment::default() {
            self.segments.remove(&id);
        }
    }

    /// `by` chunks more (1 or -1) whose record is at `at`.
    pub(super) fn place(&mut self, at: &Location, by: i64) {
        let bytes = record_bytes(at.stored_len).cast_signed();
        let part = InSegment {
            chunks: by,
            bytes: by * bytes,
        };
        self.add_to_segment(at.segment, part);
    }
}

impl Stored {
    pub(super) fn of(at: &Location) -> Self {
        Self {
            chunks: 1,
            plain: at.len.into(),
            stored: at.stored_len.into(),
        }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.chunks += more.chunks;
        self.plain += more.plain;
        self.stored += more.stored;
    }

    pub(super) fn take(&mut self, less: Self) {
        self.chunks -= less.chunks;
        self.plain -= less.plain;
        self.stored -= less.stored;
    }
}

/// The counts of an open database.
#[derive(Debug)]
pub(super) struct Counting {
    /// All there is, or when that is not known, what was added since the count that is under way began.
    total: Tally,
    known: Known,
    pub(super) on_disk: OnDisk,
    /// Since the database was opened.
    pub(super) commits: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

/// Whether the counts that the database holds are those of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDisk {
    Valid,
    Stale,
}

impl Counting {
    /// What was stored when the database was last closed, if that is still true.
    pub(super) fn load(session: &Session) -> Result<Self> {
        if session.setting(Setting::Counted)? == 0 {
            return Ok(Self {
                total: Tally::default(),
                known: Known::No,
                on_disk: OnDisk::Stale,
                commits: 0,
            });
        }
        Ok(Self {
            total: session.stored_tally()?,
            known: Known::Yes,
            on_disk: OnDisk::Valid,
            commits: 0,
        })
    }

    pub(super) fn add(&mut self, more: &Tally) {
        self.total.add(more);
    }

    /// The rows were changed in a way that was not counted.
    pub(super) fn forget(&mut self) {
        self.total = Tally::default();
        self.known = Known::No;
    }
}

impl Database {
    /// What the tables hold, as of the last commit. The first call after an unclean end looks at every row,
    /// beside the writers.
    ///
    /// # Errors
    /// I/O errors.
    pub fn tally(&self) -> Result<Tally> {
        self.with_tally(Tally::clone)
    }

    /// As [`Self::tally`], for `look` to take what it needs.
    ///
    /// # Errors
    /// I/O errors.
    pub fn with_tally<T>(&self, look: impl Fn(&Tally) -> T) -> Result<T> {
        loop {
            {
                let writer = self.locked_writer();
                if writer.counting.known == Known::Yes {
                    return Ok(look(&writer.counting.total));
                }
            }
            self.count()?;
        }
    }

    /// A read, and what the tables hold in the state that it sees, if that is known.
    pub(super) fn read_with_tally(&self) -> Result<(ReadTx<'_>, Option<Tally>)> {
        let writer = self.locked_writer();
        let reader = self.read_long_now()?;
        let known = writer.counting.known == Known::Yes;
        Ok((reader, known.then(|| writer.counting.total.clone())))
    }

    /// Counts all rows of one state, and adds what commits changed meanwhile.
    fn count(&self) -> Result<()> {
        let _one_at_a_time = self.count_lock();
        let reader = {
            let mut writer = self.locked_writer();
            if writer.counting.known == Known::Yes {
                return Ok(());
            }
            // The reader sees every commit up to here, and the tally every one from here on.
            writer.counting.forget();
            self.read_long_now()?
        };
        let counted = reader.counted()?;
        // A thread with a reader must not wait for the writer.
        drop(reader);
        let mut writer = self.locked_writer();
        writer.counting.total.add(&counted);
        writer.counting.known = Known::Yes;
        Ok(())
    }
}

impl Session {
    /// Counts all rows.
    ///
    /// # Errors
    /// I/O errors.
    pub fn counted(&self) -> Result<Tally> {
        let mut tally = Tally {
            inodes: self.conn().query_row(INODES, [], |row| row.get(0))?,
            ..Tally::default()
        };
        (tally.extents, tally.logical) = self
            .conn()
            .query_row(EXTENTS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut stmt = self.conn().prepare(CHUNKS)?;
        let mut rows = stmt.query([])?;
        while let Some(row) = rows.next()? {
            let stored = Stored {
                chunks: row.get(2)?,
                plain: row.get(3)?,
                stored: row.get(4)?,
            };
            if row.get(1)? {
                tally.head.add(stored);
            } else {
                tally.past.add(stored);
            }
            let part = InSegment {
                chunks: stored.chunks,
                bytes: row.get(5)?,
            };
            tally.add_to_segment(SegmentId::from_raw(row.get(0)?), part);
        }
        Ok(tally)
    }

    fn stored_tally(&self) -> Result<Tally> {
        let mut tally = self.conn().query_row(TOTALS, [], |row| {
            let stored = |at: usize| {
                Ok::<_, rusqlite::Error>(Stored {
                    chunks: row.get(at)?,
                    plain: row.get(at + 1)?,
                    stored: row.get(at + 2)?,
                })
            };
            Ok(Tally {
                inodes: row.get(0)?,
                extents: row.get(1)?,
                logical: row.get(2)?,
                head: stored(3)?,
                past: stored(6)?,
                segments: BTreeMap::new(),
            })
        })?;
        let mut stmt = self.conn().prepare(SEGMENTS)?;
        let mut rows = stmt.query([])?;
        while let Some(row) = rows.next()? {
            let part = InSegment {
                chunks: row.get(1)?,
                bytes: row.get(2)?,
            };
            tally
                .segments
                .insert(SegmentId::from_raw(row.get(0)?), part);
        }
        Ok(tally)
    }

    fn store_tally(&self, tally: &Tally) -> Result<()> {
        for clear in CLEAR {
            self.conn().execute(clear, [])?;
        }
        self.conn().execute(
            STORE_TOTALS,
            params![
                tally.inodes,
                tally.extents,
                tally.logical,
                tally.head.chunks,
                tally.head.plain,
                tally.head.stored,
                tally.past.chunks,
                tally.past.plain,
                tally.past.stored
            ],
        )?;
        let mut stmt = self.conn().prepare(STORE_SEGMENT)?;
        for (id, part) in &tally.segments {
            stmt.execute(params![id.raw(), part.chunks, part.bytes])?;
        }
        self.set_setting(Setting::Counted, 1)
    }
}

impl Writer {
    /// Stores the counts, for the next open; one that fails only makes it count.
    pub(super) fn keep_tally(&self) {
        if self.counting.known == Known::No || self.counting.on_disk == OnDisk::Valid {
            return;
        }
        let stored = self
            .session
            .run("BEGIN IMMEDIATE")
            .and_then(|()| self.session.store_tally(&self.counting.total))
            .and_then(|()| self.session.run("COMMIT"));
        if let Err(error) = stored {
            log::debug!("the counts are not stored: {error}");
            // Nothing is under way if SQLite rolled back by itself.
            drop(self.session.run("ROLLBACK"));
        }
    }
}

impl WriteTx<'_> {
    /// What the head would hold, were the transaction committed now; `None` while it is being counted.
    #[must_use]
    pub fn head_totals(&self) -> Option<HeadTotals> {
        let counting = &self.writer.counting;
        let sum = |total: i64, more: i64| u64::try_from(total + more).unwrap_or(0);
        (counting.known == Known::Yes).then(|| HeadTotals {
            inodes: sum(counting.total.inodes, self.tally.inodes),
            logical_bytes: sum(counting.total.logical, self.tally.logical),
        })
    }

    /// What this transaction added so far.
    #[must_use]
    pub const fn added(&self) -> &Tally {
        &self.tally
    }
}

/// What limits are set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadTotals {
    /// Inodes, and those that wait to be freed.
    pub inodes: u64,
    /// Bytes that extents cover.
    pub logical_bytes: u64,
}
