//! Points in time, to the nanosecond.

use super::clock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: seconds since the Unix epoch, negative before it, and nanoseconds after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    secs: i64,
    nanos: u32,
}

impl Timestamp {
    /// `nanos` is cut to 0..=999_999_999, the range that `struct timespec` allows.
    #[must_use]
    pub fn new(secs: i64, nanos: u32) -> Self {
        Self {
            secs,
            nanos: nanos.min(999_999_999),
        }
    }

    /// The present, by the clock that the kernel stamps files with.
    #[must_use]
    pub fn now() -> Self {
        let (secs, nanos) = clock::now();
        Self::new(secs, nanos)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.secs
    }

    /// Nanoseconds past [`Self::secs`], below 1e9.
    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.nanos
    }

    /// The same point as the standard library has it; times out of its range are cut to it.
    #[must_use]
    pub fn to_system(self) -> SystemTime {
        let whole = Duration::from_secs(self.secs.unsigned_abs());
        let base = if self.secs < 0 {
            UNIX_EPOCH.checked_sub(whole)
        } else {
            UNIX_EPOCH.checked_add(whole)
        };
        base.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(self.nanos.into())
    }

    /// The same point from the standard library's form.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self {
                secs: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(before) => Self::before_epoch(before.duration()),
        }
    }

    fn before_epoch(distance: Duration) -> Self {
        let secs = i64::try_from(distance.as_secs()).map_or(i64::MIN, |s| -s);
        match distance.subsec_nanos() {
            0 => Self { secs, nanos: 0 },
            nanos => Self {
                secs: secs.saturating_sub(1),
                // A `timespec` counts its nanoseconds upwards, also before 1970: -0.25 s is second -1 and 750 000 000
                // ns.
                nanos: 1_000_000_000 - nanos,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_the_epoch_survive_a_round_trip() {
        for (secs, nanos) in [(0, 0), (1, 999_999_999), (-1, 1), (-5, 0), (1 << 33, 7)] {
            let time = Timestamp::new(secs, nanos);
            assert_eq!(Timestamp::from_system(time.to_system()), time);
        }
    }
}
