//! Whether a repository has all that its snapshots need.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, Progress, Result, Watch};
use crate::remote::{
    self, Chain, Levels, Moved, ObjectId, Place, PushState, Repository, Row, Tables, Unread,
    open_chunk,
};
use crate::types::{ChunkHash, VolumeId};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Rows, and which packs there are.
    Metadata,
    /// All packs as well.
    Data,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Snapshots that can be pulled.
    pub snapshots: u64,
    /// Pushes that have not ended.
    pub pending: u64,
    /// Keys that open the repository.
    pub keys: u64,
    /// Objects that were not finished: by pushes that were killed, or that are under way.
    pub unfinished: u64,
    /// Packs that snapshots need.
    pub packs: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is wrong, a line each.
    pub faults: Vec<String>,
    /// Packs that are not what they should be.
    pub bad_packs: BTreeSet<ObjectId>,
    /// Volumes of which nothing that can be read says what they are called.
    pub unnamed: BTreeSet<VolumeId>,
}

/// Verifies all snapshots of a repository.
///
/// # Errors
/// [`super::Error::Remote`] when the store cannot be asked; what is damaged or missing is told in the result.
pub fn verify(repository: &Repository, depth: Depth, watch: &dyn Watch) -> Result<Verified> {
    let mut verifying = Verifying {
        repository,
        depth,
        there: repository.packs()?,
        needed: BTreeMap::new(),
        found: Verified::default(),
    };
    verifying.found.unfinished = repository.shelf().unfinished()?.len() as u64;
    verifying.look_at_keys()?;
    verifying.look_at_snapshots()?;
    let indexes = remote::damaged_indexes(repository)?;
    verifying.tell(indexes);
    verifying.look_at_moved()?;
    verifying.look_at_all_packs(watch)?;
    Ok(verifying.found)
}

/// What is needed of a pack.
#[derive(Debug, Default)]
struct Needed {
    /// By which snapshot first.
    by: String,
    /// Up to where, in bytes.
    end: u64,
    /// Which places, where they are compared with what the pack says of itself, or looked for elsewhere: some 24 bytes a
    /// chunk.
    places: BTreeSet<Place>,
}

/// A snapshot, and the inodes and bytes that were pushed.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    id: ObjectId,
    counts: (u64, u64),
}

struct Verifying<'a> {
    repository: &'a Repository,
    depth: Depth,
    there: BTreeMap<ObjectId, u64>,
    needed: BTreeMap<ObjectId, Needed>,
    found: Verified,
}

