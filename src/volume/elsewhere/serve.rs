//! The threads that fetch what somebody waits for.

use super::keep::keep;
use crate::volume::core::Core;

/// Fetches what is asked for, and keeps it, until the volume is closed.
pub(in crate::volume) fn serve(core: &Core) {
    let Some(fetcher) = core.fetcher() else {
        return;
    };
    while let Some(window) = fetcher.next() {
        for (part, came) in fetcher.fetch(window) {
            if let Ok(plain) = came {
                keep(core, &part, &plain);
            }
        }
    }
}
