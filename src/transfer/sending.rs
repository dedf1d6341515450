//! Rows of a state into runs, and chunks that are not in the repository yet into packs: all rows, or those that are others
//! than in an earlier snapshot, whose runs stay below.

use std::collections::{BTreeSet, HashSet};
use std::mem::discriminant;

use super::upload::Uploads;
use super::whither::Whither;
use super::{Error, Progress, Result, State, Watch};
use crate::remote::{
    Index, ObjectId, PackBuilder, Place, PlacedRow, PublishedRun, PushedBase, Repository, Row,
    RowKey, RunRow, RunWriter, Table,
};
use crate::types::{
    ChunkHash, EntryRow, InodeRow, RowChange, RowCursor, RowPage, StateRow, StoredRow, XattrRow,
};
use crate::volume::NamedChunks;

/// How often extents are looked up again when their chunks were moved meanwhile.
const ATTEMPTS: usize = 8;
/// Deltas that lie above each other at most: each is some bytes more for who reads.
const DELTAS_MAX: usize = 16;

/// What is sent, and where to.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) repository: &'a Repository,
    pub(super) state: &'a dyn State,
    pub(super) chunks: &'a NamedChunks,
    pub(super) watch: &'a dyn Watch,
}

/// Bytes of all rows up to which a delta saves nothing: its own trailer is as long, and who reads makes a request more.
const BASE_MIN: u64 = 2048;

/// Rows and chunks on their way.
pub(super) struct Sending<'a> {
    source: Source<'a>,
    index: Index,
    uploads: Uploads,
    pack: PackBuilder,
    run: RunWriter,
    /// Those that are there.
    runs: Vec<PublishedRun>,
    /// Bytes that the runs may take; `None` of all rows.
    room: Option<u64>,
    counts: Counts,
    /// Inodes without a name: nobody can reach them in the new place.
    unnamed: HashSet<u64>,
    /// Packs that its extents name.
    packs: BTreeSet<ObjectId>,
    whither: Whither,
    own_runs: u64,
    progress: Progress,
}

/// What there is in the state.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    inodes: u64,
    bytes: u64,
    /// Beyond that of every inode and entry.
    numbers: u64,
}

/// What was sent.
pub(super) struct Sent {
    /// Packs that the runs name.
    pub(super) packs: BTreeSet<ObjectId>,
    pub(super) numbers: u64,
    pub(super) runs: Vec<PublishedRun>,
    pub(super) deltas: Vec<Vec<PublishedRun>>,
    pub(super) inodes: u64,
    pub(super) bytes: u64,
    /// Runs that were stored.
    pub(super) own_runs: u64,
    pub(super) progress: Progress,
}

/// Whether what changed could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// It cannot be told any more, or is so much that all rows are little more.
    GivenUp,
}

impl<'a> Sending<'a> {
    pub(super) fn begin(source: Source<'a>, index: Index, uploads: Uploads) -> Result<Self> {
        let master = source.repository.master();
        Ok(Self {
            source,
            index,
            uploads,
            pack: PackBuilder::begin(master)?,
            run: RunWriter::begin(master)?,
            runs: Vec::new(),
            room: None,
            counts: Counts::default(),
            unnamed: HashSet::new(),
            packs: BTreeSet::new(),
            whither: Whither::default(),
            own_runs: 0,
            progress: Progress::default(),
        })
    }

    /// Sends what is others than in `base`, or all.
    pub(super) fn run(mut self, base: Option<&PushedBase>) -> Result<Sent> {
        let sent = match self.send(base) {
            Ok(built_on) => built_on,
            Err(error) => {
                self.uploads.give_up(&mut self.index);
                return Err(error);
            }
        };
        let (runs, deltas) = match sent {
            None => (self.runs, Vec::new()),
            Some(base) => {
                let mut deltas = base.snapshot.deltas.clone();
                // Where nothing changed there is nothing to tell.
                deltas.extend((!self.runs.is_empty()).then_some(self.runs));
                (base.snapshot.runs.clone(), deltas)
            }
        };
        let Counts {
            inodes,
            bytes,
            numbers,
        } = self.counts;
        Ok(Sent {
            packs: self.packs,
            numbers,
            runs,
            deltas,
            inodes,
            bytes,
            own_runs: self.own_runs,
            progress: self.progress,
        })
    }

