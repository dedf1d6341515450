//! fsync(2): chunk bytes and commits reach the disk, once for all who wait at the same time.

use crate::chunks::{ChunkStore, Stream, SyncMark};
use crate::meta::Database;
use crate::types::with_causes;
use crate::volume::durability::reserve::Reserve;
use crate::volume::durability::state::StateFile;
use crate::volume::error::{Error, Result};
use parking_lot::{Condvar, Mutex};

/// Lets concurrent callers share one sync: whoever comes while one runs takes part in the next.
#[derive(Debug, Default)]
pub(in crate::volume) struct SyncGroup {
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// The last round that failed: who took part in it, or in an earlier one, must not hear of success.
    failed: u64,
    running: bool,
}

impl SyncGroup {
    /// Runs `sync`, or waits for one that began after this call did. `None` when that one failed for
    /// another caller.
    fn run(&self, sync: impl FnOnce() -> Result<()>) -> Option<Result<()>> {
        let mut rounds = self.rounds.lock();
        let mine = rounds.begun + 1;
        while rounds.running {
            self.ended.wait(&mut rounds);
            if rounds.ended >= mine {
                return (rounds.failed < mine).then_some(Ok(()));
            }
        }
        rounds.begun += 1;
        rounds.running = true;
        let round = rounds.begun;
        drop(rounds);
        let result = sync();
        let mut rounds = self.rounds.lock();
        rounds.running = false;
        rounds.ended = round;
        if result.is_err() {
            rounds.failed = round;
        }
        self.ended.notify_all();
        Some(result)
    }
}

/// What of a volume lies on the disk: chunks in segments, metadata in a database, and `state` for who opens it next.
#[derive(Debug)]
pub(in crate::volume) struct Disk {
    database: Database,
    chunks: ChunkStore,
    state: StateFile,
    syncs: SyncGroup,
}

impl Disk {
    pub(in crate::volume) fn new(database: Database, chunks: ChunkStore, state: StateFile) -> Self {
        Self {
            database,
            chunks,
            state,
            syncs: SyncGroup::default(),
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

    /// Chunks before the log: a commit must not be on the disk without the bytes that it names (invariant 1).
    fn sync_alone(&self) -> Result<()> {
        self.sync_chunks()?;
        self.database.sync_wal()?;
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
        let mark = self.database.checkpoint(|| self.sync_chunks())?;
        match self.state.store_open(mark, self.chunks.next_segment()) {
            // An older mark only makes recovery look at more.
            Err(Error::NoSpace) => Ok(()),
            result => result,
        }
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
        self.database
            .close(|| reserve.spend_on(|| state.store_clean(mark, chunks.next_segment())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
