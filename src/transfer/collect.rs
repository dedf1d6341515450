//! Removing what no snapshot of a repository needs, beside pushes and pulls on any hosts. Nobody is locked out.
//!
//! A push says what it intends before it looks what is there; a collection says what it removes before it looks who
//! pushes. So one of the two sees the other, for the store shows what it has acknowledged: the push does not count on
//! what is condemned, or the collection waits for the push. Two collections find each other by the same rule.
//! Where the store cannot decide whether a silent push has ended, what is condemned stays for a day.
//!
//! A pack of which less than half is needed is condemned as well: before it goes, the rest is packed anew (`repack`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::collecting_here::CollectingHere;
use super::live::Needed;
use super::pulse::BEAT;
use super::repack::Repacking;
use super::{Error, Progress, Result, Watch};
use crate::remote::{
    self, Condemned, DELETED_AT_ONCE, Listed, Mark, MarkKind, ObjectId, PushState, RemoteSnapshot,
    Repository, Tag, rewrite_index,
};

/// How long a push or a collection may say nothing before it counts as dead.
const SILENCE: Duration = Duration::from_secs(10 * BEAT.as_secs());
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// How old a mark must be, by the store's clock, where the store decides nothing; and how old a half-written object, by
/// the same: whoever writes one changes it all the time.
const DAY_SECS: i64 = 24 * 3600;

/// What is collected.
#[derive(Clone, Copy)]
pub struct Collect<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Where this host keeps what it knows of it.
    pub cache: &'a Path,
    /// Who is told how far it is.
    pub watch: &'a dyn Watch,
    /// How much is done.
    pub extent: Extent,
    /// How long is waited for whom.
    pub waits: Waits,
}

/// How long a collection waits.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// How long a push or another collection may say nothing before it counts as dead.
    pub silence: Duration,
    /// Between two looks at it.
    pub pause: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            silence: SILENCE,
            pause: PAUSE,
        }
    }
}

/// How much a collection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It looks what could be removed.
    Look,
    /// It removes that.
    Remove,
}

/// What a collection found, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Packs that nothing needs.
    pub packs: u64,
    /// Runs that nothing needs.
    pub runs: u64,
    /// Packs of which less than half was needed, and that was packed anew.
    pub repacked: u64,
    /// Bytes that come back.
    pub bytes: u64,
    /// Pushes that were given up.
    pub abandoned: u64,
    /// Packs and runs that are marked, and may go in a day.
    pub marked: u64,
    /// Objects that were half written when their push was killed.
    pub unfinished: u64,
}

/// Collects.
///
/// # Errors
/// [`Error::Collecting`] when another one is under way, or takes this one for dead; [`Error::Remote`]. A snapshot that
/// cannot be read ends it before anything is removed.
pub fn collect(of: &Collect<'_>) -> Result<Collected> {
    let repository = of.repository;
    let sizes = Sizes {
        packs: repository.packs()?,
        runs: repository.runs()?,
    };
    // After the lists: what is stored later is not looked at.
    let needed = Needed::of((repository, of.cache), &sizes.packs)?;
    let mut plan = sizes.plan(&needed);
    let unfinished = unfinished(repository)?;
    if of.extent == Extent::Look {
        return Ok(sizes.foresee(&plan, &needed).with(&unfinished));
    }
    let needs_delete = !plan.sparse.is_empty() || !plan.outlived.is_empty();
    if needs_delete && !repository.may_delete()? {
        // Whoever may not delete would only make more.
        plan.sparse.clear();
        plan.outlived.clear();
    }
    let mut here = CollectingHere::begin(of.cache, repository)?;
    let half_written: Vec<_> = unfinished.iter().map(|one| one.key.clone()).collect();
    repository.shelf().delete_all(&half_written)?;
    let condemned = plan.condemned();
    if is_nothing(&condemned) && repository.marks()?.is_empty() {
        forget_moves(repository, &plan.outlived)?;
        here.end()?;
        return Ok(Collected::default().with(&unfinished));
    }
    let mark = repository.mark(MarkKind::Now, condemned)?;
    here.note(&mark)?;
    let mut collecting = Collecting {
        of,
        mark,
        renewed: Instant::now(),
        abandoned: 0,
    };
    // After an error the mark stays: packs may be half removed, and the next collection goes on.
    let collected = collecting.run(&sizes)?;
    repository.unmark(collecting.mark.key())?;
    here.end()?;
    Ok(collected.with(&unfinished))
}

/// What was begun and not ended, and is so old that nobody goes on with it: should somebody do so all the same, its object
/// gets no name, and its push fails.
fn unfinished(repository: &Repository) -> Result<Vec<Listed>> {
    let mut found = repository.shelf().unfinished()?;
    if !found.is_empty() {
        let now = repository.time()?;
        found.retain(|one| now - one.modified >= DAY_SECS);
    }
    Ok(found)
}

