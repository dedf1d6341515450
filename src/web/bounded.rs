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

/// What is asked of each volume.
#[derive(Debug, Default)]
pub(super) struct Lanes(Mutex<HashMap<VolumeName, Arc<Semaphore>>>);

impl Lanes {
    /// A place among those who ask for this volume, once one is free. Only volumes that are there have any.
    pub(super) async fn enter(&self, volume: &VolumeName) -> Result<OwnedSemaphorePermit, Refusal> {
        let lane = {
            let mut lanes = self.0.lock();
            // Of a volume that nobody asks for there is nothing to keep.
            lanes.retain(|_, lane| {
                Arc::strong_count(lane) > 1 || lane.available_permits() < AT_ONCE
            });
            let lane = lanes.entry(volume.clone());
            Arc::clone(lane.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
        };
        match within(LOOK_MAX, lane.acquire_owned()).await {
            Some(Ok(permit)) => Ok(permit),
            Some(Err(_)) | None => Err(silent(volume)),
        }
    }

    /// Does `work` with a volume.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        volume: &VolumeName,
        wait_max: Duration,
        work: impl FnOnce() -> commands::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = self.enter(volume).await?;
        let working = spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        match within(wait_max, working).await {
            Some(Ok(done)) => Ok(done?),
            Some(Err(_)) => Err(broken()),
            None => Err(silent(volume)),
        }
    }
}

/// What comes of a future, if that is in time.
pub(super) async fn within<F: Future>(wait_max: Duration, future: F) -> Option<F::Output> {
    timeout_at(Instant::now() + wait_max, future).await.ok()
}

/// Does `work` that is about no single volume.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> commands::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    match within(LOOK_MAX, spawn_blocking(work)).await {
        Some(Ok(done)) => Ok(done?),
        Some(Err(_)) => Err(broken()),
        None => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no answer in time; try again",
        )),
    }
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
