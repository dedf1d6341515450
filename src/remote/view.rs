//! A snapshot in a repository as it can be looked at without pulling it: blocks of its runs, fetched when they are needed.
//!
//! Where runs lie above each other, each level is asked, the uppermost first. Small runs come whole, with what tells of
//! their blocks: what a delta adds is no further request. What is known to be needed comes together, for a round trip takes
//! longer than some blocks more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use super::at_once::ask_each;
use super::object::{Format, HEADER_BYTES, Header, Kind, ObjectOpener};
use super::run::{BlockPlace, Row, RowKey, RunRow, Table, Trailer, run_key};
use super::{Error, PlacedRow, PublishedRun, RemoteSnapshot, Repository, Result};
use crate::types::{ChunkBytes, EntryRow, InodeRow, XattrRow};

/// Blocks that are held: some thousand rows each.
const BLOCKS_MAX: std::num::NonZeroUsize = std::num::NonZeroUsize::new(128).unwrap();
/// Bytes of blocks that come with one request where all are gone through.
const SCAN_BYTES: usize = 4 * 1024 * 1024;
/// A run that is no longer is fetched whole.
const SMALL_BYTES: u64 = 64 * 1024;
/// Where blocks have as many rows as they may, what tells of them is shorter than this part of the run.
const TRAILER_PART: u64 = 32;
/// Bytes that are fetched for it at most before it is known how long it is.
const TRAILER_MAX: u64 = 1024 * 1024;
/// Blocks of a table that come for an inode before anybody asks for what is in them.
const BROUGHT_MAX: usize = 4;

/// The rows of a snapshot, by their keys.
#[derive(Debug)]
pub struct SnapshotRows {
    repository: Repository,
    runs: Vec<RunParts>,
    /// The uppermost first.
    levels: Vec<Blocks>,
    held: Mutex<LruCache<BlockName, Arc<Vec<RunRow>>>>,
}

/// For each table its blocks, by their first keys: which block of which run.
type Blocks = BTreeMap<Table, Vec<(RowKey, BlockName)>>;

/// Which run, and which block of it.
type BlockName = (usize, usize);

/// A run without its blocks.
#[derive(Debug)]
struct RunParts {
    run: PublishedRun,
    format: Format,
    opener: ObjectOpener,
    trailer: Trailer,
    /// All of it, if it is small.
    whole: Option<Vec<u8>>,
}

