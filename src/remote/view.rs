//! A snapshot in a repository as it can be looked at without pulling it: blocks of its runs, fetched when they are needed.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use lru::LruCache;
use parking_lot::Mutex;

use super::object::{HEADER_BYTES, Header, Kind, ObjectOpener};
use super::run::{BlockPlace, Row, RowKey, Table, Trailer, run_key};
use super::{Error, PlacedRow, PublishedRun, RemoteSnapshot, Repository, Result};
use crate::types::{ChunkBytes, EntryRow, InodeRow, XattrRow};

/// Blocks that are held: some thousand rows each.
const BLOCKS_MAX: std::num::NonZeroUsize = std::num::NonZeroUsize::new(128).unwrap();
/// Bytes of blocks that come with one request where all are gone through.
const SCAN_BYTES: usize = 4 * 1024 * 1024;
/// Runs whose directories are fetched at once.
const AT_ONCE: usize = 8;

/// The rows of a snapshot, by their keys.
#[derive(Debug)]
pub struct SnapshotRows {
    repository: Repository,
    runs: Vec<RunParts>,
    /// For each table its blocks, by their first keys: which block of which run.
    blocks: BTreeMap<Table, Vec<(RowKey, BlockName)>>,
    held: Mutex<LruCache<BlockName, Arc<Vec<Row>>>>,
}

/// Which run, and which block of it.
type BlockName = (usize, usize);

/// A run without its blocks.
#[derive(Debug)]
struct RunParts {
    run: PublishedRun,
    opener: ObjectOpener,
    trailer: Trailer,
}

impl SnapshotRows {
    /// Fetches what tells where rows are.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Newer`]; see [`super::Shelf`].
    pub fn open(repository: &Repository, snapshot: &RemoteSnapshot) -> Result<Self> {
        let mut runs = Vec::with_capacity(snapshot.runs.len());
        for some in snapshot.runs.chunks(AT_ONCE) {
            let opened = thread::scope(|scope| {
                let threads = some.iter().map(|run| {
                    let run = *run;
                    scope.spawn(move || RunParts::open(repository, run))
                });
                let threads: Vec<_> = threads.collect();
                let joined = threads.into_iter().map(|thread| {
                    let panicked = |_| Error::Bug("a thread that fetches panicked".to_owned());
                    thread.join().map_err(panicked)?
                });
                joined.collect::<Result<Vec<_>>>()
            });
            runs.extend(opened?);
        }
        let mut blocks: BTreeMap<Table, Vec<(RowKey, BlockName)>> = BTreeMap::new();
        for (number, run) in runs.iter().enumerate() {
            for (at, block) in run.trailer.blocks.iter().enumerate() {
                let first = block.first().ok_or_else(|| run.damaged("a key is none"))?;
                let known = blocks.entry(block.table).or_default();
                if known.last().is_some_and(|(before, _)| *before >= first) {
                    return Err(run.damaged("its blocks are not in order"));
                }
                known.push((first, (number, at)));
            }
        }
        Ok(Self {
            repository: repository.clone(),
            runs,
            blocks,
            held: Mutex::new(LruCache::new(BLOCKS_MAX)),
        })
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
        RowCursor {
            rows: self,
            blocks: self
                .blocks_of(table)
                .iter()
                .map(|(_, name)| *name)
                .collect(),
            ready: VecDeque::new(),
        }
    }

    /// Calls `meet` for each row of a table from the first to the last, in the order of their keys.
    fn each(&self, table: Table, keys: &Range<RowKey>, mut meet: impl FnMut(&Row)) -> Result<()> {
        let blocks = self.blocks_of(table);
        // The last that begins before may have the first.
        let at = blocks.partition_point(|(first, _)| *first <= keys.start);
        for (first, name) in &blocks[at.saturating_sub(1)..] {
            if *first >= keys.end {
                break;
            }
            for row in self.block(*name)?.iter() {
                if keys.contains(&row.key()) {
                    meet(row);
                }
            }
        }
        Ok(())
    }

    fn find(&self, table: Table, key: &RowKey) -> Result<Option<Row>> {
        let blocks = self.blocks_of(table);
        let at = blocks.partition_point(|(first, _)| first <= key);
        let Some((_, name)) = at.checked_sub(1).and_then(|at| blocks.get(at)) else {
            return Ok(None);
        };
        let block = self.block(*name)?;
        let found = block.binary_search_by(|row| row.key().cmp(key)).ok();
        Ok(found.and_then(|at| block.get(at)).cloned())
    }

