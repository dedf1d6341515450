//! What a volume's server has counted since it started, as it tells it to whoever asks. Knows neither who counts nor how it
//! is shown.

use serde::{Deserialize, Serialize};

use super::Collected;

/// The bounds of a latency histogram: 16 us, and twice as much each, up to 8 s. One bucket more has what took longer.
pub const LATENCY_BOUNDS: usize = 20;
/// The first of them, in nanoseconds.
const FIRST_BOUND_NANOS: u64 = 16_000;

/// What a server has counted. All of it begins at 0 with the server's process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// When the server started, in seconds since 1970.
    pub started: i64,
    /// The requests of the kernel that were answered, of each kind of which one was.
    pub requests: Vec<MeasuredRequests>,
    /// Bytes that READ was answered with.
    pub read_bytes: u64,
    /// Bytes that WRITE brought.
    pub written_bytes: u64,
    /// Requests that failed because what they needed is damaged.
    pub damaged_requests: u64,
    /// Requests that the kernel waits for now, in its queue or at work; nothing where the kernel does not tell.
    pub waiting: Option<u64>,
    /// Bytes of the metadata's log that are still to be moved into the database.
    pub log_bytes: u64,
    /// How often they were.
    pub checkpoints: u64,
    /// What the collector did.
    pub collected: Collected,
}

/// How long requests of one kind took, from when a thread read them until their answer was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredRequests {
    /// Its name in the protocol (Linux, include/uapi/linux/fuse.h), in lower case.
    pub operation: String,
    /// How many took as long as each bucket says and no less: see [`latency_bucket`].
    pub buckets: Vec<u64>,
    /// All together, in nanoseconds.
    pub nanos: u64,
}

impl Measured {
    /// How many requests were answered.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.requests.iter().map(MeasuredRequests::count).sum()
    }

    /// How long all of them took together, in nanoseconds.
    #[must_use]
    pub fn nanos(&self) -> u64 {
        self.requests.iter().map(|kind| kind.nanos).sum()
    }
}

impl MeasuredRequests {
    /// How many were answered.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The bound, in nanoseconds, within which `percent` of them were answered; nothing where there is none, or it is
    /// beyond the last.
    #[must_use]
    pub fn bound_of(&self, percent: u64) -> Option<u64> {
        let wanted = self.count().checked_mul(percent)?.div_ceil(100);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        })?;
        (bucket < LATENCY_BOUNDS).then(|| latency_bound_nanos(bucket))
    }
}

/// The bucket of what took `nanos`: bucket `i` ends with [`latency_bound_nanos`] of `i`, and the one behind the last
/// bound has no end.
#[must_use]
pub fn latency_bucket(nanos: u64) -> usize {
    let firsts = nanos.saturating_sub(1) / FIRST_BOUND_NANOS;
    let doublings = u64::BITS - firsts.leading_zeros();
    LATENCY_BOUNDS.min(doublings as usize)
}

/// The most that anything took in the bucket `bucket`, which is below [`LATENCY_BOUNDS`].
#[must_use]
pub const fn latency_bound_nanos(bucket: usize) -> u64 {
    FIRST_BOUND_NANOS << bucket
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_took_no_longer_than_its_bound() {
        let kind = |buckets: &[u64]| MeasuredRequests {
            buckets: buckets.to_vec(),
            ..MeasuredRequests::default()
        };
        assert_eq!(kind(&[98, 1, 1]).bound_of(99), Some(32_000));
        assert_eq!(kind(&[98, 1, 1]).bound_of(50), Some(16_000));
        assert_eq!(kind(&[]).bound_of(99), None);
        let mut late = vec![0; LATENCY_BOUNDS];
        late.push(3);
        assert_eq!(kind(&late).bound_of(50), None);
    }

    #[test]
    fn a_bucket_holds_what_is_within_its_bound_and_beyond_the_one_before() {
        assert_eq!(latency_bucket(0), 0);
        for bucket in 0..LATENCY_BOUNDS {
            let bound = latency_bound_nanos(bucket);
            assert_eq!(latency_bucket(bound), bucket);
            assert_eq!(latency_bucket(bound + 1), bucket + 1);
        }
        assert_eq!(latency_bucket(u64::MAX), LATENCY_BOUNDS);
        assert_eq!(latency_bound_nanos(LATENCY_BOUNDS - 1), 8_388_608_000);
    }
}