    /// What it builds on, if it does.
    fn send<'b>(&mut self, base: Option<&'b PushedBase>) -> Result<Option<&'b PushedBase>> {
        let mut built_on = None;
        if let Some((base, room)) = base.and_then(|base| Some((base, room_above(base)?)))
            && self.send_changes(base, room)? == Outcome::Done
        {
            built_on = Some(base);
        }
        if built_on.is_none() {
            self.send_all()?;
        }
        self.end_pack()?;
        self.publish_index()?;
        self.index.merge(self.source.repository)?;
        Ok(built_on)
    }

    fn send_all(&mut self) -> Result<()> {
        self.run = RunWriter::begin(self.source.repository.master())?;
        self.runs.clear();
        self.room = None;
        self.counts = Counts::default();
        self.packs.clear();
        (self.progress.total, self.progress.done) = (0, 0);
        // In this order: which inodes have no name is known first.
        self.send_table(RowCursor::Inodes(0))?;
        self.send_table(RowCursor::Entries(0, Vec::new()))?;
        self.send_table(RowCursor::Extents(0, 0))?;
        self.send_table(RowCursor::Xattrs(0, Vec::new()))?;
        self.end_run().map(drop)
    }

    fn send_changes(&mut self, base: &PushedBase, room: u64) -> Result<Outcome> {
        let snapshot = &base.snapshot;
        self.run = RunWriter::begin_delta(self.source.repository.master())?;
        self.room = Some(room);
        self.counts = Counts {
            inodes: snapshot.inodes,
            bytes: snapshot.bytes,
            numbers: snapshot.numbers,
        };
        self.packs.clone_from(&base.packs);
        let (mut after, mut attempt) = (RowCursor::Inodes(0), 0);
        loop {
            let changes = self.source.state.changes(snapshot.epoch, &after);
            let Some(changes) = changes.map_err(Error::State)? else {
                return Ok(Outcome::GivenUp);
            };
            if changes.is_empty() {
                break;
            }
            let Some(reached) = self.send_each_change(changes, &after)? else {
                return Ok(Outcome::GivenUp);
            };
            attempt = if reached == after { attempt + 1 } else { 0 };
            if attempt >= ATTEMPTS {
                return Err(Error::Bug("a chunk is moved again and again"));
            }
            after = reached;
        }
        if self.run.is_empty() {
            return Ok(Outcome::Done);
        }
        self.end_run()
    }

    /// Sends changes up to an extent whose chunk was moved since; the last that was sent. `None` when they are too many.
    fn send_each_change(
        &mut self,
        changes: Vec<RowChange>,
        after: &RowCursor,
    ) -> Result<Option<RowCursor>> {
        let mut reached = after.clone();
        for change in changes {
            if change.key <= reached {
                return Err(Error::Bug("changes came in another order than is known"));
            }
            let row = match &change.row {
                None => Some(tombstone(&change.key)),
                Some(StateRow::Inode(row)) => Some(RunRow::Put(Row::Inode(row.clone()))),
                Some(StateRow::Entry(row)) => Some(RunRow::Put(Row::Entry(row.clone()))),
                Some(StateRow::Xattr(row)) => Some(RunRow::Put(Row::Xattr(row.clone()))),
                Some(StateRow::Extent(row)) => {
                    let placed = self.placed(row)?;
                    placed.map(|row| RunRow::Put(Row::Extent(row)))
                }
            };
            let Some(row) = row else {
                return Ok(Some(reached));
            };
            let Some(counts) = self.counts.after(&change) else {
                return Ok(None);
            };
            self.counts = counts;
            if let Some(StateRow::Inode(row)) = &change.row {
                self.progress.total += row.allocated;
            }
            if self.put(row)? == Outcome::GivenUp {
                return Ok(None);
            }
            reached = change.key;
        }
        Ok(Some(reached))
    }

    fn send_table(&mut self, first: RowCursor) -> Result<()> {
        let (mut after, mut attempt) = (first, 0);
        loop {
            let page = self.source.state.rows(&after).map_err(Error::State)?;
            let Some(end) = page.end() else {
                return Ok(());
            };
            if discriminant(&end) != discriminant(&after) {
                return Err(Error::Bug("other rows came than were asked for"));
            }
            let reached = match page {
                RowPage::Inodes(rows) => self.send_each(rows, Self::send_inode, end)?,
                RowPage::Entries(rows) => self.send_each(rows, Self::send_entry, end)?,
                RowPage::Xattrs(rows) => self.send_each(rows, Self::send_xattr, end)?,
                RowPage::Extents(rows) => self.send_extents(&rows, &after)?,
            };
            attempt = if reached == after { attempt + 1 } else { 0 };
            if attempt >= ATTEMPTS {
                return Err(Error::Bug("a chunk is moved again and again"));
            }
            after = reached;
        }
    }

    /// Sends all rows of a page, which ends there.
    fn send_each<T>(
        &mut self,
        rows: Vec<T>,
        send: impl Fn(&mut Self, T) -> Result<()>,
        end: RowCursor,
    ) -> Result<RowCursor> {
        rows.into_iter().try_for_each(|row| send(self, row))?;
        Ok(end)
    }

    fn send_inode(&mut self, row: InodeRow) -> Result<()> {
        if row.nlink == 0 {
            self.unnamed.insert(row.ino);
            return Ok(());
        }
        self.counts.inodes += 1;
        self.counts.bytes += row.allocated;
        self.counts.numbers = self.counts.numbers.max(row.ino + 1);
        self.progress.total += row.allocated;
        self.put(RunRow::Put(Row::Inode(row))).map(drop)
    }

    fn send_entry(&mut self, row: EntryRow) -> Result<()> {
        self.counts.numbers = self.counts.numbers.max(row.cookie + 1);
        self.put(RunRow::Put(Row::Entry(row))).map(drop)
    }

    fn send_xattr(&mut self, row: XattrRow) -> Result<()> {
        if self.unnamed.contains(&row.ino) {
            return Ok(());
        }
        self.put(RunRow::Put(Row::Xattr(row))).map(drop)
    }

    /// Sends extents up to one whose chunk was moved since; behind the last that was sent.
    fn send_extents(&mut self, rows: &[StoredRow], after: &RowCursor) -> Result<RowCursor> {
        let mut reached = after.clone();
        for row in rows {
            if !self.unnamed.contains(&row.ino) {
                let Some(placed) = self.placed(row)? else {
                    return Ok(reached);
                };
                self.put(RunRow::Put(Row::Extent(placed)))?;
            }
            reached = RowCursor::Extents(row.ino, row.off);
        }
        Ok(reached)
    }

    /// An extent with the place of its chunk in the repository; `None` when that was moved here meanwhile.
    fn placed(&mut self, row: &StoredRow) -> Result<Option<PlacedRow>> {
        let Some(place) = self.place(row)? else {
            return Ok(None);
        };
        self.progress.done += row.len;
        self.packs.insert(place.pack);
        Ok(Some(PlacedRow {
            ino: row.ino,
            off: row.off,
            len: row.len,
            chunk_off: row.chunk_off,
            place,
        }))
    }

    /// Where a chunk is in the repository, or will be; `None` when it is no longer where the row says.
    fn place(&mut self, row: &StoredRow) -> Result<Option<Place>> {
        if let Some(place) = self.place_there(row)? {
            return Ok(Some(place));
        }
        let hash = row.chunk.hash();
        if let Some(place) = self.index.find(&hash)? {
            return Ok(Some(place));
        }
        let plain = self
            .source
            .chunks
            .read(&row.chunk)
            .map_err(|source| Error::Chunk {
                ino: row.ino,
                off: row.off,
                source,
            })?;
        let Some(plain) = plain else {
            return Ok(None);
        };
        // What was in a repository until now had a stand-in for a name, by which nothing is found.
        let hash = match row.chunk.far() {
            Some(_) => ChunkHash::of(&plain),
            None => hash,
        };
        if row.chunk.far().is_some()
            && let Some(place) = self.index.find(&hash)?
        {
            return Ok(Some(place));
        }
        let place = self.pack.push(hash, plain)?;
        self.index.add(hash, place);
        if self.pack.is_full() {
            self.end_pack()?;
            if self.index.is_full() {
                self.publish_index()?;
            }
        }
        Ok(Some(place))
    }

    /// Where a chunk is that the volume itself has from this repository still.
    fn place_there(&mut self, row: &StoredRow) -> Result<Option<Place>> {
        let is_here = self.source.chunks.repository() == Some(self.source.repository.id());
        let far = row.chunk.far().filter(|_| is_here);
        let Some(place) = far.and_then(|far| Place::of_far(&far)) else {
            return Ok(None);
        };
        let index = &self.index;
        self.whither
            .find(self.source.repository, place, |pack| index.has_pack(pack))
    }

    fn put(&mut self, row: RunRow) -> Result<Outcome> {
        self.run.tell(row)?;
        if self.run.is_full() {
            return self.end_run();
        }
        Ok(Outcome::Done)
    }

    fn end_pack(&mut self) -> Result<()> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let fresh = PackBuilder::begin(self.source.repository.master())?;
        let pack = std::mem::replace(&mut self.pack, fresh).finish()?;
        self.count(pack.bytes.len());
        self.uploads.send(pack, &mut self.index)
    }

    fn publish_index(&mut self) -> Result<()> {
        self.uploads.finish(&mut self.index)?;
        Ok(self.index.publish(self.source.repository)?)
    }

    /// Stores the run, if there is room for it.
    fn end_run(&mut self) -> Result<Outcome> {
        let master = self.source.repository.master();
        let fresh = match self.room {
            None => RunWriter::begin(master)?,
            Some(_) => RunWriter::begin_delta(master)?,
        };
        let (id, bytes) = std::mem::replace(&mut self.run, fresh).finish()?;
        if let Some(room) = self.room {
            let Some(left) = room.checked_sub(bytes.len() as u64) else {
                return Ok(Outcome::GivenUp);
            };
            self.room = Some(left);
        }
        self.count(bytes.len());
        self.own_runs += 1;
        self.runs.push(self.source.repository.put_run(id, bytes)?);
        Ok(Outcome::Done)
    }

    fn count(&mut self, bytes: usize) {
        self.progress.moved += bytes as u64;
        self.progress.objects += 1;
        self.source.watch.progress(&self.progress);
    }
}