impl SnapshotRows {
    /// Fetches what tells where rows are.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn open(repository: &Repository, snapshot: &RemoteSnapshot) -> Result<Self> {
        let all: Vec<_> = snapshot.all_runs().copied().collect();
        let opened = ask_each(repository.shelf(), &all, |run| {
            RunParts::open(repository, *run)
        });
        let runs = opened.into_iter().collect::<Result<Vec<_>>>()?;
        let (mut levels, mut first) = (Vec::new(), 0);
        for level in snapshot.levels() {
            let end = first + level.len();
            levels.push(blocks_of(&runs, first..end)?);
            first = end;
        }
        levels.reverse();
        Ok(Self {
            repository: repository.clone(),
            runs,
            levels,
            held: Mutex::new(LruCache::new(BLOCKS_MAX)),
        })
    }

    /// Fetches together what is asked of an inode that was found: its row, its attributes, and where what it holds begins.
    /// What is damaged is told when it is looked at.
    ///
    /// # Errors
    /// See [`super::Shelf`].
    pub fn bring(&self, ino: u64) -> Result<()> {
        let keys = (ino, Vec::new())..(ino.saturating_add(1), Vec::new());
        let tables = [Table::Inode, Table::Entry, Table::Extent, Table::Xattr];
        let mut lacking = BTreeSet::new();
        for level in &self.levels {
            for table in tables {
                let needed = blocks_with(level, table, &keys).take(BROUGHT_MAX);
                lacking.extend(needed.filter(|name| self.held(*name).is_none()));
            }
        }
        let parts = neighbours(lacking);
        let brought = ask_each(self.repository.shelf(), &parts, |(run, numbers)| {
            self.hold(*run, numbers.clone()).map(drop)
        });
        let of_all = |error: &Error| !error.is_of_one_object();
        brought
            .into_iter()
            .filter_map(Result::err)
            .find(of_all)
            .map_or(Ok(()), Err)
    }

    /// An inode.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`]; see [`super::Shelf`]. So do all that follow.
    pub fn inode(&self, ino: u64) -> Result<Option<InodeRow>> {
        let found = self.find(Table::Inode, &(ino, Vec::new()))?;
        Ok(found.and_then(|row| match row {
            Row::Inode(row) => Some(row),
            _ => None,
        }))
    }

    /// The entry of this name in a directory.
    ///
    /// # Errors
    /// See [`Self::inode`].
    pub fn entry(&self, dir: u64, name: &[u8]) -> Result<Option<EntryRow>> {
        let found = self.find(Table::Entry, &(dir, name.to_vec()))?;
        Ok(found.and_then(|row| match row {
            Row::Entry(row) => Some(row),
            _ => None,
        }))
    }

    /// All entries of a directory, by name.
    ///
    /// # Errors
    /// See [`Self::inode`].
    pub fn entries(&self, dir: u64) -> Result<Vec<EntryRow>> {
        let mut found = Vec::new();
        let all = (dir, Vec::new())..(dir + 1, Vec::new());
        self.each(Table::Entry, &all, |row| {
            if let Row::Entry(row) = row {
                found.push(row.clone());
            }
        })?;
        Ok(found)
    }

    /// All extended attributes of an inode, by name.
    ///
    /// # Errors
    /// See [`Self::inode`].
    pub fn xattrs(&self, ino: u64) -> Result<Vec<XattrRow>> {
        let mut found = Vec::new();
        let all = (ino, Vec::new())..(ino + 1, Vec::new());
        self.each(Table::Xattr, &all, |row| {
            if let Row::Xattr(row) = row {
                found.push(row.clone());
            }
        })?;
        Ok(found)
    }

    /// The extents of a file that have bytes in a range, in order.
    ///
    /// # Errors
    /// See [`Self::inode`].
    pub fn extents(&self, ino: u64, range: &Range<u64>) -> Result<Vec<PlacedRow>> {
        // None is longer than a chunk: what reaches into the range begins at most that far before.
        let from = range.start.saturating_sub(ChunkBytes::MAX.get().into());
        let key = |off: u64| (ino, off.to_be_bytes().to_vec());
        let mut found = Vec::new();
        self.each(Table::Extent, &(key(from)..key(range.end)), |row| {
            if let Row::Extent(row) = row
                && row.off + row.len > range.start
            {
                found.push(*row);
            }
        })?;
        Ok(found)
    }

    /// The first extent of a file that ends behind `from`.
    ///
    /// # Errors
    /// See [`Self::inode`].
    pub fn next_extent(&self, ino: u64, from: u64) -> Result<Option<PlacedRow>> {
        let mut until = from.saturating_add(1);
        // Once where the file has data, and to its end else.
        for step in [1 << 20, u64::MAX] {
            until = until.saturating_add(step);
            if let Some(first) = self.extents(ino, &(from..until))?.first() {
                return Ok(Some(*first));
            }
        }
        Ok(None)
    }

    /// All rows of a table, in the order of their keys.
    #[must_use]
    pub fn all(&self, table: Table) -> RowCursor<'_> {
        let levels = self.levels.iter().map(|level| LevelCursor {
            rows: self,
            blocks: (level.get(&table).into_iter().flatten())
                .map(|(_, name)| *name)
                .collect(),
            ready: VecDeque::new(),
        });
        RowCursor {
            levels: levels.collect(),
            has_failed: false,
        }
    }

    /// Calls `meet` for each row of a table from the first to the last, in the order of their keys.
    fn each(&self, table: Table, keys: &Range<RowKey>, mut meet: impl FnMut(&Row)) -> Result<()> {
        if let [level] = self.levels.as_slice() {
            return self.each_of(level, table, keys, |row| {
                if let RunRow::Put(row) = row {
                    meet(row);
                }
            });
        }
        // What a level tells takes the place of what those below it do.
        let mut found: BTreeMap<RowKey, RunRow> = BTreeMap::new();
        for level in self.levels.iter().rev() {
            self.each_of(level, table, keys, |row| {
                found.insert(row.key(), row.clone());
            })?;
        }
        for row in found.values() {
            if let RunRow::Put(row) = row {
                meet(row);
            }
        }
        Ok(())
    }

    fn each_of(
        &self,
        level: &Blocks,
        table: Table,
        keys: &Range<RowKey>,
        mut meet: impl FnMut(&RunRow),
    ) -> Result<()> {
        for name in blocks_with(level, table, keys) {
            for row in self.block(name)?.iter() {
                if keys.contains(&row.key()) {
                    meet(row);
                }
            }
        }
        Ok(())
    }

    fn find(&self, table: Table, key: &RowKey) -> Result<Option<Row>> {
        for level in &self.levels {
            match self.find_in(level, table, key)? {
                Some(RunRow::Put(row)) => return Ok(Some(row)),
                Some(RunRow::Gone(..)) => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    fn find_in(&self, level: &Blocks, table: Table, key: &RowKey) -> Result<Option<RunRow>> {
        let blocks = level.get(&table).map_or(&[][..], Vec::as_slice);
        let at = blocks.partition_point(|(first, _)| first <= key);
        let Some((_, name)) = at.checked_sub(1).and_then(|at| blocks.get(at)) else {
            return Ok(None);
        };
        let block = self.block(*name)?;
        let found = block.binary_search_by(|row| row.key().cmp(key)).ok();
        Ok(found.and_then(|at| block.get(at)).cloned())
    }

    fn held(&self, name: BlockName) -> Option<Arc<Vec<RunRow>>> {
        self.held.lock().get(&name).cloned()
    }

    fn block(&self, name: BlockName) -> Result<Arc<Vec<RunRow>>> {
        if let Some(held) = self.held(name) {
            return Ok(held);
        }
        let (run, number) = name;
        let mut blocks = self.hold(run, number..number + 1)?;
        let block = blocks.pop();
        block.ok_or_else(|| Error::Bug("a block that was fetched is none".to_owned()))
    }

    /// Fetches blocks of a run that lie one behind the other, and holds them.
    fn hold(&self, run: usize, numbers: Range<usize>) -> Result<Vec<Arc<Vec<RunRow>>>> {
        let parts = self.runs.get(run);
        let parts = parts.ok_or_else(|| Error::Bug("a block is of no run".to_owned()))?;
        let blocks = parts.read_blocks(&self.repository, numbers.clone())?;
        let blocks: Vec<_> = blocks.into_iter().map(Arc::new).collect();
        let mut held = self.held.lock();
        for (number, block) in numbers.zip(&blocks) {
            held.put((run, number), Arc::clone(block));
        }
        Ok(blocks)
    }
}

/// The blocks that may have rows of these keys, in order.
fn blocks_with(
    level: &Blocks,
    table: Table,
    keys: &Range<RowKey>,
) -> impl Iterator<Item = BlockName> {
    let blocks = level.get(&table).map_or(&[][..], Vec::as_slice);
    // The last that begins before may have the first.
    let at = blocks.partition_point(|(first, _)| *first <= keys.start);
    let end = blocks.partition_point(|(first, _)| *first < keys.end);
    let some = blocks.get(at.saturating_sub(1)..end).unwrap_or_default();
    some.iter().map(|(_, name)| *name)
}

/// Those that lie one behind the other in a run, together.
fn neighbours(names: impl IntoIterator<Item = BlockName>) -> Vec<(usize, Range<usize>)> {
    let mut parts: Vec<(usize, Range<usize>)> = Vec::new();
    for (run, number) in names {
        match parts.last_mut() {
            Some((last, numbers)) if *last == run && numbers.end == number => numbers.end += 1,
            _ => parts.push((run, number..number + 1)),
        }
    }
    parts
}

/// The blocks of runs whose rows follow each other.
fn blocks_of(runs: &[RunParts], numbers: Range<usize>) -> Result<Blocks> {
    let mut blocks = Blocks::new();
    for number in numbers {
        let Some(run) = runs.get(number) else {
            return Err(Error::Bug("a run was not opened".to_owned()));
        };
        for (at, block) in run.trailer.blocks.iter().enumerate() {
            let first = block.first().ok_or_else(|| run.damaged("a key is none"))?;
            let known = blocks.entry(block.table).or_default();
            if known.last().is_some_and(|(before, _)| *before >= first) {
                return Err(run.damaged("its blocks are not in order"));
            }
            known.push((first, (number, at)));
        }
    }
    Ok(blocks)
}

/// Goes through the rows of a table.
#[derive(Debug)]
pub struct RowCursor<'r> {
    /// The uppermost first.
    levels: Vec<LevelCursor<'r>>,
    has_failed: bool,
}

/// Goes through what a level tells of a table; neighbouring blocks are fetched together.
#[derive(Debug)]
struct LevelCursor<'r> {
    rows: &'r SnapshotRows,
    blocks: VecDeque<BlockName>,
    ready: VecDeque<(RowKey, RunRow)>,
}

