//! Work that may wait, in threads of its own: for a time that is bounded, and for each volume only so much at once.
//!
//! A server that does not answer holds up who asks for its volume, and nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::commands;
use crate::types::VolumeName;

use super::refusal::Refusal;

/// How long an answer that only looks may take.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(10);
/// How long somebody waits for what is done; it goes on after that.
pub(super) const WORK_MAX: Duration = Duration::from_secs(60);
/// What is asked of one volume at once.
const AT_ONCE: usize = 8;
/// What is asked of all volumes at once, and what is downloaded: each waits in a thread of its own.
pub(super) const ASKED_MAX: usize = 320;
pub(super) const DOWNLOADED_MAX: usize = 160;
/// What is asked of the root at once.
const OF_ROOT_MAX: usize = 32;
/// Threads for all of them.
pub(super) const THREADS_MAX: usize = ASKED_MAX + DOWNLOADED_MAX + OF_ROOT_MAX;

/// Work that is about no single volume.
#[derive(Debug)]
pub(super) struct RootLane(Arc<Semaphore>);

impl Default for RootLane {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(OF_ROOT_MAX)))
    }
}

impl RootLane {
    /// Does `work`.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> commands::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let working = async {
            let permit = Arc::clone(&self.0).acquire_owned().await;
            in_thread(permit, work).await
        };
        within(LOOK_MAX, working).await.unwrap_or_else(|| {
            Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "there is no answer in time; try again",
            ))
        })
    }
}

/// What is asked of volumes: of each only so much, and of all.
#[derive(Debug)]
pub(super) struct Lanes {
    of_volumes: Mutex<HashMap<VolumeName, Arc<Semaphore>>>,
    all: Arc<Semaphore>,
}

/// A place in a lane.
pub(super) type Permit = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Lanes {
    /// Lanes for `most` at once in all.
    pub(super) fn new(most: usize) -> Self {
        Self {
            of_volumes: Mutex::default(),
            all: Arc::new(Semaphore::new(most)),
        }
    }

    /// A place among those who ask for this volume, once one is free. Only volumes that are there have any.
    pub(super) async fn enter(&self, volume: &VolumeName) -> Result<Permit, Refusal> {
        let lane = self.lane_of(volume);
        let entering = async {
            let own = lane.acquire_owned().await.ok()?;
            Some((own, Arc::clone(&self.all).acquire_owned().await.ok()?))
        };
        let entered = within(LOOK_MAX, entering).await.flatten();
        entered.ok_or_else(|| silent(volume))
    }

    fn lane_of(&self, volume: &VolumeName) -> Arc<Semaphore> {
        let mut lanes = self.of_volumes.lock();
        // Of a volume that nobody asks for there is nothing to keep.
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.available_permits() < AT_ONCE);
        let lane = lanes.entry(volume.clone());
        Arc::clone(lane.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }

    /// Does `work` with a volume.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        volume: &VolumeName,
        wait_max: Duration,
        work: impl FnOnce() -> commands::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = self.enter(volume).await?;
        let worked = within(wait_max, in_thread(permit, work)).await;
        worked.unwrap_or_else(|| Err(silent(volume)))
    }
}

/// Does `work` in a thread that may wait, and keeps its place until that is done, whoever still waits for it.
async fn in_thread<T: Send + 'static>(
    place: impl Send + 'static,
    work: impl FnOnce() -> commands::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let working = spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    Ok(working.await.map_err(|_| broken())??)
}

/// What comes of a future, if that is in time.
pub(super) async fn within<F: Future>(wait_max: Duration, future: F) -> Option<F::Output> {
    timeout_at(Instant::now() + wait_max, future).await.ok()
}

fn silent(volume: &VolumeName) -> Refusal {
    let said = format!(
        "volume \"{volume}\" does not answer in time; what was begun goes on: look again later, or see \
         `cask log {volume}`"
    );
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, said)
}

fn broken() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "this is a bug of cask: the answer broke; the log of `cask web` says more",
    )
}
