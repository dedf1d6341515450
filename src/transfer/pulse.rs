//! The sign of life of a push: its intention is stored anew now and then, so that a collection can tell a push that goes
//! on from one whose host is gone.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::Duration;

use super::Result;
use crate::remote::{self, RemoteSnapshot, Repository, Tag};

/// Between two beats. A collection gives a push up that has missed ten.
pub(super) const BEAT: Duration = Duration::from_secs(60);

/// A push that says that it goes on.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<State>);

#[derive(Debug)]
struct State {
    snapshot: RemoteSnapshot,
    tag: Tag,
    failed: Option<remote::Error>,
}

/// While this is held, the pulse beats.
#[derive(Debug)]
pub(super) struct Beating {
    _end: Sender<()>,
}

impl Pulse {
    pub(super) const fn of(snapshot: RemoteSnapshot, tag: Tag) -> Self {
        Self(Mutex::new(State {
            snapshot,
            tag,
            failed: None,
        }))
    }

    pub(super) fn start<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        repository: &'s Repository,
    ) -> Beating {
        let (end, ended) = channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                if !self.beat(repository) {
                    return;
                }
            }
        });
        Beating { _end: end }
    }

    /// Whether to go on.
    fn beat(&self, repository: &Repository) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { snapshot, tag, .. } = &mut *state;
        match repository.renew(snapshot, tag) {
            Ok(renewed) => {
                state.tag = renewed;
                true
            }
            // The next beat may come through.
            Err(error) if error.is_passing() => true,
            Err(error) => {
                state.failed = Some(error);
                false
            }
        }
    }

    /// The last state, and its tag.
    ///
    /// # Errors
    /// [`remote::Error::Changed`] when somebody has ended the push.
    pub(super) fn end(self) -> Result<(RemoteSnapshot, Tag)> {
        let state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.failed {
            Some(error) => Err(error.into()),
            None => Ok((state.snapshot, state.tag)),
        }
    }
}
