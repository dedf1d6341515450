//! fsync(2): chunk bytes and commits reach the disk, once for all who wait at the same time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, mem};

use crate::chunks::{ChunkStore, Stream, SyncMark};
use crate::meta::Database;
use crate::types::{about_to_wait, with_causes};
use crate::volume::durability::reserve::Reserve;
use crate::volume::durability::state::StateFile;
use crate::volume::error::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// Whoever is told how a sync ended.
pub(in crate::volume) type Then = Box<dyn FnOnce(Result<()>) + Send>;

/// Lets concurrent callers share one sync: whoever comes while one runs takes part in the next.
#[derive(Debug, Default)]
pub(in crate::volume) struct SyncGroup {
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// The last round that failed: who took part in it, or in an earlier one, must not hear of success.
    failed: u64,
    running: Running,
    /// Who takes part in the next round without waiting for it.
    waiting: Vec<Then>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Running {
    #[default]
    No,
    /// One round, by somebody who has other things to do then.
    Once,
    /// As many as there are waiting for.
    Serving,
}

impl SyncGroup {
    /// Runs `sync`, or waits for one that began after this call did. `None` when that one failed for
    /// another caller.
    fn run(&self, sync: impl FnOnce() -> Result<()>) -> Option<Result<()>> {
        let mut rounds = self.rounds.lock();
        let mine = rounds.begun + 1;
        while rounds.running != Running::No {
            self.ended.wait(&mut rounds);
            if rounds.ended >= mine {
                return (rounds.failed < mine).then_some(Ok(()));
            }
        }
        rounds.running = Running::Once;
        let runner = Runner(Some(self));
        let (mut rounds, result) = self.round(rounds, sync);
        runner.end(&mut rounds);
        Some(result)
    }

    /// Has `then` told how a sync ended that began after this call did. This thread runs that one, and those of whoever
    /// comes meanwhile, unless another does so already: then it goes at once, and the other tells.
    fn join(&self, then: Then, sync: impl Fn() -> Result<()>) {
        let mut rounds = self.rounds.lock();
        rounds.waiting.push(then);
        if rounds.running != Running::Serving {
            about_to_wait();
        }
        while rounds.running == Running::Once {
            self.ended.wait(&mut rounds);
        }
        if rounds.running == Running::Serving {
            return;
        }
        rounds.running = Running::Serving;
        let runner = Runner(Some(self));
        while !rounds.waiting.is_empty() {
            let told = mem::take(&mut rounds.waiting);
            let (guard, result) = self.round(rounds, &sync);
            drop(guard);
            tell_all(told, result);
            rounds = self.rounds.lock();
        }
        runner.end(&mut rounds);
        drop(rounds);
    }

    /// One round, which whoever waits hears of.
    fn round<'a>(
        &'a self,
        mut rounds: MutexGuard<'a, Rounds>,
        sync: impl FnOnce() -> Result<()>,
    ) -> (MutexGuard<'a, Rounds>, Result<()>) {
        rounds.begun += 1;
        let round = rounds.begun;
        drop(rounds);
        let result = sync();
        let mut rounds = self.rounds.lock();
        rounds.ended = round;
        if result.is_err() {
            rounds.failed = round;
        }
        self.ended.notify_all();
        (rounds, result)
    }
}

/// Who runs rounds. One that panics has others go on, and those that wait for it hear of an error: a server ends by that
/// (`server/spawn.rs`), and a command that has the volume open by itself must not hang.
struct Runner<'g>(Option<&'g SyncGroup>);

impl Runner<'_> {
    /// There is none any more from here on: with the lock that shows that nobody waits.
    fn end(mut self, rounds: &mut Rounds) {
        rounds.running = Running::No;
        if let Some(group) = self.0.take() {
            group.ended.notify_all();
        }
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        let Some(group) = self.0 else {
            return;
        };
        let mut rounds = group.rounds.lock();
        rounds.running = Running::No;
        (rounds.ended, rounds.failed) = (rounds.begun, rounds.begun);
        let waiting = mem::take(&mut rounds.waiting);
        drop(rounds);
        group.ended.notify_all();
        tell_all(waiting, Err(Error::bug("a sync panicked")));
    }
}