impl Verifying<'_> {
    fn look_at_keys(&mut self) -> Result<()> {
        let keys = self.repository.keys()?;
        self.tell(keys.damaged);
        self.found.keys = keys.whole.len() as u64;
        if keys.whole.is_empty() {
            let fault = "keys: none is whole, no other host can open the repository";
            self.found.faults.push(fault.to_owned());
        }
        Ok(())
    }

    /// Also at those of volumes of which nobody can tell what they are called.
    fn look_at_snapshots(&mut self) -> Result<()> {
        // Before what is said of them: a push says that first.
        let pushed = self.repository.pushed()?;
        let volumes = self.repository.abouts()?;
        self.tell(volumes.damaged);
        let names = volumes.whole.into_iter();
        let names: BTreeMap<VolumeId, String> =
            names.map(|about| (about.volume, about.name)).collect();
        for volume in pushed {
            let snapshots = self.repository.stored_snapshots(volume)?;
            self.tell(snapshots.damaged);
            let name = match (names.get(&volume), snapshots.whole.last()) {
                (Some(name), _) => name.clone(),
                (None, newest) => {
                    self.look_for_about(volume)?;
                    newest.map_or_else(|| volume.to_string(), |one| one.volume_name.clone())
                }
            };
            let (published, pending): (Vec<_>, Vec<_>) =
                (snapshots.whole.into_iter()).partition(|one| one.state == PushState::Published);
            self.found.pending += pending.len() as u64;
            self.found.snapshots += published.len() as u64;
            let named = published.into_iter().map(|one| {
                let named = Named {
                    name: format!("{name}@{}", one.name),
                    id: one.id,
                    counts: (one.inodes, one.bytes),
                };
                (one, named)
            });
            for chain in Chain::of_all(&named.collect::<Vec<_>>()) {
                self.look_at(&chain)?;
            }
        }
        Ok(())
    }

    /// What cannot be read was told; what is not there was not.
    fn look_for_about(&mut self, volume: VolumeId) -> Result<()> {
        self.found.unnamed.insert(volume);
        match self.repository.about(volume) {
            Err(error @ remote::Error::Missing { .. }) => {
                self.found.faults.push(error.to_string());
            }
            Err(error) if error.is_passing() => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        Ok(())
    }

    fn tell(&mut self, damaged: Vec<remote::Error>) {
        let told = damaged.into_iter().map(|error| error.to_string());
        self.found.faults.extend(told);
    }

    /// Looks at the snapshots of a chain.
    fn look_at(&mut self, chain: &Chain<Named>) -> Result<()> {
        let mut levels = Levels::of(self.repository, &chain.levels, Tables::All);
        let mut faults = Vec::new();
        let mut counts: BTreeMap<ObjectId, (u64, u64)> = BTreeMap::new();
        let mut unread = |unread: Unread<'_>| {
            let having = chain.having(unread.level);
            faults.extend(having.map(|one| format!("{}: {}", one.name, unread.error)));
            Ok::<(), Error>(())
        };
        while let Some(told) = levels.next(&mut unread)? {
            for (row, _, by) in chain.seen(told) {
                match row {
                    Row::Extent(extent) => {
                        let first = by.first().map_or("", |one| one.name.as_str());
                        self.need(extent.place, first);
                    }
                    Row::Inode(inode) => by.into_iter().for_each(|one| {
                        let (inodes, bytes) = counts.entry(one.id).or_default();
                        *inodes += 1;
                        *bytes = bytes.saturating_add(inode.allocated);
                    }),
                    Row::Entry(_) | Row::Xattr(_) => {}
                }
            }
        }
        // Where nothing lies above the rest, what is sealed is what was counted.
        if faults.is_empty() && chain.levels.len() > 1 {
            let other = |one: &&Named| counts.get(&one.id) != Some(&one.counts);
            let others = chain.having(0).filter(other);
            faults.extend(others.map(|one| {
                let name = &one.name;
                format!("{name}: its runs do not have the inodes that were pushed")
            }));
        }
        self.found.faults.extend(faults);
        let runs = chain.levels.iter().flatten();
        self.found.bytes += runs.map(|run| run.bytes).sum::<u64>();
        Ok(())
    }

    fn need(&mut self, place: Place, name: &str) {
        let is_there = self.there.contains_key(&place.pack);
        let needed = self.needed.entry(place.pack).or_default();
        let end = u64::from(place.offset) + place.sealed_len() as u64;
        needed.end = needed.end.max(end);
        if needed.by.is_empty() {
            name.clone_into(&mut needed.by);
        }
        if self.depth == Depth::Data || !is_there {
            needed.places.insert(place);
        }
    }

    /// What tells where chunks of packs are that were packed anew.
    fn look_at_moved(&mut self) -> Result<()> {
        for id in self.repository.moved_packs()? {
            match self.repository.read_moved(&id) {
                // It was removed since it was listed.
                Ok(_) | Err(remote::Error::Missing { .. }) => {}
                Err(error) if error.is_passing() => return Err(error.into()),
                Err(error) => self.found.faults.push(error.to_string()),
            }
        }
        Ok(())
    }

    /// Has what is needed of packs that are gone be needed where it was moved to. A collection may be under way.
    fn follow_moved(&mut self) -> Result<()> {
        for _ in 0..Moved::TIMES_MAX {
            let is_gone = |id: &&ObjectId| !self.there.contains_key(id);
            let gone: Vec<ObjectId> = self.needed.keys().filter(is_gone).copied().collect();
            if gone.is_empty() {
                break;
            }
            self.there = self.repository.packs()?;
            let mut went_on = false;
            for id in gone {
                went_on |= !self.there.contains_key(&id) && self.follow(&id)?;
            }
            if !went_on {
                break;
            }
        }
        Ok(())
    }

    /// Whether something tells where all is that is needed of a pack.
    fn follow(&mut self, id: &ObjectId) -> Result<bool> {
        let moved = match self.repository.read_moved(id) {
            Ok((moved, _)) => moved,
            Err(error) if error.is_passing() => return Err(error.into()),
            // That it is damaged was told.
            Err(_) => return Ok(false),
        };
        let Some(old) = self.needed.remove(id) else {
            return Ok(false);
        };
        let now: remote::Result<Vec<Place>> =
            old.places.iter().map(|one| moved.follow(one)).collect();
        match now {
            Ok(now) => now.into_iter().for_each(|place| self.need(place, &old.by)),
            Err(error) => {
                self.found.faults.push(format!("{}: {error}", old.by));
                self.found.bad_packs.insert(*id);
            }
        }
        Ok(true)
    }

    fn look_at_all_packs(&mut self, watch: &dyn Watch) -> Result<()> {
        let mut progress = Progress::default();
        self.follow_moved()?;
        self.found.packs = self.needed.len() as u64;
        // What goes while others are read is looked for where it was moved to.
        for _ in 0..Moved::TIMES_MAX {
            if self.needed.is_empty() {
                break;
            }
            self.look_at_packs(watch, &mut progress)?;
            self.follow_moved()?;
        }
        for (id, of_it) in std::mem::take(&mut self.needed) {
            let name = &of_it.by;
            self.found
                .faults
                .push(format!("{name}: pack {id} is not there"));
        }
        Ok(())
    }

    /// Looks at the packs that are needed; those that are gone since they were listed are needed still after it.
    fn look_at_packs(&mut self, watch: &dyn Watch, progress: &mut Progress) -> Result<()> {
        let needed = std::mem::take(&mut self.needed);
        let sizes = needed.keys().filter_map(|id| self.there.get(id));
        progress.total += sizes.sum::<u64>();
        for (id, of_it) in needed {
            let name = &of_it.by;
            let fault = match self.there.get(&id) {
                None => Some(format!("{name}: pack {id} is not there")),
                Some(bytes) if *bytes < of_it.end => {
                    Some(format!("{name}: pack {id} is too short"))
                }
                Some(_) if self.depth == Depth::Metadata => None,
                Some(bytes) => {
                    progress.done += bytes;
                    progress.objects += 1;
                    match self.read_pack(&id, &of_it) {
                        Err(Error::Remote(remote::Error::Missing { .. })) => {
                            self.there.remove(&id);
                            self.needed.insert(id, of_it);
                            continue;
                        }
                        read => read?,
                    }
                }
            };
            if fault.is_some() {
                self.found.bad_packs.insert(id);
            }
            self.found.faults.extend(fault);
            watch.progress(progress);
        }
        Ok(())
    }

    /// Reads a whole pack; what is wrong with it.
    ///
    /// # Errors
    /// [`remote::Error::Missing`] when it is gone.
    fn read_pack(&mut self, id: &ObjectId, needed: &Needed) -> Result<Option<String>> {
        let name = &needed.by;
        let (chunks, bytes) = match self.repository.get_pack(id) {
            Ok(read) => read,
            Err(error) if error.is_passing() || matches!(error, remote::Error::Missing { .. }) => {
                return Err(error.into());
            }
            Err(error) => return Ok(Some(format!("{name}: {error}"))),
        };
        self.found.bytes += bytes.len() as u64;
        let told: BTreeSet<Place> = chunks.iter().map(|chunk| chunk.place).collect();
        if !needed.places.is_subset(&told) {
            return Ok(Some(format!(
                "{name}: pack {id} has other chunks than are needed"
            )));
        }
        let mut bad = BTreeSet::new();
        for chunk in &chunks {
            let at = chunk.place.offset as usize;
            let sealed = bytes.get(at..at + chunk.place.sealed_len());
            let plain = sealed
                .and_then(|sealed| open_chunk(self.repository.master(), &chunk.place, sealed).ok());
            if plain.is_none_or(|plain| ChunkHash::of(&plain) != chunk.hash) {
                bad.insert(chunk.place.piece);
            }
        }
        let what = || {
            format!(
                "{name}: pack {id} is damaged in {} of {} chunks",
                bad.len(),
                chunks.len()
            )
        };
        Ok((!bad.is_empty()).then(what))
    }
}
