//! When to collect, and what: the state between writers, the collector's thread, and `cask gc`.
//!
//! A segment is a victim when enough of it is dead. Writers tell what they append; when dead bytes come near
//! the bound that a volume keeps, they wait for the collector.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::chunks::{SealedSegment, Survey};
use crate::meta::InSegment;
use crate::types::{Collected, SegmentId, about_to_wait};
use crate::volume::tuning::GcTuning;

const MIB: u64 = 1024 * 1024;
/// Writers wait when the segments are larger than twice what is alive and this. The promise is 512 MiB; the
/// log, the reserve, and a round's copies need the rest.
const SLACK_BYTES: u64 = 224 * MIB;
/// What a round copies at most, but for a large volume, of which it copies a 32nd part: each round looks
/// through the chunk table.
const ROUND_BYTES_MIN: u64 = 64 * MIB;
/// How long a writer waits at most: a collector that makes no headway must not stop it for good.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How much a round is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::volume) enum Haste {
    /// Nothing is being written.
    Idle,
    /// Writers are busy.
    Busy,
    /// The bound is near, or the disk nearly full: the foreground gets less.
    Pressed,
    /// The user asks for it.
    Asked,
}

/// The collector of one open volume.
#[derive(Debug)]
pub(in crate::volume) struct GcPolicy {
    tuning: GcTuning,
    /// Held over a round, and over a look for files to defragment.
    round: Mutex<()>,
    defragmenting: Mutex<()>,
    /// Held shared by whoever needs the segments to stay that a database names.
    unlinking: RwLock<()>,
    /// Bytes appended since the volume was opened, and how many there were at the last look.
    appended: AtomicU64,
    looked_at: AtomicU64,
    /// What may still be appended before writers wait.
    allowance: AtomicI64,
    paced: AtomicBool,
    /// The host was full when something was removed.
    starved: AtomicBool,
    closing: AtomicBool,
    lock: Mutex<()>,
    /// Somebody wants a look.
    wanted: Condvar,
    /// A look or a step of a round ended.
    moved_on: Condvar,
    /// Segments that hold damaged chunks are left as they are.
    damaged: Mutex<BTreeSet<SegmentId>>,
    /// Since the volume was opened.
    collected: Mutex<Collected>,
}

/// A sealed segment and what it holds that is named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) segment: SealedSegment,
    pub(super) live: u64,
    chunks: i64,
}

/// All segments at one time.
#[derive(Debug)]
pub(super) struct Look {
    bytes: u64,
    live: u64,
    sealed: Vec<Candidate>,
    tuning: GcTuning,
}

impl Candidate {
    fn dead(&self) -> u64 {
        self.segment.bytes.saturating_sub(self.live)
    }

    /// Whether moving what is alive is worth it. Space that clones share only comes back when all have moved:
    /// then each has a copy of its own.
    fn is_worth_moving(&self, dead_share_min: f64) -> bool {
        let copies = self.live.saturating_mul(self.segment.links.max(1));
        (copies as f64) <= (1.0 - dead_share_min) * self.segment.bytes as f64
    }

    /// Benefit by cost: free space that comes back, for how long it will, by what has to be read and written
    /// (Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File System", 3.6).
    fn score(&self, newest: SegmentId) -> f64 {
        let utilisation = self.live as f64 / self.segment.bytes.max(1) as f64;
        let age = f64::from(newest.raw().saturating_sub(self.segment.id.raw()) + 1);
        (1.0 - utilisation) * age / (1.0 + utilisation)
    }
}

impl Look {
    /// `live` are the bytes of all records that are named, `held` is what is named in each sealed segment. `survey` must
    /// be older than both: nothing of a segment that was sealed and empty is named later.
    pub(super) fn new(survey: Survey, live: i64, held: Vec<InSegment>, gc: &GcPolicy) -> Self {
        let damaged = gc.spared();
        let sealed = survey.sealed.into_iter().zip(held);
        let sealed = sealed.map(|(segment, held)| Candidate {
            segment,
            live: u64::try_from(held.bytes).unwrap_or(0),
            chunks: held.chunks,
        });
        Self {
            bytes: survey.bytes,
            live: u64::try_from(live).unwrap_or(0),
            sealed: sealed
                .filter(|candidate| !damaged.contains(&candidate.segment.id))
                .collect(),
            tuning: gc.tuning,
        }
    }

