//! What the tables hold, as numbers.

use std::collections::BTreeMap;

use crate::types::{Location, SegmentId, record_bytes};

/// What the tables hold, or by how much that changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Inodes of the head, and those without a name that wait to be freed.
    pub inodes: i64,
    /// Extents of the head.
    pub extents: i64,
    /// Bytes that those extents cover, and those that copies under way will.
    pub logical: i64,
    /// Chunks that extents of the head name.
    pub head: Stored,
    /// Chunks that only extents of snapshots name.
    pub past: Stored,
    /// What each segment holds that is named; those that hold nothing are left out.
    pub segments: BTreeMap<SegmentId, InSegment>,
}

/// A set of chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// How many.
    pub chunks: i64,
    /// Their bytes of plaintext.
    pub plain: i64,
    /// Their bytes as they are stored.
    pub stored: i64,
}

/// What a segment holds that is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InSegment {
    /// Chunks.
    pub chunks: i64,
    /// Bytes of their records.
    pub bytes: i64,
}

impl Tally {
    /// Bytes of all records that are named.
    #[must_use]
    pub fn record_bytes(&self) -> i64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.inodes += more.inodes;
        self.extents += more.extents;
        self.logical += more.logical;
        self.head.add(more.head);
        self.past.add(more.past);
        for (&id, part) in &more.segments {
            self.add_to_segment(id, *part);
        }
    }

    pub(super) fn add_to_segment(&mut self, id: SegmentId, more: InSegment) {
        // What is lost or elsewhere takes no space here.
        if id == SegmentId::LOST || id == SegmentId::ELSEWHERE {
            return;
        }
        let segment = self.segments.entry(id).or_default();
        segment.chunks += more.chunks;
        segment.bytes += more.bytes;
        // As in a count of all rows, which the audit compares this with: an empty segment has none there.
        if *segment == InSegment::default() {
            self.segments.remove(&id);
        }
    }

    /// `by` chunks more (1 or -1) whose record is at `at`.
    pub(in crate::meta) fn place(&mut self, at: &Location, by: i64) {
        let bytes = record_bytes(at.stored_len).cast_signed();
        let part = InSegment {
            chunks: by,
            bytes: by * bytes,
        };
        self.add_to_segment(at.segment, part);
    }
}

impl Stored {
    pub(in crate::meta) fn of(at: &Location) -> Self {
        Self {
            chunks: 1,
            plain: at.len.into(),
            stored: at.stored_len.into(),
        }
    }

    pub(in crate::meta) fn add(&mut self, more: Self) {
        self.chunks += more.chunks;
        self.plain += more.plain;
        self.stored += more.stored;
    }

    pub(in crate::meta) fn take(&mut self, less: Self) {
        self.chunks -= less.chunks;
        self.plain -= less.plain;
        self.stored -= less.stored;
    }
}