/// The cause is the first one's: an error is told once.
fn tell_all(told: Vec<Then>, result: Result<()>) {
    let rest = result.is_ok();
    let mut first = Some(result);
    for then in told {
        let others = || if rest { Ok(()) } else { Err(Error::ReadOnly) };
        then(first.take().unwrap_or_else(others));
    }
}

impl fmt::Debug for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (begun, ended) = (self.begun, self.ended);
        write!(f, "Rounds({ended} of {begun}, {:?})", self.running)
    }
}

/// What of a volume lies on the disk: chunks in segments, metadata in a database, and `state` for who opens it next.
#[derive(Debug)]
pub(in crate::volume) struct Disk {
    database: Database,
    chunks: ChunkStore,
    state: StateFile,
    syncs: SyncGroup,
    /// Since the volume was opened.
    checkpoints: AtomicU64,
}

impl Disk {
    pub(in crate::volume) fn new(database: Database, chunks: ChunkStore, state: StateFile) -> Self {
        Self {
            database,
            chunks,
            state,
            syncs: SyncGroup::default(),
            checkpoints: AtomicU64::new(0),
        }
    }

    pub(in crate::volume) const fn database(&self) -> &Database {
        &self.database
    }

    pub(in crate::volume) const fn chunks(&self) -> &ChunkStore {
        &self.chunks
    }

    /// Makes all that was acknowledged durable. After an error all writing is stopped.
    pub(in crate::volume) fn sync(&self) -> Result<()> {
        let result = self.syncs.run(|| self.sync_alone());
        result.unwrap_or(Err(Error::ReadOnly))
    }

    /// As [`Self::sync`], with the outcome told to `then`: by this thread, or by one that syncs for many.
    pub(in crate::volume) fn sync_then(&self, then: Then) {
        self.syncs.join(then, || self.sync_alone());
    }

    /// Chunks and log at once: whoever waits is told when both are durable. A power cut in between can leave a commit
    /// without the bytes that it names, as it can without any sync, and recovery gives it up (`recover`).
    fn sync_alone(&self) -> Result<()> {
        if self.chunks.has_unsynced(Stream::Fresh) {
            let chunks = || self.sync_chunks().map(drop);
            self.database.sync_wal_while(chunks)?;
        } else {
            // Of the names of new files, and of a sync that is under way.
            self.sync_chunks()?;
            self.database.sync_wal()?;
        }
        // An error that someone else met meanwhile may have been of what this call is to vouch for.
        self.check_not_stopped()
    }

    /// Makes the chunks durable that were written and whose append had returned.
    pub(in crate::volume) fn sync_chunks(&self) -> Result<SyncMark> {
        self.sync_stream(Stream::Fresh)
    }

    /// Makes the chunks of a stream durable whose append had returned.
    pub(in crate::volume) fn sync_stream(&self, stream: Stream) -> Result<SyncMark> {
        self.chunks.sync(stream, |outcome| {
            self.check_not_stopped()?;
            outcome.map_err(|e| {
                let error = Error::from(e);
                log::error!("stopped writing: {error:?}");
                self.database.stop(with_causes(&error));
                error
            })
        })
    }

    fn check_not_stopped(&self) -> Result<()> {
        if self.database.is_stopped() {
            Err(Error::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// Shortens the log; what is durable then is noted for recovery.
    pub(in crate::volume) fn checkpoint(&self) -> Result<()> {
        about_to_wait();
        let mark = self.database.checkpoint(|| self.sync_chunks())?;
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        match self.state.store_open(mark, self.chunks.next_segment()) {
            // An older mark only makes recovery look at more.
            Err(Error::NoSpace) => Ok(()),
            result => result,
        }
    }

    /// How often the log was shortened since the volume was opened.
    pub(in crate::volume) fn checkpoints(&self) -> u64 {
        self.checkpoints.load(Ordering::Relaxed)
    }

    /// Closes the database after moving the log into it, and notes that the volume is clean; on a full disk with the
    /// space of `reserve`.
    pub(in crate::volume) fn close(self, reserve: &Reserve) -> Result<()> {
        assert!(
            !self.database.is_stopped(),
            "invariant 6: what stopped writing is not marked clean"
        );
        let mark = self.sync_chunks()?;
        self.chunks.trim();
        let (state, chunks) = (self.state, self.chunks);
        let logical = self.database.known_logical_bytes();
        let note = || state.store_clean(mark, chunks.next_segment(), logical);
        self.database.close(|| reserve.spend_on(note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn callers_share_syncs_and_each_gets_one_that_began_after_its_call() {
        let group = SyncGroup::default();
        let runs = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let before = runs.load(Ordering::SeqCst);
                        let result = group.run(|| {
                            std::thread::sleep(std::time::Duration::from_millis(1));
                            runs.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        });
                        assert!(result.unwrap().is_ok());
                        assert!(runs.load(Ordering::SeqCst) > before);
                    }
                });
            }
        });
        assert!(runs.load(Ordering::SeqCst) < 16 * 20);
    }

