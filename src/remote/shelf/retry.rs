//! How long a store that fails for now is asked again: for as long as something comes of it, and a while longer.
//!
//! It knows nothing of requests. What comes of one request counts for all that are made at the same time: where one of ten
//! gets through the store is busy, and not away.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::remote::seal::random_bytes;

/// The first pause; each is twice the one before, more or less.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Of one way to a store.
#[derive(Debug)]
pub(super) struct Retry {
    /// How long nothing may come of any request.
    limit: Duration,
    /// When something did.
    progress: Mutex<Option<Instant>>,
}

impl Retry {
    pub(super) const fn of(limit: Duration) -> Self {
        Self {
            limit,
            progress: Mutex::new(None),
        }
    }

    /// Asks until there is an answer that stays, or nothing has come of any request for too long. The time in which nobody
    /// asked does not count.
    pub(super) fn ask<T, E>(
        &self,
        is_passing: impl Fn(&E) -> bool,
        ask: impl Fn() -> Result<T, E>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let mut pause = PAUSE;
        loop {
            let answered = ask();
            match &answered {
                Err(error) if is_passing(error) => {}
                Ok(_) | Err(_) => {
                    *self.progress() = Some(Instant::now());
                    return answered;
                }
            }
            let since = self.progress().map_or(began, |at| at.max(began));
            let wait = spread(pause);
            if since.elapsed() + wait >= self.limit {
                return answered;
            }
            thread::sleep(wait);
            pause = (pause * 2).min(PAUSE_MAX.min(self.limit / 4));
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between half of it and one and a half: those that failed together do not come back together.
fn spread(pause: Duration) -> Duration {
    let [random] = random_bytes().unwrap_or([128]);
    pause / 2 + pause * u32::from(random) / 255
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(1200);

    #[derive(Debug, PartialEq, Eq)]
    enum Answer {
        Busy,
        Refused,
    }

    fn ask(retry: &Retry, answer: impl Fn() -> Result<(), Answer>) -> Result<(), Answer> {
        retry.ask(|error| *error == Answer::Busy, answer)
    }

    #[test]
    fn who_is_refused_does_not_wait_and_who_is_not_answered_does() {
        let retry = Retry::of(LIMIT);
        let since = Instant::now();
        assert_eq!(ask(&retry, || Err(Answer::Refused)), Err(Answer::Refused));
        assert!(since.elapsed() < PAUSE / 2);
        let asked = AtomicU32::new(0);
        let busy = || {
            asked.fetch_add(1, Ordering::SeqCst);
            Err(Answer::Busy)
        };
        assert_eq!(ask(&retry, busy), Err(Answer::Busy));
        assert!(asked.into_inner() > 1);
        let took = since.elapsed();
        assert!(took < LIMIT * 2, "{took:?}");
        let none = Retry::of(Duration::ZERO);
        let since = Instant::now();
        assert_eq!(ask(&none, || Err(Answer::Busy)), Err(Answer::Busy));
        assert!(since.elapsed() < PAUSE / 2);
    }

    #[test]
    fn what_comes_of_others_is_waited_for() {
        let retry = Retry::of(LIMIT);
        let since = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                while since.elapsed() < LIMIT * 2 {
                    thread::sleep(LIMIT / 10);
                    ask(&retry, || Ok(())).unwrap();
                }
            });
            let late = || {
                if since.elapsed() < LIMIT * 2 {
                    Err(Answer::Busy)
                } else {
                    Ok(())
                }
            };
            assert_eq!(ask(&retry, late), Ok(()));
        });
    }
}
