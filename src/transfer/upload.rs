//! Packs on their way to the store, some at a time.

use std::thread::Scope;

use super::Result;
use super::workers::Workers;
use crate::remote::{Index, Repository, SealedPack};

/// Packs that are sent at once. With one that is filled and one that waits that is 80 MiB.
const AT_ONCE: usize = 3;

/// Packs that are being sent.
#[derive(Debug)]
pub(super) struct Uploads(Workers<SealedPack, SealedPack>);

impl Uploads {
    /// Starts the threads that send; they end when this is dropped.
    pub(super) fn start<'s>(scope: &'s Scope<'s, '_>, repository: &'s Repository) -> Self {
        Self(Workers::start(scope, (AT_ONCE, 0), |mut pack| {
            repository.put_pack(&mut pack).map(|()| pack)
        }))
    }

    /// Sends a pack, and waits while as many are sent as may be.
    pub(super) fn send(&mut self, pack: SealedPack, index: &mut Index) -> Result<()> {
        while let Some(outcome) = self.0.take() {
            index.note(&outcome?)?;
        }
        self.0.ask(pack)
    }

    /// Waits until all packs are there.
    pub(super) fn finish(&mut self, index: &mut Index) -> Result<()> {
        while let Some(outcome) = self.0.next()? {
            index.note(&outcome?)?;
        }
        Ok(())
    }

    /// After an error: waits for what is on its way still, and notes what arrived, so that the next push need not send
    /// it again.
    pub(super) fn give_up(&mut self, index: &mut Index) {
        while let Ok(Some(outcome)) = self.0.next() {
            let noted = outcome.and_then(|pack| index.note(&pack));
            if let Err(error) = noted {
                log::debug!("a pack has to be sent again: {error}");
            }
        }
    }
}
