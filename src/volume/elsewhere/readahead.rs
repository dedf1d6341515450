//! How much is fetched with what is needed: little at first, more where somebody reads on.

use std::collections::VecDeque;

use crate::types::ChunkId;

/// Bytes of a first request, and of one in a long row of them.
const FIRST: u64 = 128 * 1024;
const MOST: u64 = 4 * 1024 * 1024;
/// Requests that are under way ahead of somebody who reads on.
const AHEAD: usize = 4;
/// Readers that are told apart.
const STREAMS: usize = 16;
/// A reader that goes on begins at most so many rows behind what was fetched: rows have the order of the files.
const NEAR: i64 = 64;

/// Those who read, and how far it was fetched for each.
#[derive(Debug, Default)]
pub(super) struct ReadAhead(VecDeque<Stream>);

#[derive(Debug)]
struct Stream {
    next: ChunkId,
    window: u64,
}

/// What to fetch for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Bytes of a request.
    pub(super) window_bytes: u64,
    /// How many.
    pub(super) windows: usize,
}

impl ReadAhead {
    /// Somebody needs this chunk.
    pub(super) fn plan(&mut self, chunk: ChunkId) -> Plan {
        let goes_on = |stream: &Stream| (0..NEAR).contains(&(chunk.0 - stream.next.0));
        let Some(at) = self.0.iter().position(goes_on) else {
            self.0.truncate(STREAMS - 1);
            self.0.push_front(Stream {
                next: ChunkId(chunk.0 + 1),
                window: FIRST,
            });
            return Plan {
                window_bytes: FIRST,
                windows: 1,
            };
        };
        let stream = &mut self.0[at];
        stream.window = (stream.window * 2).min(MOST);
        Plan {
            window_bytes: stream.window,
            windows: if stream.window >= MOST { AHEAD } else { 1 },
        }
    }

    /// For the one who needed `chunk` it was fetched up to before `next`.
    pub(super) fn planned(&mut self, chunk: ChunkId, next: ChunkId) {
        let is_it = |stream: &&mut Stream| (-1..NEAR).contains(&(chunk.0 - stream.next.0));
        if let Some(stream) = self.0.iter_mut().find(is_it) {
            stream.next = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_on_gets_more_and_who_jumps_does_not() {
        let mut ahead = ReadAhead::default();
        let mut windows = Vec::new();
        let mut next = ChunkId(1);
        for _ in 0..8 {
            let plan = ahead.plan(next);
            windows.push(plan.window_bytes / FIRST);
            ahead.planned(next, ChunkId(next.0 + 10));
            next = ChunkId(next.0 + 10);
        }
        assert_eq!(windows, [1, 2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(ahead.plan(next).windows, AHEAD);
        for jump in [1_000_000, 5_000, 700_000] {
            assert_eq!(ahead.plan(ChunkId(jump)).window_bytes, FIRST);
        }
        assert_eq!(ahead.0.len(), 4);
    }
}
