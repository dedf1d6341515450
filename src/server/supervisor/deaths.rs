//! How often servers have died, and whether there shall be another.
//!
//! A server that dies of a request would die of it again each time: the kernel sends it again. One that somebody kills
//! has done nothing wrong, so SIGKILL counts only when it comes as soon as a server serves, when the kernel sent it for a
//! lack of memory, or when one request stays without an answer from server to server.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Deaths within [`WINDOW`] after which there is no other server; or in one request, whenever.
pub(super) const MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// A server that was killed after it had served for so long was killed from outside.
const SOUND: Duration = Duration::from_millis(200);
/// Before the second try; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(100);

/// A request of the kernel's: what its connection's are counted from, and its number.
pub(super) type RequestKey = (u64, u64);

/// The end of a server.
#[derive(Debug)]
pub(super) struct Death<'d> {
    /// When.
    pub(super) at: Instant,
    /// Since when it had served, if it did.
    pub(super) serving: Option<Instant>,
    /// How it ended.
    pub(super) status: ExitStatus,
    /// Whether the kernel killed for a lack of memory meanwhile.
    pub(super) of_lack: bool,
    /// The requests that it had got again and not answered.
    pub(super) unanswered: &'d HashSet<RequestKey>,
}

/// What follows from a death.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Restart { after: Duration },
    StayDown(Cause),
}

/// Why there is no other server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Too many died within a minute.
    Often,
    /// And the kernel killed the last one for a lack of memory.
    Lack,
    /// Too many died in one and the same request.
    Request,
}

/// The deaths that count, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    counted: VecDeque<Instant>,
    /// In how many servers in a row a request was begun and not answered, the first one not counted.
    stuck: HashMap<RequestKey, usize>,
}

impl Deaths {
    /// Counts a death.
    pub(super) fn count(&mut self, death: &Death<'_>) -> Verdict {
        // The server that had it first knew of no repetition.
        let in_request = self.in_one_request(death.unanswered) + 1;
        if in_request >= MAX {
            return Verdict::StayDown(Cause::Request);
        }
        let was_sound = death
            .serving
            .is_some_and(|since| death.at.duration_since(since) >= SOUND);
        let was_killed = death.status.signal() == Some(libc::SIGKILL);
        if was_sound && was_killed && !death.of_lack {
            return Verdict::Restart {
                after: pause(in_request.saturating_sub(1)),
            };
        }
        self.counted.push_back(death.at);
        self.counted
            .retain(|&counted| death.at.duration_since(counted) < WINDOW);
        match self.counted.len() {
            MAX.. if was_killed && death.of_lack => Verdict::StayDown(Cause::Lack),
            MAX.. => Verdict::StayDown(Cause::Often),
            deaths => Verdict::Restart {
                after: pause(deaths),
            },
        }
    }

    /// The most deaths that one of these requests has had.
    fn in_one_request(&mut self, unanswered: &HashSet<RequestKey>) -> usize {
        self.stuck.retain(|request, _| unanswered.contains(request));
        for &request in unanswered {
            *self.stuck.entry(request).or_default() += 1;
        }
        self.stuck.values().copied().max().unwrap_or(0)
    }
}

/// How long to wait after so many deaths.
fn pause(deaths: usize) -> Duration {
    match u32::try_from(deaths).unwrap_or(u32::MAX) {
        0 | 1 => Duration::ZERO,
        deaths => PAUSE * 2_u32.saturating_pow(deaths - 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Verdict = Verdict::Restart {
        after: Duration::ZERO,
    };

    fn killed() -> ExitStatus {
        ExitStatus::from_raw(libc::SIGKILL)
    }

    fn crashed() -> ExitStatus {
        ExitStatus::from_raw(libc::SIGSEGV)
    }

    fn count(
        deaths: &mut Deaths,
        at: Instant,
        serving: Option<Instant>,
        status: ExitStatus,
    ) -> Verdict {
        deaths.count(&Death {
            at,
            serving,
            status,
            of_lack: false,
            unanswered: &HashSet::new(),
        })
    }

    #[test]
    fn five_crashes_within_a_minute_are_enough() {
        let (mut deaths, start) = (Deaths::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        for secs in [0, 20, 40, 50] {
            let verdict = count(&mut deaths, at(secs), Some(start), crashed());
            assert!(matches!(verdict, Verdict::Restart { .. }));
        }
        // The first one is too long ago.
        let later = count(&mut deaths, at(61), Some(start), crashed());
        assert!(matches!(later, Verdict::Restart { .. }));
        let next = count(&mut deaths, at(62), Some(start), crashed());
        assert_eq!(next, Verdict::StayDown(Cause::Often));
    }

    #[test]
    fn whoever_is_killed_from_outside_may_go_on() {
        let (mut deaths, start) = (Deaths::default(), Instant::now());
        for second in 1..30 {
            let now = start + Duration::from_secs(second);
            let verdict = count(&mut deaths, now, Some(now - SOUND), killed());
            assert_eq!(verdict, AT_ONCE);
        }
    }

    #[test]
    fn one_that_is_killed_as_soon_as_it_serves_or_before_counts() {
        let (mut deaths, now) = (Deaths::default(), Instant::now());
        for serving in [None, Some(now), None, Some(now)] {
            let verdict = count(&mut deaths, now, serving, killed());
            assert!(matches!(verdict, Verdict::Restart { .. }));
        }
        assert_eq!(
            count(&mut deaths, now, None, killed()),
            Verdict::StayDown(Cause::Often)
        );
    }

    #[test]
    fn one_that_the_kernel_kills_for_a_lack_of_memory_counts() {
        let (mut deaths, now) = (Deaths::default(), Instant::now());
        let mut last = AT_ONCE;
        for _ in 0..MAX {
            assert!(matches!(last, Verdict::Restart { .. }));
            last = deaths.count(&Death {
                at: now + SOUND,
                serving: Some(now),
                status: killed(),
                of_lack: true,
                unanswered: &HashSet::new(),
            });
        }
        assert_eq!(last, Verdict::StayDown(Cause::Lack));
    }

    #[test]
    fn one_request_has_five_servers_however_long_that_takes() {
        let (mut deaths, start) = (Deaths::default(), Instant::now());
        let die = |deaths: &mut Deaths, hour: u64, unanswered: &[u64]| {
            let at = start + Duration::from_secs(3600 * (hour + 1));
            let unanswered = unanswered.iter().map(|&number| (1, number)).collect();
            deaths.count(&Death {
                at,
                serving: Some(at - SOUND),
                status: killed(),
                of_lack: false,
                unanswered: &unanswered,
            })
        };
        // The first server dies of request 7, and of others that get their answers from the next.
        assert_eq!(die(&mut deaths, 0, &[]), AT_ONCE);
        assert_eq!(die(&mut deaths, 1, &[7, 8]), AT_ONCE);
        for (hour, other) in [(2, 9), (3, 10)] {
            let verdict = die(&mut deaths, hour, &[7, other]);
            assert!(matches!(verdict, Verdict::Restart { after } if after > Duration::ZERO));
        }
        let mut answered = Deaths::default();
        for hour in 0..20 {
            let verdict = die(&mut answered, hour, &[100 + hour, 101 + hour]);
            assert!(
                matches!(verdict, Verdict::Restart { .. }),
                "each was answered"
            );
        }
        assert_eq!(die(&mut deaths, 4, &[7]), Verdict::StayDown(Cause::Request));
    }
}
