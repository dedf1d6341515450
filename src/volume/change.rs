//! The one way in which an operation changes metadata: at a limit, what was removed is freed first; what depends on
//! who calls is looked up outside of the transaction.

use std::thread;
use std::time::{Duration, Instant};

use super::core::Core;
use super::error::{Error, Result};
use super::metadata::Space;
use super::ops::privilege::Privileges;
use super::space::reaper::free_ended;
use crate::meta::WriteTx;
use crate::types::{Caller, about_to_wait};

/// How long a change that finds the volume full waits for what is being freed.
const WAIT_MAX: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(5);

/// Runs `change` in one transaction and commits it, as [`super::metadata::Metadata::change`] does.
///
/// At a limit it is tried again while files without a name are being freed: their space can be used at once.
pub(super) fn change<T>(
    core: &Core,
    space: Space,
    change: impl Fn(&mut WriteTx<'_>) -> Result<T>,
) -> Result<T> {
    let attempt = || core.metadata().change(space, &change);
    match attempt() {
        Err(Error::OverLimit) => retry_over_limit(core, attempt),
        result => result,
    }
}

/// As [`change`], for a change that may depend on what the caller may do.
pub(super) fn change_for<T>(
    core: &Core,
    caller: &Caller,
    space: Space,
    act: impl Fn(&mut WriteTx<'_>, &Privileges<'_>) -> Result<T>,
) -> Result<T> {
    let unknown = Privileges::unknown(caller);
    match change(core, space, |tx| act(tx, &unknown)) {
        Err(Error::CallerUnknown) => {
            // Reading /proc takes longer than most transactions: never with the writer held.
            let known = Privileges::look_up(caller);
            change(core, space, |tx| act(tx, &known))
        }
        done => done,
    }
}

fn retry_over_limit<T>(core: &Core, attempt: impl Fn() -> Result<T>) -> Result<T> {
    about_to_wait();
    let until = Instant::now() + WAIT_MAX;
    loop {
        free_ended(core)?;
        match attempt() {
            Err(Error::OverLimit)
                if Instant::now() < until && core.database().read_once()?.has_orphans()? =>
            {
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}
