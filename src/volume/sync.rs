//! fsync(2): chunk bytes and commits reach the disk, once for all who wait at the same time.

use std::sync::{Condvar, Mutex, PoisonError};

use super::core::Core;
use super::{Error, Result, Volume};
use crate::chunks::{Stream, SyncMark};

/// Lets concurrent callers share one sync: whoever comes while one runs takes part in the next.
#[derive(Debug, Default)]
pub(super) struct SyncGroup {
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
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = rounds.begun + 1;
        while rounds.running {
            rounds = self
                .ended
                .wait(rounds)
                .unwrap_or_else(PoisonError::into_inner);
            if rounds.ended >= mine {
                return (rounds.failed < mine).then_some(Ok(()));
            }
        }
        rounds.begun += 1;
        rounds.running = true;
        let round = rounds.begun;
        drop(rounds);
        let result = sync();
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.running = false;
        rounds.ended = round;
        if result.is_err() {
            rounds.failed = round;
        }
        self.ended.notify_all();
        Some(result)
    }
}

impl Core {
    /// Makes all that was acknowledged durable. After an error all writing is stopped.
    pub(super) fn sync(&self) -> Result<()> {
        let result = self.syncs.run(|| self.sync_alone());
        result.unwrap_or(Err(Error::ReadOnly))
    }

    fn sync_alone(&self) -> Result<()> {
        self.sync_chunks()?;
        self.database.sync_wal()?;
        // An error that someone else met meanwhile may have been of what this call is to vouch for.
        self.check_not_stopped()
    }

    /// Makes the chunks durable that were written and whose append had returned.
    pub(super) fn sync_chunks(&self) -> Result<SyncMark> {
        self.sync_stream(Stream::Fresh)
    }

    /// Makes the chunks of a stream durable whose append had returned.
    pub(super) fn sync_stream(&self, stream: Stream) -> Result<SyncMark> {
        self.store.sync(stream, |outcome| {
            self.check_not_stopped()?;
            outcome.map_err(|e| {
                let error = Error::from(e);
                log::error!("stopped writing: {error:?}");
                self.database.stop(error.with_causes());
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
    pub(super) fn checkpoint(&self) -> Result<()> {
        let mark = self.database.checkpoint(|| self.sync_chunks())?;
        match self.state.store_open(mark, self.store.next_segment()) {
            // An older mark only makes recovery look at more.
            Err(Error::NoSpace) => Ok(()),
            result => result,
        }
    }
}

impl Volume {
    /// Makes everything that was acknowledged durable.
    ///
    /// # Errors
    /// I/O errors; the volume is read-only afterwards, until it is opened again.
    pub fn sync(&self) -> Result<()> {
        self.core.sync()
    }

    /// Has `tell` run when an I/O error stops all writing.
    pub fn when_stopped(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.core.database.when_stopped(tell);
    }

    /// Why an I/O error stopped all writing, if one did.
    #[must_use]
    pub fn stopped_by(&self) -> Option<&str> {
        self.core.database.stopped_by()
    }

    /// Stops all writing, as an error did that an earlier server of the same mounts met: what it lost stays lost.
    pub fn stop_writing(&self) {
        let reason = "an I/O error that an earlier server of these mounts met";
        self.core.database.stop(reason.to_owned());
    }

    /// Moves the log into the database, as the background does when it is long.
    ///
    /// # Errors
    /// I/O errors.
    pub fn checkpoint(&self) -> Result<()> {
        self.core.checkpoint()
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
