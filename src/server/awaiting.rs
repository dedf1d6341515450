//! A server of a volume that has no tables yet: it fetches them, and has another follow that opens the volume.
//!
//! The kernel sends that one what was not answered here, which is all that would have changed something.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::shared::Shared;
use crate::types::with_causes;
use crate::volume::{self, Awaited};

/// After the tables could not be fetched, before they are fetched again.
const RETRY: Duration = Duration::from_secs(2);
/// Between looks whether there is a mount.
const PAUSE: Duration = Duration::from_millis(20);
/// What whoever mounts may still ask of a server that has just been told of the mount.
const SETTLING: Duration = Duration::from_millis(300);

/// Fetches the tables, and has the next server follow once there is a mount that it can take over.
pub(super) fn fetch_tables(awaited: Arc<Awaited>, shared: &Weak<Shared>) {
    while let Err(error) = awaited.load() {
        if matches!(error, volume::Error::Awaited) {
            return;
        }
        log::warn!("cannot fetch what files there are: {}", with_causes(&error));
        thread::sleep(RETRY);
        if shared.strong_count() == 0 {
            return;
        }
    }
    // With its lock, if the server ends before another follows.
    drop(awaited);
    log::info!("all that tells of files is here: the next server opens the volume");
    while let Some(shared) = shared.upgrade() {
        if shared.head_device().is_some() {
            break;
        }
        drop(shared);
        thread::sleep(PAUSE);
    }
    thread::sleep(SETTLING);
    let program = File::open("/proc/self/exe");
    match (shared.upgrade(), program) {
        (Some(shared), Ok(program)) => {
            let fault = shared.replace(program.as_fd());
            log::error!("no server follows this one: {}", fault.message);
        }
        (Some(_), Err(error)) => log::error!("no server follows this one: {error}"),
        (None, _) => {}
    }
}