    fn dead(&self) -> u64 {
        self.sealed.iter().map(Candidate::dead).sum()
    }

    /// What writers may append before they wait.
    fn allowance(&self) -> i64 {
        (2 * self.live + SLACK_BYTES).cast_signed() - self.bytes.cast_signed()
    }

    /// Whether so much is dead, in segments that take records or are not synced as well, that something is to be
    /// collected.
    pub(super) fn has_dead(&self, haste: Haste) -> bool {
        self.is_much(self.bytes.saturating_sub(self.live), haste)
    }

    /// Whether segments that are alive in part should be collected.
    fn is_due(&self, haste: Haste) -> bool {
        self.is_much(self.dead(), haste)
    }

    fn is_much(&self, dead: u64, haste: Haste) -> bool {
        let over = |bytes| dead > bytes && dead > self.bytes / 100 * self.tuning.dead_percent;
        match haste {
            Haste::Idle => over(self.tuning.dead_bytes_idle),
            Haste::Busy => over(self.tuning.dead_bytes),
            Haste::Pressed | Haste::Asked => dead > 0,
        }
    }

    /// Segments that nothing names.
    pub(super) fn empty(&self) -> Vec<Candidate> {
        let empty = self.sealed.iter().filter(|c| c.chunks == 0);
        empty.copied().collect()
    }

    /// The segments to collect in one round, the best first.
    pub(super) fn victims(&self, haste: Haste) -> Vec<Candidate> {
        if !self.is_due(haste) {
            return Vec::new();
        }
        let newest = self.sealed.iter().map(|c| c.segment.id).max();
        let newest = newest.unwrap_or(SegmentId::from_raw(0));
        let dead_share_min = if haste == Haste::Asked { 0.05 } else { 0.1 };
        let mut found: Vec<_> = self
            .sealed
            .iter()
            .filter(|c| c.chunks > 0 && c.is_worth_moving(dead_share_min))
            .copied()
            .collect();
        found.sort_by(|a, b| b.score(newest).total_cmp(&a.score(newest)));
        let mut budget = ROUND_BYTES_MIN.max(self.bytes / 32);
        found
            .into_iter()
            .take_while(|candidate| {
                let fits = candidate.live <= budget;
                budget = budget.saturating_sub(candidate.live);
                fits
            })
            .collect()
    }
}

impl GcPolicy {
    /// The collector of a volume that is being opened.
    pub(in crate::volume) fn new(tuning: GcTuning) -> Self {
        Self {
            tuning,
            round: Mutex::default(),
            defragmenting: Mutex::default(),
            unlinking: RwLock::default(),
            appended: AtomicU64::new(0),
            looked_at: AtomicU64::new(0),
            allowance: AtomicI64::new(0),
            paced: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            lock: Mutex::default(),
            wanted: Condvar::new(),
            moved_on: Condvar::new(),
            damaged: Mutex::default(),
            collected: Mutex::default(),
        }
    }

    /// Whether a segment is to be sealed at this look, though it is not full.
    pub(super) fn is_sealing_due(&self) -> bool {
        self.since_look() >= self.tuning.seal_bytes
    }

    /// A writer is about to append `bytes`: waits while there is too much that is dead.
    pub(in crate::volume) fn admit(&self, bytes: u64) {
        // Relaxed: these are counts, by whose order nothing else is read.
        let appended = self.appended.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if appended >= self.looked_at.load(Ordering::Relaxed) + self.tuning.look_bytes {
            self.call();
        }
        let left = self
            .allowance
            .fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
        if left >= 0 || !self.paced.load(Ordering::Relaxed) {
            return;
        }
        self.call();
        about_to_wait();
        let mut guard = self.locked();
        self.moved_on.wait_while_for(
            &mut guard,
            |()| self.allowance.load(Ordering::Relaxed) < 0 && !self.is_closing(),
            WAIT_MAX,
        );
    }

    /// There is no space on the host, and there may be something to give back: time to look at once.
    pub(in crate::volume) fn press(&self) {
        self.starved.store(true, Ordering::Release);
        self.call();
    }

    /// Wakes the collector. With the lock: one that has just found nothing to do is asleep by then, and hears it.
    fn call(&self) {
        let _guard = self.locked();
        self.wanted.notify_all();
    }