impl Collected {
    fn with(mut self, unfinished: &[Listed]) -> Self {
        self.unfinished = unfinished.len() as u64;
        self.bytes += unfinished.iter().map(|one| one.bytes).sum::<u64>();
        self
    }
}

/// A collection that has said so.
struct Collecting<'a> {
    of: &'a Collect<'a>,
    mark: Mark,
    renewed: Instant,
    abandoned: u64,
}

impl Collecting<'_> {
    fn run(&mut self, sizes: &Sizes) -> Result<Collected> {
        self.be_alone()?;
        let condemned = self.mark.condemned.clone();
        let mut collected = if self.of.repository.keeps_tags() {
            self.await_pushes()?;
            self.remove_of(&condemned, sizes)?
        } else {
            self.remove_after_a_day(&condemned, sizes)?
        };
        self.forget_dead_pushes()?;
        collected.abandoned = self.abandoned;
        Ok(collected)
    }

    /// Another collection that is under way goes first; one that is silent for long was killed.
    fn be_alone(&mut self) -> Result<()> {
        let mut seen: BTreeMap<String, (Condemned, Instant)> = BTreeMap::new();
        loop {
            let marks = self.of.repository.marks()?.into_iter();
            let others =
                marks.filter(|one| one.kind == MarkKind::Now && one.key() != self.mark.key());
            let others: Vec<Mark> = others.collect();
            if others.is_empty() {
                return Ok(());
            }
            for other in others {
                let key = other.key().to_string();
                let now = Instant::now();
                let (known, since) = seen
                    .entry(key)
                    .or_insert_with(|| (other.condemned.clone(), now));
                if *known != other.condemned {
                    // It lives. Both may have seen each other: this one gives way.
                    self.of.repository.unmark(self.mark.key())?;
                    return Err(Error::Collecting);
                }
                if since.elapsed() >= self.of.waits.silence {
                    self.of.repository.unmark(other.key())?;
                }
            }
            self.rest()?;
        }
    }

    /// Waits a moment, and says now and then that this goes on.
    fn rest(&mut self) -> Result<()> {
        thread::sleep(self.of.waits.pause);
        self.beat()
    }

    fn beat(&mut self) -> Result<()> {
        if self.renewed.elapsed() >= BEAT {
            match self.of.repository.renew_mark(&mut self.mark) {
                Err(remote::Error::Changed { .. }) => return Err(Error::Collecting),
                renewed => renewed?,
            }
            self.renewed = Instant::now();
        }
        Ok(())
    }

    /// Waits until every push that may not have seen the mark has ended, or counts as dead.
    fn await_pushes(&mut self) -> Result<()> {
        let mut waited = self.pending()?;
        while let Some((snapshot, tag, since)) = waited.pop() {
            match self.of.repository.look_at(&snapshot)? {
                Some((now, tag)) if now.state == PushState::Pending && now != snapshot => {
                    waited.insert(0, (now, tag, Instant::now()));
                }
                Some((now, _)) if now.state == PushState::Pending => {
                    if since.elapsed() < self.of.waits.silence || !self.give_up(&snapshot, &tag)? {
                        waited.insert(0, (snapshot, tag, since));
                    }
                }
                // Published, given up, or gone.
                Some(_) | None => continue,
            }
            if !waited.is_empty() {
                self.rest()?;
            }
        }
        Ok(())
    }

    fn pending(&self) -> Result<Vec<(RemoteSnapshot, Tag, Instant)>> {
        let all = self.of.repository.all_snapshots()?.into_iter();
        let pending = all.filter(|(one, _)| one.state == PushState::Pending);
        Ok(pending
            .map(|(one, tag)| (one, tag, Instant::now()))
            .collect())
    }

    /// Ends a push by one conditional request; whether it has ended.
    fn give_up(&mut self, snapshot: &RemoteSnapshot, tag: &Tag) -> Result<bool> {
        match self.of.repository.abandon(snapshot, tag) {
            Ok(()) => {
                self.abandoned += 1;
                Ok(true)
            }
            // It goes on after all, or has ended.
            Err(remote::Error::Changed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what was marked a day ago, and marks what is new, unless pushes are under way.
    fn remove_after_a_day(&mut self, unneeded: &Condemned, sizes: &Sizes) -> Result<Collected> {
        let repository = self.of.repository;
        let now = repository.time()?;
        let marks = repository.marks()?;
        let days = || marks.iter().filter(|one| one.kind == MarkKind::Day);
        let (mut old, mut marked) = (Condemned::default(), Condemned::default());
        for mark in days() {
            let is_old = now - mark.written >= DAY_SECS;
            let whole = if is_old { &mut old } else { &mut marked };
            whole.packs.extend(&mark.condemned.packs);
            whole.runs.extend(&mark.condemned.runs);
        }
        let is_quiet = self.pending()?.is_empty();
        let mut collected = Collected::default();
        if is_quiet && !is_nothing(&old) {
            collected = self.remove_of(&intersection(&old, unneeded), sizes)?;
            for mark in days().filter(|one| now - one.written >= DAY_SECS) {
                repository.unmark(mark.key())?;
            }
        }
        let left = without(unneeded.clone(), &old);
        let fresh = without(left.clone(), &marked);
        if !is_nothing(&fresh) {
            repository.mark(MarkKind::Day, fresh)?;
        }
        collected.marked = (left.packs.len() + left.runs.len()) as u64;
        Ok(collected)
    }

    /// Removes what was condemned, as far as nothing needs it; of what is needed in part, that part is packed anew.
    fn remove_of(&mut self, condemned: &Condemned, sizes: &Sizes) -> Result<Collected> {
        let repository = self.of.repository;
        // Again: a push that was waited for may have published what nothing had named before. Whoever pushes now has seen
        // the mark: of what is condemned nobody will need more than this says.
        let needed = Needed::of((repository, self.of.cache), &sizes.packs)?;
        let mut plan = sizes.plan(&needed);
        plan.unneeded = intersection(&plan.unneeded, condemned);
        plan.sparse.retain(|id| condemned.packs.contains(id));
        let repacked = self.repack(&plan.sparse, &needed, sizes)?;
        self.remove(&plan.unneeded)?;
        // After their packs: what tells of a pack that is there may be needed when it goes.
        let gone = plan.unneeded.packs.intersection(&needed.moved);
        plan.outlived.extend(gone);
        forget_moves(repository, &plan.outlived)?;
        let mut collected = sizes.count(&plan.unneeded);
        collected.repacked = repacked.repacked;
        collected.bytes += repacked.bytes;
        Ok(collected)
    }

    /// Packs anew what is needed of these, and removes them.
    fn repack(
        &mut self,
        sparse: &BTreeSet<ObjectId>,
        needed: &Needed,
        sizes: &Sizes,
    ) -> Result<Collected> {
        let mut repacking = Repacking::begin(self.of.repository, &sizes.packs)?;
        let mut progress = Progress {
            total: sparse.len() as u64,
            ..Progress::default()
        };
        let mut gone = BTreeSet::new();
        for id in sparse {
            if let Some(live) = needed.packs.get(id) {
                repacking.take(id, live, &needed.moved)?;
            }
            if repacking.is_full() {
                gone.extend(self.replace(&mut repacking)?);
            }
            self.tell(&mut progress, 1)?;
        }
        if !sparse.is_empty() {
            gone.extend(self.replace(&mut repacking)?);
        }
        let bytes: u64 = gone.iter().filter_map(|id| sizes.packs.get(id)).sum();
        Ok(Collected {
            repacked: gone.len() as u64,
            bytes: bytes.saturating_sub(repacking.bytes()),
            ..Collected::default()
        })
    }

    /// Removes the packs that were packed anew.
    fn replace(&mut self, repacking: &mut Repacking<'_>) -> Result<BTreeSet<ObjectId>> {
        let repository = self.of.repository;
        // Where the store decides nothing, this could take the place of what another has told meanwhile.
        self.must_be_marked()?;
        let gone = match repacking.tell() {
            Err(Error::Remote(remote::Error::Exists { .. } | remote::Error::Changed { .. })) => {
                return Err(Error::Collecting);
            }
            told => told?,
        };
        if gone.is_empty() {
            return Ok(gone);
        }
        // One that has taken this one for dead may not have seen where the chunks went, and remove that.
        self.must_be_marked()?;
        rewrite_index(repository, self.of.cache, &gone)?;
        let packs: Vec<_> = gone.iter().copied().collect();
        for some in packs.chunks(DELETED_AT_ONCE) {
            repository.delete_packs(some)?;
            self.beat()?;
        }
        Ok(gone)
    }

    /// Another collection removes the mark of one that it takes for dead.
    fn must_be_marked(&self) -> Result<()> {
        let is_marked = self.of.repository.has_mark(&self.mark)?;
        is_marked.then_some(()).ok_or(Error::Collecting)
    }

    /// In this order: nobody finds the packs any more, then they go.
    fn remove(&mut self, condemned: &Condemned) -> Result<()> {
        let repository = self.of.repository;
        rewrite_index(repository, self.of.cache, &condemned.packs)?;
        let mut progress = Progress {
            total: (condemned.packs.len() + condemned.runs.len()) as u64,
            ..Progress::default()
        };
        let packs: Vec<_> = condemned.packs.iter().copied().collect();
        for some in packs.chunks(DELETED_AT_ONCE) {
            repository.delete_packs(some)?;
            self.tell(&mut progress, some.len())?;
        }
        let runs: Vec<_> = condemned.runs.iter().copied().collect();
        for some in runs.chunks(DELETED_AT_ONCE) {
            repository.delete_runs(some)?;
            self.tell(&mut progress, some.len())?;
        }
        Ok(())
    }

    fn tell(&mut self, progress: &mut Progress, more: usize) -> Result<()> {
        progress.done += more as u64;
        progress.objects += more as u64;
        self.of.watch.progress(progress);
        self.beat()
    }

    fn forget_dead_pushes(&self) -> Result<()> {
        let repository = self.of.repository;
        let all = repository.all_snapshots()?.into_iter().map(|(one, _)| one);
        let abandoned = all.filter(|one| one.state == PushState::Abandoned);
        repository.withdraw_all(&abandoned.collect::<Vec<_>>())?;
        Ok(repository.unpin_all(&repository.pins()?.ended)?)
    }
}

/// What is there, with how long it is.
struct Sizes {
    packs: BTreeMap<ObjectId, u64>,
    runs: BTreeMap<ObjectId, u64>,
}

/// What is to be done.
struct Plan {
    /// What nothing needs.
    unneeded: Condemned,
    /// Packs of which less than half is needed, or that a collection that was killed had packed anew.
    sparse: BTreeSet<ObjectId>,
    /// Packs that are gone and that nothing names: nobody asks where their chunks went.
    outlived: BTreeSet<ObjectId>,
}

impl Plan {
    fn condemned(&self) -> Condemned {
        let mut condemned = self.unneeded.clone();
        condemned.packs.extend(&self.sparse);
        condemned
    }
}

impl Sizes {
    fn plan(&self, needed: &Needed) -> Plan {
        let mut unneeded = Condemned {
            packs: self.packs.keys().copied().collect(),
            runs: self.runs.keys().copied().collect(),
            beats: 0,
        };
        unneeded.packs.retain(|id| !needed.packs.contains_key(id));
        unneeded.runs.retain(|id| !needed.runs.contains(id));
        let is_sparse = |(id, bytes): &(&ObjectId, &u64)| {
            let live = needed.packs.get(id).filter(|live| live.is_known());
            live.is_some_and(|live| live.is_sparse(**bytes) || needed.moved.contains(id))
        };
        let is_outlived =
            |id: &&ObjectId| !needed.packs.contains_key(id) && !self.packs.contains_key(id);
        Plan {
            unneeded,
            sparse: (self.packs.iter().filter(is_sparse))
                .map(|(id, _)| *id)
                .collect(),
            outlived: needed.moved.iter().filter(is_outlived).copied().collect(),
        }
    }

    /// What a collection would do.
    fn foresee(&self, plan: &Plan, needed: &Needed) -> Collected {
        let mut collected = self.count(&plan.unneeded);
        collected.repacked = plan.sparse.len() as u64;
        for id in &plan.sparse {
            let sizes = needed.packs.get(id).zip(self.packs.get(id));
            collected.bytes += sizes.map_or(0, |(live, bytes)| live.dead_bytes(*bytes));
        }
        collected
    }

    fn count(&self, condemned: &Condemned) -> Collected {
        let bytes = |ids: &BTreeSet<ObjectId>, all: &BTreeMap<ObjectId, u64>| {
            ids.iter().filter_map(|id| all.get(id)).sum::<u64>()
        };
        Collected {
            packs: condemned.packs.len() as u64,
            runs: condemned.runs.len() as u64,
            bytes: bytes(&condemned.packs, &self.packs) + bytes(&condemned.runs, &self.runs),
            ..Collected::default()
        }
    }
}

fn is_nothing(condemned: &Condemned) -> bool {
    condemned.packs.is_empty() && condemned.runs.is_empty()
}

fn without(mut all: Condemned, others: &Condemned) -> Condemned {
    all.packs.retain(|id| !others.packs.contains(id));
    all.runs.retain(|id| !others.runs.contains(id));
    all
}

fn intersection(one: &Condemned, other: &Condemned) -> Condemned {
    Condemned {
        packs: one.packs.intersection(&other.packs).copied().collect(),
        runs: one.runs.intersection(&other.runs).copied().collect(),
        beats: 0,
    }
}

/// Nobody asks any more where the chunks of these packs went.
fn forget_moves(repository: &Repository, packs: &BTreeSet<ObjectId>) -> Result<()> {
    Ok(repository.delete_moved(packs)?)
}
