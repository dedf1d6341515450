//! The one way in which an operation changes metadata: at a limit, what was removed is freed first; what depends on
//! who calls is looked up outside of the transaction.

use std::cell::OnceCell;
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

/// The wait of changes that find the volume full: those that share one wait no longer than one of them would.
#[derive(Debug, Default)]
pub(super) struct FreeingWait {
    /// From the first wait on.
    until: OnceCell<Instant>,
}

impl FreeingWait {
    fn until(&self) -> Instant {
        *self.until.get_or_init(|| Instant::now() + WAIT_MAX)
    }
}

/// Runs `change` in one transaction and commits it, as [`super::metadata::Metadata::change`] does.
///
/// At a limit it is tried again while files without a name are being freed: their space can be used at once.
pub(super) fn change<T>(
    core: &Core,
    space: Space,
    change: impl Fn(&mut WriteTx<'_>) -> Result<T>,
) -> Result<T> {
    change_within(core, space, &FreeingWait::default(), change)
}

/// As [`change`], which waits no longer than `wait` has left.
fn change_within<T>(
    core: &Core,
    space: Space,
    wait: &FreeingWait,
    change: impl Fn(&mut WriteTx<'_>) -> Result<T>,
) -> Result<T> {
    let attempt = || core.metadata().change(space, &change);
    match attempt() {
        Err(Error::OverLimit) => retry_over_limit(core, wait, attempt),
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
    change_for_within(core, caller, space, &FreeingWait::default(), act)
}

/// As [`change_for`], which waits no longer than `wait` has left.
pub(super) fn change_for_within<T>(
    core: &Core,
    caller: &Caller,
    space: Space,
    wait: &FreeingWait,
    act: impl Fn(&mut WriteTx<'_>, &Privileges<'_>) -> Result<T>,
) -> Result<T> {
    let unknown = Privileges::unknown(caller);
    match change_within(core, space, wait, |tx| act(tx, &unknown)) {
        Err(Error::CallerUnknown) => {
            // Reading /proc takes longer than most transactions: never with the writer held.
            let known = Privileges::look_up(caller);
            change_within(core, space, wait, |tx| act(tx, &known))
        }
        done => done,
    }
}

fn retry_over_limit<T>(
    core: &Core,
    wait: &FreeingWait,
    attempt: impl Fn() -> Result<T>,
) -> Result<T> {
    about_to_wait();
    let until = wait.until();
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