    /// Waits until a look is due, and says how much; `None` once the volume closes.
    pub(in crate::volume) fn wait(&self) -> Option<Haste> {
        let until = Instant::now() + self.tuning.idle();
        let mut guard = self.locked();
        loop {
            if self.is_closing() {
                return None;
            }
            if self.starved.swap(false, Ordering::AcqRel) {
                return Some(Haste::Pressed);
            }
            if self.is_wanted() {
                return Some(Haste::Busy);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let idle = self.since_look() == 0;
                return Some(if idle { Haste::Idle } else { Haste::Busy });
            }
            self.wanted.wait_for(&mut guard, left);
        }
    }

    /// Whether writers have appended so much that a look is due, or wait for one.
    pub(super) fn is_wanted(&self) -> bool {
        let waiting = self.paced.load(Ordering::Relaxed)
            && self.allowance.load(Ordering::Relaxed) < 0
            && self.since_look() > 0;
        waiting || self.since_look() >= self.tuning.look_bytes
    }

    fn since_look(&self) -> u64 {
        let appended = self.appended.load(Ordering::Relaxed);
        appended.saturating_sub(self.looked_at.load(Ordering::Relaxed))
    }

    /// How much was appended so far: [`Self::looked`] is told that a look saw it.
    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// A look saw the segments as they were when `appended` bytes had been appended.
    pub(super) fn looked(&self, look: &Look, appended: u64) {
        self.looked_at.store(appended, Ordering::Relaxed);
        let meanwhile = self.appended().saturating_sub(appended).cast_signed();
        let mut allowance = look.allowance() - meanwhile;
        if allowance < 0 && look.empty().is_empty() && look.victims(Haste::Pressed).is_empty() {
            // There is nothing to collect: waiting would not help.
            allowance = self.tuning.look_bytes.cast_signed();
        }
        let _guard = self.locked();
        self.allowance.store(allowance, Ordering::Relaxed);
        self.paced.store(true, Ordering::Relaxed);
        self.moved_on.notify_all();
    }

    /// Whether writers wait, or soon will.
    pub(super) fn is_pressed(&self) -> bool {
        let near = (SLACK_BYTES / 2).cast_signed();
        self.paced.load(Ordering::Relaxed) && self.allowance.load(Ordering::Relaxed) < near
    }

    /// The collector gave up: writers wait no more until the next look.
    pub(in crate::volume) fn let_writers_go(&self) {
        let _guard = self.locked();
        self.paced.store(false, Ordering::Relaxed);
        self.allowance.store(0, Ordering::Relaxed);
        self.moved_on.notify_all();
    }

    /// Waits, for the foreground's sake; less when the volume closes.
    pub(in crate::volume) fn pause(&self, time: Duration) {
        let mut guard = self.locked();
        self.moved_on
            .wait_while_for(&mut guard, |()| !self.is_closing(), time);
    }

    /// Segments stay for as long as this is held.
    pub(in crate::volume) fn keep_segments(&self) -> RwLockReadGuard<'_, ()> {
        self.unlinking.read()
    }

    /// Runs `unlink` with nobody who needs segments to stay; whether it did: not when the volume closes.
    pub(super) fn unlink(&self, unlink: impl FnOnce()) -> bool {
        loop {
            // Tried, not waited for: a writer that waits keeps further readers out, and a closing volume would wait for
            // a clone.
            if let Some(_alone) = self.unlinking.try_write() {
                unlink();
                return true;
            }
            if self.is_closing() {
                return false;
            }
            self.pause(Duration::from_millis(10));
        }
    }

    /// One round at a time.
    pub(super) fn begin_round(&self) -> MutexGuard<'_, ()> {
        self.round.lock()
    }

    /// One look for files to defragment at a time.
    pub(super) fn begin_defragmenting(&self) -> MutexGuard<'_, ()> {
        self.defragmenting.lock()
    }

    /// A segment with a damaged chunk is left as it is.
    pub(super) fn spare(&self, segment: SegmentId) {
        self.damaged.lock().insert(segment);
    }

    fn spared(&self) -> BTreeSet<SegmentId> {
        self.damaged.lock().clone()
    }

    /// What was collected so far.
    pub(super) fn collected(&self) -> Collected {
        *self.collected.lock()
    }

    pub(super) fn note_collected(&self, done: Collected) {
        self.collected.lock().add(done);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Ends all waiting for good.
    pub(in crate::volume) fn close(&self) {
        let _guard = self.locked();
        self.closing.store(true, Ordering::Release);
        self.wanted.notify_all();
        self.moved_on.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock()
    }
}