    #[test]
    fn who_does_not_wait_is_told_by_whoever_syncs() {
        let group = SyncGroup::default();
        let (began, runs) = (AtomicU32::new(0), AtomicU32::new(0));
        let told = Arc::new(AtomicU32::new(0));
        let sync = || {
            began.fetch_add(1, Ordering::SeqCst);
            while began.load(Ordering::SeqCst) < 100 {
                std::thread::yield_now();
            }
            runs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let join = || {
            let told = Arc::clone(&told);
            let then = move |done: Result<()>| {
                done.unwrap();
                told.fetch_add(1, Ordering::SeqCst);
            };
            group.join(Box::new(then), sync);
        };
        std::thread::scope(|scope| {
            scope.spawn(join);
            while began.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            // None of these waits for the first, which runs.
            (0..20).for_each(|_| join());
            assert_eq!(told.load(Ordering::SeqCst), 0);
            began.store(100, Ordering::SeqCst);
        });
        assert_eq!(told.load(Ordering::SeqCst), 21);
        assert_eq!(runs.load(Ordering::SeqCst), 2, "one round for twenty");
    }

    #[test]
    fn a_sync_that_panics_leaves_the_next_to_others_and_is_success_for_nobody() {
        let group = SyncGroup::default();
        let told = Arc::new(AtomicU32::new(0));
        let (began, goes_on) = (AtomicU32::new(0), AtomicU32::new(0));
        let sync = || {
            began.store(1, Ordering::SeqCst);
            while goes_on.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            panic!("a defect");
        };
        let join = || {
            let hears = Arc::clone(&told);
            let then = move |done: Result<()>| {
                hears.fetch_add(u32::from(done.is_err()), Ordering::SeqCst);
            };
            group.join(Box::new(then), sync);
        };
        std::thread::scope(|scope| {
            let serving = scope.spawn(join);
            while began.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            join();
            let waiting = scope.spawn(|| group.run(|| Ok(())));
            while group.rounds.lock().running != Running::Serving {
                std::thread::yield_now();
            }
            goes_on.store(1, Ordering::SeqCst);
            assert!(serving.join().is_err());
            // Its own round, which began after its call.
            assert!(matches!(waiting.join().unwrap(), Some(Ok(()))));
        });
        assert_eq!(told.load(Ordering::SeqCst), 1, "the one that does not wait");
        assert!(matches!(group.run(|| Ok(())), Some(Ok(()))));
    }

    #[test]
    fn a_failed_sync_is_told_to_those_who_do_not_wait() {
        let group = SyncGroup::default();
        let told = Arc::new(AtomicU32::new(0));
        let hears = Arc::clone(&told);
        let then = move |done: Result<()>| {
            hears.store(u32::from(done.is_err()), Ordering::SeqCst);
        };
        group.join(Box::new(then), || Err(Error::ReadOnly));
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_sync_is_reported_to_all_who_took_part() {
        let group = SyncGroup::default();
        let failures = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let result = group.run(|| {
                        std::thread::sleep(std::time::Duration::from_millis(5));
                        Err(Error::ReadOnly)
                    });
                    if !matches!(result, Some(Ok(()))) {
                        failures.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(failures.load(Ordering::SeqCst), 8);
    }
}
