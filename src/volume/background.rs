//! The threads behind the operations: one keeps the log short and syncs now and then, one frees what
//! has no name any more, one gives back the space of what is dead, one reads what is stored again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::config::Seal;
use super::core::Core;
use super::durability::copying::copy_some;
use super::durability::refused_retry::retry_refused;
use super::elsewhere::{hydrate, serve};
use super::error::{Error, Result};
use super::health::scrub::scrub;
use super::history::snapshot::purge_some;
use super::space::defragment::defragment;
use super::space::gc_move::collect_rounds;
use super::space::gc_policy::Haste;
use super::space::lookup_counts::Backlog;
use super::space::quiet::Disturb;
use super::space::reaper::free_ended;
use super::watch::UNWATCHED;

/// What a power cut can take at most of data that nobody synced.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);
/// Requests at once of a store whose chunks somebody needs.
const FETCHERS: usize = 8;
/// Pause after a failure that may pass, such as a full disk.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The background threads of one open volume; they end when it is dropped.
#[derive(Debug)]
pub(super) struct Workers {
    core: Arc<Core>,
    closing: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// The last to end: whoever writes much waits for it.
    checkpointer: Option<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start(core: &Arc<Core>) -> Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let mut workers = Self {
            core: Arc::clone(core),
            closing: Arc::clone(&closing),
            threads: Vec::new(),
            checkpointer: None,
        };
        let shared = Arc::clone(core);
        workers.spawn("checkpointer", move || keep_log_short(&shared, &closing))?;
        workers.checkpointer = workers.threads.pop();
        let shared = Arc::clone(core);
        workers.spawn("reaper", move || free(&shared))?;
        let shared = Arc::clone(core);
        workers.spawn("scrubber", move || scrub(&shared))?;
        if core.fetcher().is_some() {
            for _ in 0..FETCHERS {
                let shared = Arc::clone(core);
                workers.spawn("fetcher", move || serve(&shared))?;
            }
            let shared = Arc::clone(core);
            workers.spawn("hydrator", move || hydrate(&shared))?;
        }
        if core.metadata().seal() == Seal::Open {
            let shared = Arc::clone(core);
            workers.spawn("collector", move || collect(&shared))?;
        }
        Ok(workers)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body);
        self.threads
            .push(thread.map_err(|e| Error::storage(format!("cannot start the {name}"), e))?);
        Ok(())
    }

    /// Ends the threads but the checkpointer, and waits for them.
    pub(super) fn leave_checkpointer(&mut self) {
        self.core.lookups().close();
        self.core.gc().close();
        self.core.scrubber().close();
        if let Some(fetcher) = self.core.fetcher() {
            fetcher.close();
        }
        self.threads.drain(..).for_each(join);
    }

    /// Ends the threads and waits for them.
    fn stop(&mut self) {
        self.leave_checkpointer();
        // Before it is woken: one that looked earlier would go on waiting.
        self.closing.store(true, Ordering::Release);
        self.core.database().wake_checkpointer();
        self.checkpointer.take().into_iter().for_each(join);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        log::error!("a background thread panicked");
    }
}

fn keep_log_short(core: &Core, closing: &AtomicBool) {
    // Not known at first: what another server left may not be durable.
    let mut synced = None;
    while !closing.load(Ordering::Acquire) {
        core.database().wait_for_growth(SYNC_INTERVAL);
        if closing.load(Ordering::Acquire) || core.database().is_stopped() {
            return;
        }
        retry_refused(core);
        // Before the sync: what is committed beside it may not be covered, and has the next look find a difference.
        let (due, changes) = (
            core.database().is_checkpoint_due(),
            core.database().changes(),
        );
        // An idle volume leaves the disk alone.
        if !due && synced == Some(changes) {
            continue;
        }
        let begun = core.database().log_beginnings();
        let done = if due {
            core.disk().checkpoint()
        } else {
            core.disk().sync()
        };
        if let Err(error) = &done {
            log::warn!(
                "cannot {}: {error}",
                if due { "checkpoint" } else { "sync" }
            );
        }
        synced = done.is_ok().then_some(changes);
        // A checkpoint that could not shorten the log would be due at once again.
        if done.is_err() || (due && core.database().log_beginnings() == begun) {
            thread::sleep(RETRY_INTERVAL);
        }
    }
}

fn free(core: &Core) {
    while let Some(backlog) = core.lookups().wait_for_work() {
        let done = free_ended(core).and_then(|()| match backlog {
            Backlog::Due => work_off(core),
            Backlog::Nothing => Ok(()),
        });
        // On a full disk nobody appends, which is what the collector goes by.
        if done.is_ok() && !core.metadata().reserve().is_whole() {
            core.gc().press();
        }
        if let Err(error) = done {
            log::warn!("cannot free what was removed, or write what was copied: {error}");
            if backlog == Backlog::Due {
                // It is still due, and nobody else would say so again.
                core.lookups().call_backlog();
            }
            if core.database().is_stopped() {
                return;
            }
            thread::sleep(RETRY_INTERVAL);
        }
    }
}

/// Stays behind with what is left when the volume closes: it is in the tables.
fn work_off(core: &Core) -> Result<()> {
    let goes_on = || !core.lookups().is_closing();
    while goes_on() && purge_some(core)? {}
    while goes_on() && copy_some(core)? {}
    Ok(())
}

fn collect(core: &Core) {
    let (mut seen, mut defragmented) = (None, Instant::now());
    while let Some(haste) = core.gc().wait() {
        if core.database().is_stopped() {
            // Writers who found the segments too large wait for a round that will not come.
            return core.gc().let_writers_go();
        }
        // What was looked at and has not changed needs no second look.
        if haste == Haste::Idle && seen == Some(core.database().changes()) {
            continue;
        }
        let done = collect_rounds(core, haste, UNWATCHED).and_then(|_| match haste {
            Haste::Idle => defragment_when_due(core, &mut defragmented),
            Haste::Busy | Haste::Pressed | Haste::Asked => Ok(false),
        });
        match done {
            Ok(true) => seen = Some(core.database().changes()),
            Ok(false) => {}
            Err(error) => {
                log::warn!("cannot collect: {error}");
                core.gc().let_writers_go();
                core.gc().pause(RETRY_INTERVAL);
            }
        }
    }
}

/// Looks for files to defragment, now and then; whether it did.
fn defragment_when_due(core: &Core, last: &mut Instant) -> Result<bool> {
    let interval = Duration::from_secs(core.tuning().defragment.interval_secs);
    if last.elapsed() < interval {
        return Ok(false);
    }
    let began = Instant::now();
    let found = defragment(core, Disturb::Quiet)?;
    log::debug!("defragmented {found:?}");
    // In a large volume a look takes long: it shall be a small part of all time.
    *last = Instant::now() + began.elapsed() * 20;
    Ok(found.is_nothing())
}
