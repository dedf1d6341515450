//! Threads that do requests, some at a time; they end when this is dropped.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use super::{Error, Result};
use crate::remote;

/// Requests under way, each of a `Job`.
#[derive(Debug)]
pub(super) struct Workers<Job, Done> {
    queue: SyncSender<Job>,
    done: Receiver<remote::Result<Done>>,
    under_way: usize,
}

impl<Job: Send, Done: Send> Workers<Job, Done> {
    /// Starts as many as are to work at once; `waiting` jobs may wait for one of them.
    pub(super) fn start<'s>(
        scope: &'s Scope<'s, '_>,
        (at_once, waiting): (usize, usize),
        work: impl Fn(Job) -> remote::Result<Done> + Send + Sync + 's,
    ) -> Self
    where
        Job: 's,
        Done: 's,
    {
        let (queue, jobs) = sync_channel::<Job>(waiting);
        let (tell, done) = channel();
        let (jobs, work) = (Arc::new(Mutex::new(jobs)), Arc::new(work));
        for _ in 0..at_once {
            let (jobs, tell, work) = (Arc::clone(&jobs), tell.clone(), Arc::clone(&work));
            scope.spawn(move || {
                while let Some(job) = next(&jobs) {
                    // Nobody listens after an error.
                    if tell.send(work(job)).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            queue,
            done,
            under_way: 0,
        }
    }

    /// How many jobs have not been taken back.
    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }

    /// Hands a job over, and waits while as many wait as may.
    pub(super) fn ask(&mut self, job: Job) -> Result<()> {
        self.queue.send(job).map_err(|_| ended())?;
        self.under_way += 1;
        Ok(())
    }

    /// What came, if something has.
    pub(super) fn take(&mut self) -> Option<remote::Result<Done>> {
        let done = self.done.try_recv().ok()?;
        self.under_way -= 1;
        Some(done)
    }

    /// What comes next; `None` when nothing is under way.
    ///
    /// # Errors
    /// [`Error::Bug`] when the threads have ended.
    pub(super) fn next(&mut self) -> Result<Option<remote::Result<Done>>> {
        if self.under_way == 0 {
            return Ok(None);
        }
        let done = self.done.recv().map_err(|_| ended())?;
        self.under_way -= 1;
        Ok(Some(done))
    }
}

fn next<Job>(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.recv().ok()
}

const fn ended() -> Error {
    Error::Bug("the threads that do requests have ended")
}
