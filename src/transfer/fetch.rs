//! Chunks out of packs: neighbours in one request, some requests at a time.

use std::collections::VecDeque;
use std::thread::Scope;

use super::Result;
use super::workers::Workers;
use crate::remote::{self, Place, Repository};
use crate::types::ChunkId;
use crate::volume::FarChunk;

/// Requests at once.
const AT_ONCE: usize = 4;
/// Bytes of a request.
const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

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

/// Groups chunks, which come in the order of their places, to windows.
pub(super) fn windows<T>(chunks: Vec<(Place, T)>) -> VecDeque<Vec<(Place, T)>> {
    let mut windows: VecDeque<Vec<(Place, T)>> = VecDeque::new();
    for (place, id) in chunks {
        match windows.back_mut() {
            Some(window) if fits(window, &place) => window.push((place, id)),
            _ => windows.push_back(vec![(place, id)]),
        }
    }
    windows
}

fn fits<T>(window: &[(Place, T)], place: &Place) -> bool {
    let ends = window.first().zip(window.last());
    ends.is_some_and(|((first, _), (last, _))| place.extends((first, last), WINDOW_BYTES))
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
#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{ObjectId, Packing};

    fn place(pack: u8, offset: u32, len: u32) -> Place {
        Place {
            pack: ObjectId::from_bytes([pack; 32]),
            piece: offset,
            offset,
            stored_len: len,
            len,
            packing: Packing::Plain,
        }
    }

    #[test]
    fn neighbours_are_fetched_together() {
        let chunks = [
            place(0, 64, 1000),
            place(0, 1080, 1000),
            place(0, 60_000, 1000),
            place(0, 200_000, 1_000_000),
            place(0, 1_200_016, 1_000_000),
            place(0, 2_200_032, 1_000_000),
            place(0, 3_200_048, 1_000_000),
            place(0, 4_200_064, 1_000_000),
            place(1, 64, 10),
        ];
        let chunks = chunks.into_iter().map(|place| (place, ChunkId(1)));
        let counts: Vec<usize> = windows(chunks.collect()).iter().map(Vec::len).collect();
        assert_eq!(counts, [3, 4, 1, 1]);
    }
}
