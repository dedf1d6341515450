//! Runs that lie above each other, read side by side: what each level tells of a row, in the order of tables and keys.
//!
//! The lowest has all rows that were there; each above it what changed since, so that the uppermost that tells of a row is
//! right. Every run is read once.

use std::collections::VecDeque;

use super::run::{RowKey, RunReader, RunRow, Table};
use super::snapshot::PublishedRun;
use super::{Error, ObjectId, Repository, Result};

/// The key of a row, with its table.
pub type TableKey = (Table, RowKey);

/// Which rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// All.
    All,
    /// Extents: blocks of other tables are not looked at.
    Extents,
}

/// Where in the store something is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunPlace {
    /// The run.
    pub run: ObjectId,
    /// Which of its blocks.
    pub block: usize,
}

/// What the levels tell of one row, the lowest that does first.
pub type RowLevels = Vec<(usize, RunRow, RunPlace)>;

/// Something that cannot be read.
#[derive(Debug)]
pub struct Unread<'a> {
    /// On which level.
    pub level: usize,
    /// What is damaged or missing.
    pub error: Error,
    /// The packs that what cannot be read may name; `None` when that is not known either.
    pub packs: Option<&'a [ObjectId]>,
}

/// Whoever decides what to do without it: an error ends the reading.
pub type OnUnread<'a, E> = dyn FnMut(Unread<'_>) -> std::result::Result<(), E> + 'a;

/// The levels, as far as they were read.
#[derive(Debug)]
pub struct Levels<'r> {
    repository: &'r Repository,
    tables: Tables,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    runs: VecDeque<PublishedRun>,
    reader: Option<(ObjectId, RunReader)>,
    /// Of the reader.
    next_block: usize,
    rows: VecDeque<RunRow>,
    at: Option<RunPlace>,
    head: Option<(TableKey, RunRow, RunPlace)>,
    last: Option<TableKey>,
}

impl<'r> Levels<'r> {
    /// Begins to read; the lowest level first.
    #[must_use]
    pub fn of(repository: &'r Repository, levels: &[Vec<PublishedRun>], tables: Tables) -> Self {
        let levels = levels.iter().map(|runs| Level {
            runs: runs.iter().copied().collect(),
            reader: None,
            next_block: 0,
            rows: VecDeque::new(),
            at: None,
            head: None,
            last: None,
        });
        Self {
            repository,
            tables,
            levels: levels.collect(),
        }
    }

    /// What is told of the next row; `None` at the end.
    ///
    /// # Errors
    /// Those of `unread`, which is asked about what cannot be read; [`Error`] when the store does not answer.
    pub fn next<E: From<Error>>(
        &mut self,
        unread: &mut OnUnread<'_, E>,
    ) -> std::result::Result<Option<RowLevels>, E> {
        for number in 0..self.levels.len() {
            self.fill(number, unread)?;
        }
        let heads = self.levels.iter().filter_map(|level| level.head.as_ref());
        let Some(first) = heads.map(|(key, _, _)| key).min().cloned() else {
            return Ok(None);
        };
        let mut told = RowLevels::new();
        for (number, level) in self.levels.iter_mut().enumerate() {
            let is_next = |head: &mut (TableKey, RunRow, RunPlace)| head.0 == first;
            if let Some((_, row, place)) = level.head.take_if(is_next) {
                told.push((number, row, place));
            }
        }
        Ok(Some(told))
    }

    /// Has a level know its next row, unless it has none.
    fn fill<E: From<Error>>(
        &mut self,
        number: usize,
        unread: &mut OnUnread<'_, E>,
    ) -> std::result::Result<(), E> {
        // Of one alone nothing is compared.
        let must_be_sorted = self.levels.len() > 1;
        let (repository, tables) = (self.repository, self.tables);
        let Some(level) = self.levels.get_mut(number) else {
            return Ok(());
        };
        while level.head.is_none() {
            if let Some((row, place)) = level.rows.pop_front().zip(level.at) {
                level.head = Some(((row.table(), row.key()), row, place));
                break;
            }
            match level.read_block(tables, must_be_sorted) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    let packs = level.reader.as_ref().map(|(_, run)| run.packs());
                    unread(Unread {
                        level: number,
                        error,
                        packs,
                    })?;
                    continue;
                }
            }
            let Some(run) = level.runs.pop_front() else {
                level.reader = None;
                break;
            };
            (level.reader, level.next_block) = (None, 0);
            match RunReader::open(repository.shelf(), repository.master(), &run.id) {
                Ok(reader) => level.reader = Some((run.id, reader)),
                Err(error) if error.is_passing() => return Err(error.into()),
                Err(error) => unread(Unread {
                    level: number,
                    error,
                    packs: None,
                })?,
            }
        }
        Ok(())
    }
}

impl Level {
    /// Reads the next block of its run; whether there was one.
    fn read_block(&mut self, tables: Tables, must_be_sorted: bool) -> Result<bool> {
        let Some((id, reader)) = &self.reader else {
            return Ok(false);
        };
        let number = self.next_block;
        if number >= reader.blocks() {
            return Ok(false);
        }
        self.next_block += 1;
        if tables == Tables::Extents && reader.table(number) != Some(Table::Extent) {
            return Ok(true);
        }
        let rows = reader.told(number)?;
        if must_be_sorted {
            let mut last = self.last.take();
            for row in &rows {
                let key = (row.table(), row.key());
                if last.as_ref().is_some_and(|last| *last >= key) {
                    let what = format!("block {number}: its rows are not in order");
                    return Err(Error::damaged(super::run::run_key(id), what));
                }
                last = Some(key);
            }
            self.last = last;
        }
        self.rows = rows.into();
        self.at = Some(RunPlace {
            run: *id,
            block: number,
        });
        Ok(true)
    }
}

/// What is right of what was told: that of the uppermost level; `None` where the row is gone.
#[must_use]
pub fn uppermost(told: RowLevels) -> Option<(super::Row, RunPlace)> {
    match told.into_iter().next_back()? {
        (_, RunRow::Put(row), place) => Some((row, place)),
        (_, RunRow::Gone(..), _) => None,
    }
}
