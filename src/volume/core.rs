//! The parts of an open volume, each with its own state and rules. An operation takes the part that it needs; what
//! needs several takes all of them, by this.

use std::path::{Path, PathBuf};

use super::durability::arrivals::Arrivals;
use super::durability::copy_queue::CopyQueue;
use super::durability::disk::Disk;
use super::durability::refused::RefusedWrites;
use super::elsewhere::Fetcher;
use super::health::scrubber::Scrubber;
use super::metadata::Metadata;
use super::space::compression::Packing;
use super::space::gc_policy::GcPolicy;
use super::space::limits::Bounds;
use super::space::lookup_counts::LookupCounts;
use super::tuning::Tuning;
use crate::chunks::ChunkStore;
use crate::meta::Database;
use crate::types::{ChunkBytes, VolumeId};

/// What identifies an open volume.
#[derive(Debug)]
pub(super) struct Identity {
    /// Its directory, absolute.
    pub(super) dir: PathBuf,
    pub(super) uuid: VolumeId,
    /// Length at which its files are cut into chunks.
    pub(super) chunk_bytes: ChunkBytes,
}

/// The parts of an open volume.
#[derive(Debug)]
pub(super) struct Core {
    identity: Identity,
    tuning: Tuning,
    metadata: Metadata,
    compression: Packing,
    copies: CopyQueue,
    refused: RefusedWrites,
    arrivals: Arrivals,
    lookups: LookupCounts,
    gc: GcPolicy,
    scrubber: Scrubber,
    /// Of a volume that lacks chunks.
    fetcher: Option<Fetcher>,
}

impl Core {
    pub(super) fn new(
        identity: Identity,
        metadata: Metadata,
        compression: Packing,
        (scrubber, fetcher): (Scrubber, Option<Fetcher>),
        tuning: Tuning,
    ) -> Self {
        Self {
            identity,
            metadata,
            compression,
            copies: CopyQueue::default(),
            refused: RefusedWrites::default(),
            arrivals: Arrivals::default(),
            lookups: LookupCounts::default(),
            gc: GcPolicy::new(tuning.gc),
            scrubber,
            fetcher,
            tuning,
        }
    }

    /// The volume's directory, absolute.
    pub(super) fn dir(&self) -> &Path {
        &self.identity.dir
    }

    pub(super) const fn uuid(&self) -> VolumeId {
        self.identity.uuid
    }

    pub(super) const fn chunk_bytes(&self) -> ChunkBytes {
        self.identity.chunk_bytes
    }

    pub(super) const fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(super) const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(super) const fn disk(&self) -> &Disk {
        self.metadata.disk()
    }

    pub(super) const fn database(&self) -> &Database {
        self.disk().database()
    }

    pub(super) const fn chunks(&self) -> &ChunkStore {
        self.disk().chunks()
    }

    pub(super) const fn bounds(&self) -> &Bounds {
        self.metadata.bounds()
    }

    pub(super) const fn compression(&self) -> &Packing {
        &self.compression
    }

    pub(super) const fn copies(&self) -> &CopyQueue {
        &self.copies
    }

    pub(super) const fn refused(&self) -> &RefusedWrites {
        &self.refused
    }

    pub(super) const fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    pub(super) const fn lookups(&self) -> &LookupCounts {
        &self.lookups
    }

    pub(super) const fn gc(&self) -> &GcPolicy {
        &self.gc
    }

    pub(super) const fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }

    pub(super) const fn fetcher(&self) -> Option<&Fetcher> {
        self.fetcher.as_ref()
    }

    /// Takes the volume apart when nothing works on it any more.
    pub(super) fn into_metadata(self) -> Metadata {
        self.metadata
    }
}
