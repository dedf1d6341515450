//! The threads that fetch what somebody waits for.

use super::bring::look;
use super::fetcher::{Fetcher, Task, Window};
use super::keep::keep;
use crate::volume::core::Core;

/// Fetches what is asked for, and keeps it, until the volume is closed.
pub(in crate::volume) fn serve(core: &Core) {
    let Some(fetcher) = core.fetcher() else {
        return;
    };
    while let Some(task) = fetcher.next() {
        match task {
            Task::Fetch(window) => fetch(core, fetcher, window),
            Task::Look(from, plan) => {
                if let Err(error) = look(core, fetcher, from, &plan) {
                    log::debug!("it is not known what to fetch next: {error}");
                }
            }
        }
    }
}

fn fetch(core: &Core, fetcher: &Fetcher, window: Window) {
    for (part, came) in fetcher.fetch(window) {
        if let Ok(plain) = came {
            keep(core, &part, &plain);
        }
    }
}