impl Iterator for RowCursor<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        loop {
            if self.has_failed {
                return None;
            }
            for level in &mut self.levels {
                if let Err(error) = level.fill() {
                    self.has_failed = true;
                    return Some(Err(error));
                }
            }
            let heads = self.levels.iter().filter_map(|level| level.ready.front());
            let first = heads.map(|(key, _)| key).min().cloned()?;
            // All that tell of it go on, and the uppermost is right.
            let mut told = None;
            for level in &mut self.levels {
                if let Some((_, row)) = level.ready.pop_front_if(|(key, _)| *key == first) {
                    told.get_or_insert(row);
                }
            }
            if let Some(RunRow::Put(row)) = told {
                return Some(Ok(row));
            }
        }
    }
}

impl LevelCursor<'_> {
    /// Has the next row be ready, unless there is none.
    fn fill(&mut self) -> Result<()> {
        while self.ready.is_empty() {
            let Some((run, first)) = self.blocks.pop_front() else {
                return Ok(());
            };
            let parts = self.rows.runs.get(run);
            let parts = parts.ok_or_else(|| Error::Bug("a block is of no run".to_owned()))?;
            let mut end = first + 1;
            while self.blocks.front() == Some(&(run, end))
                && parts.bytes_of(first, end) < SCAN_BYTES
            {
                self.blocks.pop_front();
                end += 1;
            }
            let rows = parts.read_blocks(&self.rows.repository, first..end)?;
            let rows = rows.into_iter().flatten();
            self.ready.extend(rows.map(|row| (row.key(), row)));
        }
        Ok(())
    }
}

