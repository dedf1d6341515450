//! Requests that the kernel sends again, told of when they begin and when they are answered: one that is begun by
//! server after server, and answered by none, is what they die of.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, OnceLock};
use std::thread;

use fuser::Request;

use super::parse::sent;
use super::request::{Operation, Sent, Wanted};
use crate::types::Name;

/// A look-up of the name in this variable never ends, as one that takes all memory: for tests.
const ENDLESS: &str = "CASK_ENDLESS";

/// What becomes of a request that the kernel sent again. The number is the connection's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resent {
    /// A thread has it.
    Begun(u64),
    /// It was answered.
    Answered(u64),
}

/// Whoever is told; before the request is looked at, and after its answer was sent.
pub type Watch = Arc<dyn Fn(Resent) + Send + Sync>;

/// Tells of a connection's resent requests.
pub(super) struct Watched(Watch);

/// A resent request under way.
pub(super) struct UnderWay<'w>(&'w Watch, u64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0(Resent::Answered(self.1));
    }
}

impl Watched {
    pub(super) const fn new(watch: Watch) -> Self {
        Self(watch)
    }

    /// Tells that a thread has `request`, if it was resent, and once what is returned is dropped, that it is through.
    pub(super) fn begin(&self, request: &Request) -> Option<UnderWay<'_>> {
        if sent(request) == Sent::Once {
            return None;
        }
        let number = request.unique().0;
        (self.0)(Resent::Begun(number));
        Some(UnderWay(&self.0, number))
    }
}

/// Does not return from an endless look-up.
pub(super) fn hang_if_endless(operation: &Operation<'_>) {
    if let Operation::Lookup {
        wanted: Wanted::Named(name),
    } = operation
    {
        while is_endless(name) {
            thread::park();
        }
    }
}

fn is_endless(name: &Name) -> bool {
    static NAME: OnceLock<Option<OsString>> = OnceLock::new();
    let endless = NAME.get_or_init(|| std::env::var_os(ENDLESS));
    endless
        .as_ref()
        .is_some_and(|endless| endless.as_bytes() == name.as_bytes())
}