impl Counts {
    /// The same when a row has changed; `None` when more is gone than there was, which all rows put right.
    fn after(self, change: &RowChange) -> Option<Self> {
        let mut counts = self;
        match &change.row {
            Some(StateRow::Inode(row)) => {
                counts.inodes += 1;
                counts.bytes += row.allocated;
                counts.numbers = counts.numbers.max(row.ino + 1);
            }
            Some(StateRow::Entry(row)) => counts.numbers = counts.numbers.max(row.cookie + 1),
            _ => {}
        }
        if let Some(bytes) = change.before {
            counts.inodes = counts.inodes.checked_sub(1)?;
            counts.bytes = counts.bytes.checked_sub(bytes)?;
        }
        Some(counts)
    }
}

/// Bytes that one more delta may take; `None` where all rows are to be sent: what is read of a snapshot is to be little more
/// than its rows.
pub(super) fn room_above(base: &PushedBase) -> Option<u64> {
    let snapshot = &base.snapshot;
    let bytes = |runs: &[PublishedRun]| runs.iter().map(|run| run.bytes).sum::<u64>();
    let (below, deltas) = (bytes(&snapshot.runs), &snapshot.deltas);
    let above: u64 = deltas.iter().map(|runs| bytes(runs)).sum();
    let room = (below / 2).checked_sub(above)?;
    (below >= BASE_MIN && deltas.len() < DELTAS_MAX).then_some(room)
}

fn tombstone(key: &RowCursor) -> RunRow {
    let (table, key): (Table, RowKey) = match key {
        RowCursor::Inodes(ino) => (Table::Inode, (*ino, Vec::new())),
        RowCursor::Entries(parent, name) => (Table::Entry, (*parent, name.clone())),
        RowCursor::Extents(ino, off) => (Table::Extent, (*ino, off.to_be_bytes().to_vec())),
        RowCursor::Xattrs(ino, name) => (Table::Xattr, (*ino, name.clone())),
    };
    RunRow::Gone(table, key)
}