impl RunParts {
    fn open(repository: &Repository, run: PublishedRun) -> Result<Self> {
        let key = run_key(&run.id);
        let damaged = |what: &str| Error::damaged(&key, what);
        let (bytes, end) = first_parts(repository, &run)?;
        let header = Header::decode(&bytes, Kind::Run, &key)?;
        if header.id != run.id {
            return Err(damaged("it is another run"));
        }
        let at = run.bytes.checked_sub(header.trailer_bytes.into());
        let at = at.filter(|at| *at >= HEADER_BYTES as u64);
        let at = at.ok_or_else(|| damaged("it is too short"))?;
        let opener = ObjectOpener::new(repository.master(), &header, &key)?;
        let before = (end.len() as u64).checked_sub(header.trailer_bytes.into());
        let trailer = match before {
            Some(before) => {
                part_of(&end, before..end.len() as u64).ok_or_else(|| damaged("it is too short"))?
            }
            None => repository.shelf().get_range(&key, at..run.bytes)?,
        };
        let trailer = opener.trailer(&trailer)?;
        let trailer = serde_json::from_slice(&trailer).map_err(|e| Error::damaged(&key, e))?;
        Ok(Self {
            run,
            format: header.format,
            opener,
            trailer,
            whole: (run.bytes <= SMALL_BYTES).then_some(bytes),
        })
    }

