//! Packs on their way to the store, some at a time.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use super::{Error, Result};
use crate::remote::{self, Index, Repository, SealedPack};

/// Packs that are sent at once. With one that is filled and one that waits that is 80 MiB.
const AT_ONCE: usize = 3;

type Outcome = remote::Result<SealedPack>;

/// Packs that are being sent.
#[derive(Debug)]
pub(super) struct Uploads {
    queue: SyncSender<SealedPack>,
    done: Receiver<Outcome>,
    under_way: usize,
}

impl Uploads {
    /// Starts the threads that send; they end when this is dropped.
    pub(super) fn start<'s>(scope: &'s Scope<'s, '_>, repository: &'s Repository) -> Self {
        let (queue, waiting) = sync_channel::<SealedPack>(0);
        let (tell, done) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..AT_ONCE {
            let (waiting, tell) = (Arc::clone(&waiting), tell.clone());
            scope.spawn(move || send_all(repository, &waiting, &tell));
        }
        Self {
            queue,
            done,
            under_way: 0,
        }
    }

    /// Sends a pack, and waits while as many are sent as may be.
    pub(super) fn send(&mut self, pack: SealedPack, index: &mut Index) -> Result<()> {
        while let Ok(outcome) = self.done.try_recv() {
            self.conclude(outcome, index)?;
        }
        let sent = self.queue.send(pack);
        sent.map_err(|_| Error::Bug("the threads that send have ended"))?;
        self.under_way += 1;
        Ok(())
    }

    /// Waits until all packs are there.
    pub(super) fn finish(&mut self, index: &mut Index) -> Result<()> {
        while self.under_way > 0 {
            let outcome = self.done.recv();
            let outcome = outcome.map_err(|_| Error::Bug("the threads that send have ended"))?;
            self.conclude(outcome, index)?;
        }
        Ok(())
    }

    /// After an error: waits for what is on its way still, and notes what arrived, so that the next push need not send
    /// it again.
    pub(super) fn give_up(&mut self, index: &mut Index) {
        while self.under_way > 0 {
            let Ok(outcome) = self.done.recv() else {
                return;
            };
            if let Err(error) = self.conclude(outcome, index) {
                log::debug!("a pack has to be sent again: {error}");
            }
        }
    }

    fn conclude(&mut self, outcome: Outcome, index: &mut Index) -> Result<()> {
        self.under_way -= 1;
        Ok(index.note(&outcome?)?)
    }
}

fn send_all(
    repository: &Repository,
    waiting: &Mutex<Receiver<SealedPack>>,
    tell: &Sender<Outcome>,
) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(mut pack) = next else {
            return;
        };
        let outcome = repository.put_pack(&mut pack).map(|()| pack);
        // Nobody listens after an error.
        if tell.send(outcome).is_err() {
            return;
        }
    }
}
