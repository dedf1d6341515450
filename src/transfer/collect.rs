//! Removing what no snapshot of a repository needs, beside pushes and pulls on any hosts. Nobody is locked out.
//!
//! A push says what it intends before it looks what is there; a collection says what it removes before it looks who
//! pushes. So one of the two sees the other, for the store shows what it has acknowledged: the push does not count on
//! what is condemned, or the collection waits for the push. Two collections find each other by the same rule.
//! Where the store cannot decide whether a silent push has ended, what is condemned stays for a day.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::collecting_here::CollectingHere;
use super::pulse::BEAT;
use super::{Error, Progress, Result, Watch};
use crate::remote::{
    self, Condemned, Listed, Mark, MarkKind, ObjectId, PushState, RemoteSnapshot, Repository,
    RunReader, Tag, rewrite_index,
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
    /// Bytes of them.
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
/// [`Error::Collecting`] when another one is under way; [`Error::Remote`]. A snapshot that cannot be read ends it before
/// anything is removed.
pub fn collect(of: &Collect<'_>) -> Result<Collected> {
    let repository = of.repository;
    let sizes = Sizes {
        packs: repository.packs()?,
        runs: repository.runs()?,
    };
    // After the lists: what is stored later is not looked at.
    let unneeded = sizes.without(&needed(repository)?);
    let unfinished = unfinished(repository)?;
    if of.extent == Extent::Look {
        return Ok(sizes.count(&unneeded).with(&unfinished));
    }
    let mut here = CollectingHere::begin(of.cache, repository)?;
    for one in &unfinished {
        repository.shelf().delete(&one.key)?;
    }
    if is_nothing(&unneeded) && repository.marks()?.is_empty() {
        here.end()?;
        return Ok(Collected::default().with(&unfinished));
    }
    let mark = repository.mark(MarkKind::Now, unneeded)?;
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
            // Again: a push that was waited for may have published what nothing had named before.
            let condemned = without(condemned, &needed(self.of.repository)?);
            self.remove(&condemned)?;
            sizes.count(&condemned)
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
            self.of.repository.renew_mark(&mut self.mark)?;
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
        let ready = intersection(&old, unneeded);
        let is_quiet = self.pending()?.is_empty();
        if is_quiet && !is_nothing(&old) {
            self.remove(&ready)?;
            for mark in days().filter(|one| now - one.written >= DAY_SECS) {
                repository.unmark(mark.key())?;
            }
        }
        let left = without(unneeded.clone(), &old);
        let fresh = without(left.clone(), &marked);
        if !is_nothing(&fresh) {
            repository.mark(MarkKind::Day, fresh)?;
        }
        let mut collected = if is_quiet {
            sizes.count(&ready)
        } else {
            Collected::default()
        };
        collected.marked = (left.packs.len() + left.runs.len()) as u64;
        Ok(collected)
    }

    /// In this order: nobody finds the packs any more, then they go.
    fn remove(&mut self, condemned: &Condemned) -> Result<()> {
        let repository = self.of.repository;
        rewrite_index(repository, self.of.cache, &condemned.packs)?;
        let mut progress = Progress {
            total: (condemned.packs.len() + condemned.runs.len()) as u64,
            ..Progress::default()
        };
        for id in &condemned.packs {
            repository.delete_pack(id)?;
            self.tell(&mut progress)?;
        }
        for id in &condemned.runs {
            repository.delete_run(id)?;
            self.tell(&mut progress)?;
        }
        Ok(())
    }

    fn tell(&mut self, progress: &mut Progress) -> Result<()> {
        progress.done += 1;
        progress.objects += 1;
        self.of.watch.progress(progress);
        self.beat()
    }

    fn forget_dead_pushes(&self) -> Result<()> {
        for (snapshot, _) in self.of.repository.all_snapshots()? {
            if snapshot.state == PushState::Abandoned {
                self.of.repository.withdraw(&snapshot)?;
            }
        }
        let ended = self.of.repository.pins()?.ended;
        Ok(ended
            .iter()
            .try_for_each(|id| self.of.repository.unpin(id))?)
    }
}

/// What is there, with how long it is.
struct Sizes {
    packs: BTreeMap<ObjectId, u64>,
    runs: BTreeMap<ObjectId, u64>,
}

impl Sizes {
    fn without(&self, needed: &Condemned) -> Condemned {
        let all = Condemned {
            packs: self.packs.keys().copied().collect(),
            runs: self.runs.keys().copied().collect(),
            beats: 0,
        };
        without(all, needed)
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

/// What the published snapshots need, and those that were and whose volumes are not whole yet; each run read once.
fn needed(repository: &Repository) -> Result<Condemned> {
    let mut needed = Condemned::default();
    let all = repository.all_snapshots()?.into_iter().map(|(one, _)| one);
    let published = all.filter(|one| one.state == PushState::Published);
    for snapshot in published.chain(repository.pins()?.needed) {
        for run in &snapshot.runs {
            if needed.runs.insert(run.id) {
                let reader = RunReader::open(repository.shelf(), repository.master(), &run.id)?;
                needed.packs.extend(reader.packs());
            }
        }
    }
    Ok(needed)
}
