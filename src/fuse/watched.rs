//! Requests that the kernel sends again, told of when they begin and when they are answered: one that is begun by
//! server after server, and answered by none, is what they die of.

use std::fmt;
use std::sync::Arc;

use fuser::Request;

use super::parse::sent;
use super::request::Sent;

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

/// A resent request under way, until this is dropped: after its answer was sent, by whichever thread does that.
pub(super) struct UnderWay(Watch, u64);

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnderWay").field(&self.1).finish()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0(Resent::Answered(self.1));
    }
}

impl Watched {
    pub(super) const fn new(watch: Watch) -> Self {
        Self(watch)
    }

    /// Tells that a thread has `request`, if it was resent, and once what is returned is dropped, that it is through.
    pub(super) fn begin(&self, request: &Request) -> Option<UnderWay> {
        if sent(request) == Sent::Once {
            return None;
        }
        let number = request.unique().0;
        (self.0)(Resent::Begun(number));
        Some(UnderWay(Arc::clone(&self.0), number))
    }
}
