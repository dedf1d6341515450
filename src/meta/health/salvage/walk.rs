//! Reading what can be reached of a damaged table: from both ends, and between them wherever a step leads past the damage.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, Row, Statement};

use crate::meta::{Error, Result};

/// Steps between the ends of one table.
const STEPS_MAX: usize = 4096;

/// A table, as it is walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    first: &'static str,
    key: &'static str,
    pub(super) columns: &'static str,
    only: &'static str,
}

impl Table {
    pub(super) const fn of(
        name: &'static str,
        first: &'static str,
        key: &'static str,
        columns: &'static str,
    ) -> Self {
        Self {
            name,
            first,
            key,
            columns,
            only: "1",
        }
    }

    /// Of its rows only some.
    pub(super) const fn only(self, only: &'static str) -> Self {
        Self { only, ..self }
    }

    /// The rows whose key's first column is in a range, in one order or the other.
    fn query(&self, order: &str) -> String {
        let key: Vec<String> = self
            .key
            .split(", ")
            .map(|column| format!("{column} {order}"))
            .collect();
        // Other kinds of keys have no order to step in.
        let range = match self.key {
            "key" | "hash" => "?1 <= ?2".to_owned(),
            _ => format!("{} BETWEEN ?1 AND ?2", self.first),
        };
        format!(
            "SELECT {} FROM {} WHERE {range} AND {} ORDER BY {}",
            self.columns,
            self.name,
            self.only,
            key.join(", ")
        )
    }

    pub(super) fn insert(&self) -> String {
        let values: Vec<String> = (1..=self.columns.split(',').count())
            .map(|i| format!("?{i}"))
            .collect();
        format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
            self.name,
            self.columns,
            values.join(", ")
        )
    }
}

/// How much of a table was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walked {
    Whole,
    Part,
}

/// Calls `found` for each row that can be reached, some more than once.
pub(super) fn walk(
    source: &Connection,
    table: &Table,
    mut found: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<Walked> {
    let prepared = [table.query("ASC"), table.query("DESC")].map(|query| source.prepare(&query));
    let [Ok(mut up), Ok(mut down)] = prepared else {
        return Ok(Walked::Part);
    };
    let at = table
        .columns
        .split(", ")
        .position(|column| column == table.first);
    // The widest gap first.
    let mut gaps = BinaryHeap::from([(u64::MAX, Reverse(i64::MIN), i64::MAX)]);
    let mut walked = Walked::Whole;
    for _ in 0..STEPS_MAX {
        let Some((_, Reverse(from), to)) = gaps.pop() else {
            break;
        };
        let Some(low) = step(&mut up, (from, to), at, &mut found)? else {
            continue;
        };
        walked = Walked::Part;
        let Some(high) = step(&mut down, (from, to), at, &mut found)? else {
            continue;
        };
        let (low, high) = (low.unwrap_or(from), high.unwrap_or(to));
        let width = high.abs_diff(low);
        if at.is_some() && low < high && width > 1 {
            let middle = low.midpoint(high);
            gaps.push((width / 2, Reverse(low + 1), middle));
            gaps.push((width / 2, Reverse(middle + 1), high - 1));
        }
    }
    Ok(walked)
}

/// Reads on until the end, or the damage: then returns the last key before it, if there was any.
fn step(
    stmt: &mut Statement<'_>,
    (from, to): (i64, i64),
    key: Option<usize>,
    found: &mut impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<Option<Option<i64>>> {
    let mut last = None;
    let Ok(mut rows) = stmt.query([from, to]) else {
        return Ok(Some(None));
    };
    loop {
        match rows.next() {
            Ok(None) => return Ok(None),
            Ok(Some(row)) => {
                last = key.and_then(|at| row.get::<_, i64>(at).ok()).or(last);
                found(row)?;
            }
            Err(error) => return damaged(error).map(|()| Some(last)),
        }
    }
}

/// Passes on what is no damage.
pub(super) fn damaged(error: rusqlite::Error) -> Result<()> {
    match Error::from(error) {
        Error::Corrupt(_) => Ok(()),
        error => Err(error),
    }
}
