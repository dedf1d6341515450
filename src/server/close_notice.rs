//! The end of a server, told to those who wait for it: whether the volume was closed in order.
//!
//! A process that unmounts the last mount must not call the data safe because a process is gone.

use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::control::{Answer, Fault};

/// How long the process lives on for listeners that are slow to take the news.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How often it is looked whether a listener is still there.
const GLANCE: Duration = Duration::from_secs(1);

/// How the volume was closed, once it is.
#[derive(Default)]
pub(super) struct CloseNotice {
    news: Mutex<News>,
    changed: Condvar,
}

#[derive(Default)]
struct News {
    outcome: Option<Answer>,
    listeners: usize,
}

impl CloseNotice {
    /// Counts one more listener, who is waited for.
    pub(super) fn enter(&self) {
        self.news().listeners += 1;
    }

    /// A listener waits for the end, [`Answer::Closed`] or a fault, for as long as it `is_there`.
    pub(super) fn listen(&self, is_there: impl Fn() -> bool) -> Option<Answer> {
        let mut news = self.news();
        while news.outcome.is_none() && is_there() {
            self.changed.wait_for(&mut news, GLANCE);
        }
        news.outcome.clone()
    }

    /// A listener has taken the news, or gone away.
    pub(super) fn leave(&self) {
        self.news().listeners -= 1;
        self.changed.notify_all();
    }

    /// Tells everybody, and waits until they know.
    pub(super) fn announce(&self, failure: Option<Fault>) {
        let mut news = self.news();
        news.outcome = Some(failure.map_or(Answer::Closed, Answer::Fault));
        self.changed.notify_all();
        let are_listening = |news: &mut News| news.listeners > 0;
        let waited = self
            .changed
            .wait_while_for(&mut news, are_listening, WAIT_MAX);
        if waited.timed_out() {
            log::warn!("somebody who waits for the end does not listen");
        }
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_learn_the_outcome_before_the_end() {
        let close_notice = CloseNotice::default();
        close_notice.enter();
        std::thread::scope(|scope| {
            let listener = scope.spawn(|| {
                let news = close_notice.listen(|| true);
                close_notice.leave();
                news
            });
            close_notice.announce(None);
            assert_eq!(listener.join().unwrap(), Some(Answer::Closed));
        });
        let late = close_notice.listen(|| true);
        assert_eq!(late, Some(Answer::Closed), "late ones learn it, too");
    }

    #[test]
    fn who_goes_away_is_not_waited_for() {
        assert_eq!(CloseNotice::default().listen(|| false), None);
    }
}