    fn blocks_of(&self, table: Table) -> &[(RowKey, BlockName)] {
        self.blocks.get(&table).map_or(&[], Vec::as_slice)
    }

    fn block(&self, name: BlockName) -> Result<Arc<Vec<Row>>> {
        if let Some(held) = self.held.lock().get(&name) {
            return Ok(Arc::clone(held));
        }
        let (run, number) = name;
        let run = self.runs.get(run);
        let run = run.ok_or_else(|| Error::Bug("a block is of no run".to_owned()))?;
        let rows = run.read_blocks(&self.repository, number..number + 1)?;
        let rows = Arc::new(rows);
        self.held.lock().put(name, Arc::clone(&rows));
        Ok(rows)
    }
}

/// Goes through the rows of a table; neighbouring blocks are fetched together.
#[derive(Debug)]
pub struct RowCursor<'r> {
    rows: &'r SnapshotRows,
    blocks: VecDeque<BlockName>,
    ready: VecDeque<Row>,
}

impl Iterator for RowCursor<'_> {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        while self.ready.is_empty() {
            let (run, first) = self.blocks.pop_front()?;
            let Some(parts) = self.rows.runs.get(run) else {
                return Some(Err(Error::Bug("a block is of no run".to_owned())));
            };
            let mut end = first + 1;
            while self.blocks.front() == Some(&(run, end))
                && parts.bytes_of(first, end) < SCAN_BYTES
            {
                self.blocks.pop_front();
                end += 1;
            }
            match parts.read_blocks(&self.rows.repository, first..end) {
                Ok(rows) => self.ready.extend(rows),
                Err(error) => {
                    self.blocks.clear();
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

impl RunParts {
    fn open(repository: &Repository, run: PublishedRun) -> Result<Self> {
        let key = run_key(&run.id);
        let damaged = |what: &str| Error::damaged(&key, what);
        let header = repository.shelf().get_range(&key, 0..HEADER_BYTES as u64)?;
        let header = Header::decode(&header, Kind::Run, &key)?;
        if header.id != run.id {
            return Err(damaged("it is another run"));
        }
        let at = run.bytes.checked_sub(header.trailer_bytes.into());
        let at = at.filter(|at| *at >= HEADER_BYTES as u64);
        let at = at.ok_or_else(|| damaged("it is too short"))?;
        let opener = ObjectOpener::new(repository.master(), &header, &key)?;
        let trailer = repository.shelf().get_range(&key, at..run.bytes)?;
        let trailer = opener.trailer(&trailer)?;
        let trailer = serde_json::from_slice(&trailer).map_err(|e| Error::damaged(&key, e))?;
        Ok(Self {
            run,
            opener,
            trailer,
        })
    }

    fn bytes_of(&self, first: usize, end: usize) -> usize {
        let blocks = self.trailer.blocks.get(first..=end).unwrap_or_default();
        blocks.iter().map(|block| block.bytes).sum()
    }

    /// The rows of blocks that lie one behind the other.
    fn read_blocks(&self, repository: &Repository, numbers: Range<usize>) -> Result<Vec<Row>> {
        let damaged = || self.damaged("its blocks do not follow each other");
        let blocks = self
            .trailer
            .blocks
            .get(numbers.clone())
            .ok_or_else(damaged)?;
        let (first, last) = blocks.first().zip(blocks.last()).ok_or_else(damaged)?;
        let end = last.offset.checked_add(last.bytes).ok_or_else(damaged)?;
        let key = run_key(&self.run.id);
        let bytes = repository
            .shelf()
            .get_range(&key, first.offset as u64..end as u64)?;
        let mut rows = Vec::new();
        for (number, at) in numbers.zip(blocks) {
            let start = at.offset.checked_sub(first.offset).ok_or_else(damaged)?;
            let sealed = bytes.get(start..start + at.bytes).ok_or_else(damaged)?;
            rows.extend(self.open_block(number, at, sealed)?);
        }
        Ok(rows)
    }

    fn open_block(&self, number: usize, at: &BlockPlace, sealed: &[u8]) -> Result<Vec<Row>> {
        let damaged = || self.damaged(&format!("block {number} cannot be read"));
        let block = self.opener.piece(number as u64, sealed)?;
        let rows = self.trailer.rows(at, &block).ok_or_else(damaged)?;
        let is_sorted = rows.is_sorted_by(|a, b| a.key() < b.key());
        is_sorted.then_some(rows).ok_or_else(damaged)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(run_key(&self.run.id), what)
    }
}
