//! How many requests were answered, and how long that took: plain atomics, which every thread of every connection of a
//! server adds to. Knows no request's content but how many bytes it moved.
//!
//! A request costs two readings of the clock and two additions, of which none orders anything: whoever reads sees each
//! number as it is now, not all as of one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::answer::Answer;
use super::kind::Kind;
use crate::types::{LATENCY_BOUNDS, Measured, MeasuredRequests, latency_bucket};
use crate::volume::{Error, Result};

const BUCKETS: usize = LATENCY_BOUNDS + 1;

/// What the connections of one server have answered.
#[derive(Debug)]
pub struct Counts {
    kinds: [Latencies; Kind::ALL.len()],
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    damaged_requests: AtomicU64,
}

#[derive(Debug)]
struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

/// A request under way: it counts once this is dropped, after its answer was sent.
#[derive(Debug)]
pub(super) struct Timed<C: AsRef<Counts>> {
    counts: C,
    kind: Kind,
    since: Instant,
}

impl Default for Counts {
    fn default() -> Self {
        let latencies = || Latencies {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
        };
        Self {
            kinds: std::array::from_fn(|_| latencies()),
            read_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            damaged_requests: AtomicU64::new(0),
        }
    }
}

impl Counts {
    /// Adds what was counted so far to `measured`.
    pub fn tell(&self, measured: &mut Measured) {
        let requests =
            Kind::ALL
                .iter()
                .zip(&self.kinds)
                .map(|(kind, latencies)| MeasuredRequests {
                    operation: kind.name().to_owned(),
                    buckets: latencies.buckets.iter().map(load).collect(),
                    nanos: load(&latencies.nanos),
                });
        measured.requests = requests
            .filter(|requests| requests.buckets.iter().any(|&count| count > 0))
            .collect();
        measured.read_bytes = load(&self.read_bytes);
        measured.written_bytes = load(&self.written_bytes);
        measured.damaged_requests = load(&self.damaged_requests);
    }

    fn note_latency(&self, kind: Kind, since: Instant) {
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let latencies = &self.kinds[kind as usize];
        add(&latencies.buckets[latency_bucket(nanos)], 1);
        add(&latencies.nanos, nanos);
    }

    fn note_answer(&self, kind: Kind, answer: &Result<Answer>) {
        match (kind, answer) {
            (Kind::Read, Ok(Answer::Data(bytes))) => add(&self.read_bytes, bytes.len() as u64),
            (Kind::Write, Ok(Answer::Written(len))) => add(&self.written_bytes, *len),
            (_, answer) => self.note_failure(answer.as_ref().err()),
        }
    }

    fn note_failure(&self, error: Option<&Error>) {
        if let Some(Error::Corrupt(_)) = error {
            add(&self.damaged_requests, 1);
        }
    }
}

impl<C: AsRef<Counts>> Timed<C> {
    /// A thread has read a request of this kind.
    pub(super) fn begin(counts: C, kind: Kind) -> Self {
        Self {
            counts,
            kind,
            since: Instant::now(),
        }
    }

    /// This is about to be sent.
    pub(super) fn note(&self, answer: &Result<Answer>) {
        self.counts.as_ref().note_answer(self.kind, answer);
    }

    /// The same of what is no [`Answer`].
    pub(super) fn note_failure(&self, error: Option<&Error>) {
        self.counts.as_ref().note_failure(error);
    }
}

impl Timed<&Arc<Counts>> {
    /// For whoever answers it later.
    pub(super) fn hand_over(self) -> Timed<Arc<Counts>> {
        let (counts, kind, since) = (Arc::clone(self.counts), self.kind, self.since);
        // It ends with the one that is returned.
        std::mem::forget(self);
        Timed {
            counts,
            kind,
            since,
        }
    }
}

impl<C: AsRef<Counts>> Drop for Timed<C> {
    fn drop(&mut self) {
        self.counts.as_ref().note_latency(self.kind, self.since);
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(counts: &Counts) -> Measured {
        let mut measured = Measured::default();
        counts.tell(&mut measured);
        measured
    }

    #[test]
    fn a_request_counts_when_it_was_answered_and_once() {
        let counts = Arc::new(Counts::default());
        let timed = Timed::begin(&counts, Kind::Fsync).hand_over();
        assert_eq!(told(&counts), Measured::default());
        drop(timed);
        drop(Timed::begin(&counts, Kind::Fsync));
        let measured = told(&counts);
        let [fsync] = measured.requests.as_slice() else {
            panic!("{measured:?}");
        };
        assert_eq!(fsync.operation, "fsync");
        assert_eq!(fsync.buckets.iter().sum::<u64>(), 2);
    }

    #[test]
    fn bytes_count_as_they_are_read_and_written() {
        let counts = Arc::new(Counts::default());
        let note = |kind, answer| Timed::begin(&counts, kind).note(&answer);
        note(Kind::Write, Ok(Answer::Written(7)));
        note(Kind::CopyFileRange, Ok(Answer::Written(9)));
        note(Kind::Write, Err(Error::NoSpace));
        let measured = told(&counts);
        assert_eq!((measured.read_bytes, measured.written_bytes), (0, 7));
        assert_eq!(measured.damaged_requests, 0);
        note(Kind::Read, Err(Error::Corrupt("x".into())));
        assert_eq!(told(&counts).damaged_requests, 1);
    }
}
