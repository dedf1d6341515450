//! How often servers have died, and whether there shall be another.
//!
//! A server that dies of a request would die of it again each time: the kernel sends it again. One that somebody kills
//! has done nothing wrong, so SIGKILL counts only when it comes as soon as a server serves.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Deaths within [`WINDOW`] after which there is no other server.
pub(super) const MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// A server that was killed after it had served for so long was killed from outside.
const SOUND: Duration = Duration::from_millis(200);
/// Before the second try; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(100);

/// What follows from a death.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Restart { after: Duration },
    StayDown,
}

/// The deaths that count, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Deaths(VecDeque<Instant>);

impl Deaths {
    /// Counts a death at `now`, of a server that served since `serving`.
    pub(super) fn count(
        &mut self,
        now: Instant,
        serving: Option<Instant>,
        status: ExitStatus,
    ) -> Verdict {
        let was_sound = serving.is_some_and(|since| now.duration_since(since) >= SOUND);
        if was_sound && status.signal() == Some(libc::SIGKILL) {
            return Verdict::Restart {
                after: Duration::ZERO,
            };
        }
        self.0.push_back(now);
        self.0.retain(|&death| now.duration_since(death) < WINDOW);
        let exponent = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        match self.0.len() {
            MAX.. => Verdict::StayDown,
            0 | 1 => Verdict::Restart {
                after: Duration::ZERO,
            },
            _ => Verdict::Restart {
                after: PAUSE * 2_u32.saturating_pow(exponent - 2),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed() -> ExitStatus {
        ExitStatus::from_raw(libc::SIGKILL)
    }

    fn crashed() -> ExitStatus {
        ExitStatus::from_raw(libc::SIGSEGV)
    }

    #[test]
    fn five_crashes_within_a_minute_are_enough() {
        let (mut deaths, start) = (Deaths::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        for secs in [0, 20, 40, 50] {
            let verdict = deaths.count(at(secs), Some(start), crashed());
            assert!(matches!(verdict, Verdict::Restart { .. }));
        }
        // The first one is too long ago.
        let later = deaths.count(at(61), Some(start), crashed());
        assert!(matches!(later, Verdict::Restart { .. }));
        let next = deaths.count(at(62), Some(start), crashed());
        assert_eq!(next, Verdict::StayDown);
    }

    #[test]
    fn whoever_is_killed_from_outside_may_go_on() {
        let (mut deaths, start) = (Deaths::default(), Instant::now());
        for second in 1..30 {
            let now = start + Duration::from_secs(second);
            let verdict = deaths.count(now, Some(now - SOUND), killed());
            assert_eq!(
                verdict,
                Verdict::Restart {
                    after: Duration::ZERO
                }
            );
        }
    }

    #[test]
    fn one_that_is_killed_as_soon_as_it_serves_or_before_counts() {
        let (mut deaths, now) = (Deaths::default(), Instant::now());
        for serving in [None, Some(now), None, Some(now)] {
            let verdict = deaths.count(now, serving, killed());
            assert!(matches!(verdict, Verdict::Restart { .. }));
        }
        assert_eq!(deaths.count(now, None, killed()), Verdict::StayDown);
    }
}
