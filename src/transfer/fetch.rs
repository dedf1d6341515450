//! Chunks out of packs: neighbours in one request, some requests at a time.

use std::thread::Scope;

use super::Result;
use super::workers::Workers;
use crate::remote::{self, Place, Repository};
use crate::types::ChunkId;
use crate::volume::FarChunk;

/// Requests at once.
const AT_ONCE: usize = 4;

/// Chunks of one pack that are fetched together, in their order.
pub(super) type Window = Vec<(Place, ChunkId)>;

/// What came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) chunks: Vec<FarChunk>,
    /// Bytes that were fetched for them.
    pub(super) bytes: u64,
}

/// Windows that are being fetched.
#[derive(Debug)]
pub(super) struct Fetches(Workers<Window, Fetched>);

impl Fetches {
    /// Starts the threads that fetch; they end when this is dropped.
    pub(super) fn start<'s>(scope: &'s Scope<'s, '_>, repository: &'s Repository) -> Self {
        Self(Workers::start(scope, (AT_ONCE, AT_ONCE), |window| {
            fetch(repository, &window)
        }))
    }

    /// Asks for a window. What has come meanwhile, if as many are under way as may be.
    pub(super) fn ask(&mut self, window: Window) -> Result<Option<Fetched>> {
        self.0.ask(window)?;
        if self.0.under_way() < 2 * AT_ONCE {
            return Ok(None);
        }
        self.next()
    }

    /// What comes next; `None` when nothing is under way.
    pub(super) fn next(&mut self) -> Result<Option<Fetched>> {
        Ok(self.0.next()?.transpose()?)
    }
}

fn fetch(repository: &Repository, window: &Window) -> remote::Result<Fetched> {
    let places: Vec<Place> = window.iter().map(|(place, _)| *place).collect();
    let remote::Fetched { plain, bytes } = repository.fetch(&places)?;
    let chunks = plain.into_iter().zip(window);
    let chunks = chunks.map(|(plain, (_, id))| FarChunk { id: *id, plain });
    Ok(Fetched {
        chunks: chunks.collect(),
        bytes,
    })
}
