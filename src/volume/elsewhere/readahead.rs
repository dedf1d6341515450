//! How much is fetched with what is needed, and before it is: little at first, more where somebody reads on.

use std::collections::VecDeque;

use crate::types::ChunkId;

/// Bytes of a first request, and of one in a long row of them.
const FIRST: u64 = 128 * 1024;
const MOST: u64 = 4 * 1024 * 1024;
/// Requests that are ahead of somebody who reads on.
const AHEAD: usize = 4;
/// Readers that are told apart.
const STREAMS: usize = 16;
/// A reader that goes on begins at most so many rows behind what was fetched: rows have the order of the files.
const NEAR: i64 = 64;

/// Those who read, and how far it was fetched for each.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    streams: VecDeque<Stream>,
    last: u64,
}

/// Which reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamId(u64);

#[derive(Debug)]
struct Stream {
    id: StreamId,
    /// The row behind those that were asked for.
    next: ChunkId,
    window: u64,
    /// The first rows of requests that the reader has not come to.
    ahead: VecDeque<ChunkId>,
    /// Somebody looks what is to be asked for next.
    is_looked_for: bool,
}

/// What to fetch for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// For whom.
    pub(super) stream: StreamId,
    /// Bytes of a request.
    pub(super) window_bytes: u64,
    /// How many.
    pub(super) windows: usize,
}

impl ReadAhead {
    /// Somebody needs this chunk.
    pub(super) fn plan(&mut self, chunk: ChunkId) -> Plan {
        let goes_on = |stream: &Stream| (0..NEAR).contains(&(chunk.0 - stream.next.0));
        let Some(at) = self.streams.iter().position(goes_on) else {
            return self.begin(chunk);
        };
        let stream = &mut self.streams[at];
        stream.window = (stream.window * 2).min(MOST);
        stream.ahead.clear();
        Plan {
            stream: stream.id,
            window_bytes: stream.window,
            windows: if stream.window >= MOST { AHEAD } else { 1 },
        }
    }

    fn begin(&mut self, chunk: ChunkId) -> Plan {
        self.last += 1;
        let id = StreamId(self.last);
        self.streams.truncate(STREAMS - 1);
        self.streams.push_front(Stream {
            id,
            next: ChunkId(chunk.0 + 1),
            window: FIRST,
            ahead: VecDeque::new(),
            is_looked_for: false,
        });
        Plan {
            stream: id,
            window_bytes: FIRST,
            windows: 1,
        }
    }

    /// Somebody reads this chunk, which has come or is on its way: from which row on, and what, to fetch before it is
    /// needed. [`Self::looked`] must follow.
    pub(super) fn reached(&mut self, chunk: ChunkId) -> Option<(ChunkId, Plan)> {
        let is_within = |stream: &&mut Stream| {
            let first = stream.ahead.front();
            chunk < stream.next && first.is_some_and(|first| chunk >= *first)
        };
        let stream = self.streams.iter_mut().find(is_within)?;
        if stream.is_looked_for {
            return None;
        }
        stream.ahead.retain(|first| *first > chunk);
        stream.is_looked_for = true;
        let plan = Plan {
            stream: stream.id,
            window_bytes: stream.window,
            windows: AHEAD.saturating_sub(stream.ahead.len()),
        };
        Some((stream.next, plan))
    }

    /// A request was made for a reader, of rows from `first` to before `next`.
    pub(super) fn asked(&mut self, stream: StreamId, (first, next): (ChunkId, ChunkId)) {
        if let Some(stream) = self.stream(stream) {
            stream.next = stream.next.max(next);
            if stream.window >= MOST {
                stream.ahead.push_back(first);
            }
        }
    }

    /// All that was found for a reader was asked for.
    pub(super) fn looked(&mut self, stream: StreamId) {
        if let Some(stream) = self.stream(stream) {
            stream.is_looked_for = false;
        }
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|one| one.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a request.
    const ROWS: i64 = 100;

    /// Has what was planned asked for, from `first` on; the row behind it.
    fn ask(ahead: &mut ReadAhead, plan: &Plan, first: ChunkId) -> ChunkId {
        let mut first = first;
        for _ in 0..plan.windows {
            let next = ChunkId(first.0 + ROWS);
            ahead.asked(plan.stream, (first, next));
            first = next;
        }
        ahead.looked(plan.stream);
        first
    }

    #[test]
    fn who_reads_on_gets_more_and_who_jumps_does_not() {
        let mut ahead = ReadAhead::default();
        let mut windows = Vec::new();
        let mut next = ChunkId(1);
        for _ in 0..8 {
            let plan = ahead.plan(next);
            windows.push(plan.window_bytes / FIRST);
            next = ask(&mut ahead, &plan, next);
        }
        assert_eq!(windows, [1, 2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(ahead.plan(next).windows, AHEAD);
        for jump in [1_000_000, 5_000, 700_000] {
            assert_eq!(ahead.plan(ChunkId(jump)).window_bytes, FIRST);
        }
        assert_eq!(ahead.streams.len(), 4);
    }

    #[test]
    fn who_reads_on_has_as_much_ahead_all_the_time() {
        let mut ahead = ReadAhead::default();
        let mut next = ChunkId(1);
        let mut plan = ahead.plan(next);
        while plan.window_bytes < MOST {
            next = ask(&mut ahead, &plan, next);
            plan = ahead.plan(next);
        }
        let begin = next;
        next = ask(&mut ahead, &plan, next);
        assert_eq!(next.0 - begin.0, 4 * ROWS);
        for read in begin.0..begin.0 + 10 * ROWS {
            let begins = (read - begin.0) % ROWS == 0;
            let found = ahead.reached(ChunkId(read));
            assert_eq!(found.is_some(), begins, "{read}");
            let Some((from, plan)) = found else {
                continue;
            };
            assert_eq!((from, plan.windows, plan.window_bytes), (next, 1, MOST));
            assert_eq!(ahead.reached(ChunkId(read)), None, "it is looked for");
            next = ask(&mut ahead, &plan, from);
        }
        assert_eq!(ahead.streams.len(), 1);
    }
}
