//! Snapshots that build on each other: a chain of levels, of which each snapshot has those up to its own. Chains are read
//! once for all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::levels::RowLevels;
use super::run::{Row, RunRow};
use super::snapshot::{PublishedRun, RemoteSnapshot};
use super::{ObjectId, RunPlace};

/// Levels, and the snapshots that end at one of them.
#[derive(Debug)]
pub struct Chain<T> {
    /// The lowest first.
    pub levels: Vec<Vec<PublishedRun>>,
    /// By the number of their uppermost level.
    pub tops: BTreeMap<usize, Vec<T>>,
}

/// Runs by levels, and the snapshots that have just these.
type Known<T> = (Vec<Vec<PublishedRun>>, Vec<T>);

impl<T: Clone> Chain<T> {
    /// The fewest chains that have all of these snapshots. Where one is the base of two others, it is in both.
    #[must_use]
    pub fn of_all(snapshots: &[(RemoteSnapshot, T)]) -> Vec<Self> {
        let mut by_levels: BTreeMap<Vec<Vec<ObjectId>>, Known<T>> = BTreeMap::new();
        for (snapshot, name) in snapshots {
            let levels = snapshot.levels();
            let ids = levels.iter().map(|runs| runs.iter().map(|run| run.id));
            let ids = ids.map(Iterator::collect).collect();
            let known = by_levels.entry(ids).or_insert_with(|| (levels, Vec::new()));
            known.1.push(name.clone());
        }
        // In this order whatever has a chain as its beginning comes right behind it.
        let all: Vec<_> = by_levels.iter().collect();
        let mut chains = Vec::new();
        for (at, (ids, (levels, _))) in all.iter().enumerate() {
            if all
                .get(at + 1)
                .is_some_and(|(next, _)| next.starts_with(ids))
            {
                continue;
            }
            let tops = (0..ids.len()).filter_map(|top| {
                let (_, names) = by_levels.get(&ids[..=top])?;
                Some((top, names.clone()))
            });
            chains.push(Self {
                levels: levels.clone(),
                tops: tops.collect(),
            });
        }
        chains
    }

    /// The rows among what was told that snapshots have, each with those that do: the first levels of them, and behind
    /// the last.
    pub fn seen(&self, told: RowLevels) -> impl Iterator<Item = (Row, RunPlace, Vec<&T>)> {
        let ends: Vec<usize> = (told.iter().skip(1).map(|(level, _, _)| *level))
            .chain([usize::MAX])
            .collect();
        let rows = told.into_iter().zip(ends);
        rows.filter_map(|((level, row, place), end)| match row {
            RunRow::Put(row) => {
                let tops = self.tops.range(level..end).flat_map(|(_, names)| names);
                let tops: Vec<&T> = tops.collect();
                (!tops.is_empty()).then_some((row, place, tops))
            }
            RunRow::Gone(..) => None,
        })
    }

    /// The snapshots that have a level.
    pub fn having(&self, level: usize) -> impl Iterator<Item = &T> {
        self.tops.range(level..).flat_map(|(_, names)| names)
    }

    /// All runs.
    #[must_use]
    pub fn runs(&self) -> BTreeSet<ObjectId> {
        self.levels.iter().flatten().map(|run| run.id).collect()
    }
}