    fn bytes_of(&self, first: usize, end: usize) -> usize {
        let blocks = self.trailer.blocks.get(first..=end).unwrap_or_default();
        blocks.iter().map(|block| block.bytes).sum()
    }

    /// The rows of each of the blocks, which lie one behind the other.
    fn read_blocks(
        &self,
        repository: &Repository,
        numbers: Range<usize>,
    ) -> Result<Vec<Vec<RunRow>>> {
        let damaged = || self.damaged("its blocks do not follow each other");
        let blocks = self
            .trailer
            .blocks
            .get(numbers.clone())
            .ok_or_else(damaged)?;
        let (first, last) = blocks.first().zip(blocks.last()).ok_or_else(damaged)?;
        let end = last.offset.checked_add(last.bytes).ok_or_else(damaged)?;
        let key = run_key(&self.run.id);
        let range = first.offset as u64..end as u64;
        let bytes = match &self.whole {
            Some(whole) => part_of(whole, range).ok_or_else(damaged)?,
            None => repository.shelf().get_range(&key, range)?,
        };
        let mut rows = Vec::new();
        for (number, at) in numbers.zip(blocks) {
            let start = at.offset.checked_sub(first.offset).ok_or_else(damaged)?;
            let sealed = bytes.get(start..start + at.bytes).ok_or_else(damaged)?;
            rows.push(self.open_block(number, at, sealed)?);
        }
        Ok(rows)
    }

    fn open_block(&self, number: usize, at: &BlockPlace, sealed: &[u8]) -> Result<Vec<RunRow>> {
        let damaged = || self.damaged(&format!("block {number} cannot be read"));
        let block = self.opener.piece(number as u64, sealed)?;
        let rows = self.trailer.rows(self.format, at, &block);
        let rows = rows.ok_or_else(damaged)?;
        let is_sorted = rows.is_sorted_by(|a, b| a.key() < b.key());
        is_sorted.then_some(rows).ok_or_else(damaged)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(run_key(&self.run.id), what)
    }
}

/// What a run begins and what it ends with, asked for at once; of a small one all of it, twice.
fn first_parts(repository: &Repository, run: &PublishedRun) -> Result<(Vec<u8>, Vec<u8>)> {
    let (key, shelf) = (run_key(&run.id), repository.shelf());
    if run.bytes <= SMALL_BYTES {
        let whole = shelf.get_range(&key, 0..run.bytes)?;
        return Ok((whole.clone(), whole));
    }
    let end = (run.bytes / TRAILER_PART).clamp(SMALL_BYTES, TRAILER_MAX);
    let parts = [0..HEADER_BYTES as u64, run.bytes - end..run.bytes];
    let came = ask_each(shelf, &parts, |part| shelf.get_range(&key, part.clone()));
    let mut came = came.into_iter().collect::<Result<Vec<_>>>()?;
    let (end, begin) = (came.pop(), came.pop());
    begin
        .zip(end)
        .ok_or_else(|| Error::Bug("a part that was fetched is none".to_owned()))
}

fn part_of(bytes: &[u8], range: Range<u64>) -> Option<Vec<u8>> {
    let at = |at: u64| usize::try_from(at).ok();
    bytes
        .get(at(range.start)?..at(range.end)?)
        .map(<[u8]>::to_vec)
}
