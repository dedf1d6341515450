//! What is being appended to: for each stream of chunks one segment, and those before it that are not synced yet.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use super::segment::OpenSegment;
use crate::types::{Location, SegmentId};

/// How far the segments are known to be durable: every record of a segment below `segment`, and those
/// of `segment` that end before `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncMark {
    /// The segment.
    pub segment: SegmentId,
    /// In bytes.
    pub offset: u64,
}

/// Whose chunks a segment takes: those that are written now die soon, those that were moved have lasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Written just now.
    Fresh,
    /// Moved out of a segment that is mostly dead.
    Moved,
}

/// Where chunks were appended. Their segment stays for as long as this does: whoever commits what names them
/// drops it afterwards.
#[derive(Debug)]
pub struct Placed {
    /// In the order of the chunks.
    pub places: Vec<Location>,
    pub(super) _segment: Option<Arc<OpenSegment>>,
}

#[derive(Debug)]
pub(super) struct Appending {
    pub(super) fresh: StreamState,
    pub(super) moved: StreamState,
    pub(super) next: SegmentId,
    /// Segments that are full and synced; a writer may still be about to name a record of one.
    pub(super) let_go: Vec<Weak<OpenSegment>>,
}

/// The segments of one stream.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// Made when first needed: a volume that is only read writes nothing.
    pub(super) open: Option<Arc<OpenSegment>>,
    /// Full segments that may hold bytes that no sync has covered.
    pub(super) full: Vec<Arc<OpenSegment>>,
}

impl StreamState {
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<OpenSegment>> {
        self.open.iter().chain(&self.full)
    }
}

impl Appending {
    pub(super) fn state_of(&mut self, stream: Stream) -> &mut StreamState {
        match stream {
            Stream::Fresh => &mut self.fresh,
            Stream::Moved => &mut self.moved,
        }
    }

    /// The segments that take records, that no sync has covered, or a record of which a writer may be about to name.
    pub(super) fn busy(&self) -> HashSet<SegmentId> {
        let named = self.let_go.iter().filter_map(Weak::upgrade);
        let taking = self.fresh.all().chain(self.moved.all());
        taking.cloned().chain(named).map(|s| s.id()).collect()
    }

    /// Every record before this is durable.
    pub(super) fn mark(&self) -> SyncMark {
        let unsynced = self.fresh.all().chain(self.moved.all());
        let marks = unsynced.map(|segment| SyncMark {
            segment: segment.id(),
            offset: segment.durable_to(),
        });
        marks.fold(
            SyncMark {
                segment: self.next,
                offset: 0,
            },
            SyncMark::min,
        )
    }
}
