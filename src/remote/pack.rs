//! Packs: chunks of any volumes, compressed and sealed one by one, so that each can be fetched by itself.

use super::object::{HEADER_BYTES, Header, Kind, ObjectBuilder, ObjectId, ObjectOpener};
use super::place::{Packing, Place};
use super::seal::{MasterKey, ObjectKey, TAG_BYTES};
use super::shelf::{Bytes, Key};
use super::{Error, Result};
use crate::types::ChunkHash;

/// Bytes from which a pack is full: 16 MiB.
const PACK_BYTES: usize = 16 * 1024 * 1024;
/// Chunks from which it is full as well: what is known of each takes more memory than a tiny file.
const PACK_CHUNKS: usize = 16 * 1024;
/// Fast, and most of what there is to gain.
const LEVEL: i32 = 1;
/// Bytes of a chunk in the trailer: its hash, stored and plain length, packing.
const ENTRY_BYTES: usize = ChunkHash::LEN + 4 + 4 + 1;

/// A chunk and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedChunk {
    /// Its name.
    pub hash: ChunkHash,
    /// Where it is.
    pub place: Place,
}

/// A pack that is being filled.
#[derive(Debug)]
pub struct PackBuilder {
    object: ObjectBuilder,
    chunks: Vec<PackedChunk>,
}

/// A pack that can be stored.
#[derive(Debug)]
pub struct SealedPack {
    /// Its name.
    pub id: ObjectId,
    /// All of it.
    pub bytes: Vec<u8>,
    /// What is in it.
    pub chunks: Vec<PackedChunk>,
}

impl PackBuilder {
    /// Begins one.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn begin(master: &MasterKey) -> Result<Self> {
        Ok(Self {
            object: ObjectBuilder::begin(master, Kind::Pack)?,
            chunks: Vec::new(),
        })
    }

    /// Adds a chunk; where it will be.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn push(&mut self, hash: ChunkHash, plain: Vec<u8>) -> Result<Place> {
        let len = u32::try_from(plain.len()).map_err(too_much)?;
        let (packing, stored) = compressed(plain);
        self.push_stored(hash, stored, (len, packing))
    }

    /// Adds a chunk as it was stored elsewhere, of so many bytes of plaintext; where it will be.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn push_stored(
        &mut self,
        hash: ChunkHash,
        stored: Vec<u8>,
        (len, packing): (u32, Packing),
    ) -> Result<Place> {
        let stored_len = u32::try_from(stored.len()).map_err(too_much)?;
        let offset = u32::try_from(self.object.push(stored)?).map_err(too_much)?;
        let place = Place {
            pack: *self.object.id(),
            piece: u32::try_from(self.chunks.len()).map_err(too_much)?,
            offset,
            stored_len,
            len,
            packing,
        };
        self.chunks.push(PackedChunk { hash, place });
        Ok(place)
    }

    /// Whether it is time to begin another.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.object.len() >= PACK_BYTES || self.chunks.len() >= PACK_CHUNKS
    }

    /// Whether it has no chunk.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn finish(self) -> Result<SealedPack> {
        let trailer = self.chunks.iter().flat_map(entry).collect();
        let (id, bytes) = self.object.finish(trailer)?;
        Ok(SealedPack {
            id,
            bytes,
            chunks: self.chunks,
        })
    }
}

fn entry(chunk: &PackedChunk) -> Vec<u8> {
    let place = &chunk.place;
    let mut bytes = Vec::with_capacity(ENTRY_BYTES);
    bytes.extend(chunk.hash.as_bytes());
    bytes.extend(place.stored_len.to_le_bytes());
    bytes.extend(place.len.to_le_bytes());
    bytes.push(place.packing.to_raw());
    bytes
}

fn too_much(_: std::num::TryFromIntError) -> Error {
    Error::Bug("a pack is too long".to_owned())
}

/// Only where it is worth it: a frame has to be unpacked by everybody who reads the chunk.
pub(super) fn compressed(plain: Vec<u8>) -> (Packing, Vec<u8>) {
    match zstd::bulk::compress(&plain, LEVEL) {
        Ok(packed) if packed.len() < plain.len() - plain.len() / 16 => (Packing::Zstd, packed),
        Ok(_) | Err(_) => (Packing::Plain, plain),
    }
}

/// Opens the chunk at `place` from its sealed bytes.
///
/// # Errors
/// [`Error::Damaged`] when they are not what was stored.
pub fn open_chunk(master: &MasterKey, place: &Place, sealed: &[u8]) -> Result<Vec<u8>> {
    let stored = open_stored(master, place, sealed)?;
    match place.packing {
        Packing::Plain => Ok(stored),
        Packing::Zstd => unpacked(place, &stored),
    }
}

/// The plaintext of a frame.
fn unpacked(place: &Place, stored: &[u8]) -> Result<Vec<u8>> {
    let damaged = |what: &str| damaged_chunk(place, what);
    let plain = zstd::bulk::decompress(stored, place.len as usize)
        .map_err(|_| damaged("it cannot be unpacked"))?;
    let is_whole = plain.len() == place.len as usize;
    is_whole
        .then_some(plain)
        .ok_or_else(|| damaged("it is too short"))
}

/// Opens chunks of one pack, whose places follow each other, out of its bytes from the first to the last of them: in
/// place, so that each byte is moved once. They are parts of one buffer, which stays while one of them does.
///
/// # Errors
/// [`Error::Damaged`] when one of them is not what was stored.
pub(super) fn open_chunks(
    master: &MasterKey,
    places: &[Place],
    mut sealed: Vec<u8>,
) -> Result<Vec<Bytes>> {
    let Some(first) = places.first() else {
        return Ok(Vec::new());
    };
    let key = Kind::Pack.key(master, &first.pack)?;
    let start = |place: &Place| (place.offset - first.offset) as usize;
    for place in places {
        debug_assert_eq!(place.pack, first.pack, "one key opens all of them");
        let piece = sealed.get_mut(start(place)..start(place) + place.sealed_len());
        open_piece(&key, place, piece.unwrap_or_default())?;
    }
    // All of it is verified: from here on it can be looked at.
    let opened = Bytes::from(sealed);
    let plain = |place: &Place| {
        let stored = opened.slice(start(place)..start(place) + place.stored_len as usize);
        match place.packing {
            Packing::Plain => Ok(stored),
            Packing::Zstd => unpacked(place, &stored).map(Bytes::from),
        }
    };
    places.iter().map(plain).collect()
}

/// Opens the chunk at `place` in place: what is stored of it comes to lie where its sealed bytes began.
fn open_piece(key: &ObjectKey, place: &Place, sealed: &mut [u8]) -> Result<()> {
    if !place.is_possible() || sealed.len() != place.sealed_len() {
        return Err(damaged_chunk(
            place,
            "it has another length than was stored",
        ));
    }
    let opened = key.open_part(place.piece.into(), &[], sealed);
    let is_it = opened == Some(place.stored_len as usize);
    is_it
        .then_some(())
        .ok_or_else(|| damaged_chunk(place, "it is not what was stored"))
}

/// What is stored of the chunk at `place`, from its sealed bytes.
///
/// # Errors
/// [`Error::Damaged`] when they are not what was stored.
pub fn open_stored(master: &MasterKey, place: &Place, sealed: &[u8]) -> Result<Vec<u8>> {
    let key = Kind::Pack.key(master, &place.pack)?;
    let mut stored = sealed.to_vec();
    open_piece(&key, place, &mut stored)?;
    stored.truncate(place.stored_len as usize);
    Ok(stored)
}

fn damaged_chunk(place: &Place, what: &str) -> Error {
    let what = format!("chunk {}: {what}", place.piece);
    Error::damaged(pack_key(&place.pack), what)
}

impl Place {
    /// Bytes of the sealed piece.
    #[must_use]
    pub const fn sealed_len(&self) -> usize {
        self.stored_len as usize + TAG_BYTES
    }

    /// Bytes that a pack is longer for it.
    #[must_use]
    pub const fn packed_len(&self) -> u64 {
        (self.sealed_len() + ENTRY_BYTES) as u64
    }
}

/// Bytes of a pack that tell of no chunk: the rest is the [`Place::packed_len`] of its chunks.
pub const PACK_FRAME_BYTES: u64 = (HEADER_BYTES + TAG_BYTES) as u64;

/// What is in a pack, by its trailer; `bytes` is all of it.
pub(super) fn chunks_of(
    master: &MasterKey,
    id: &ObjectId,
    bytes: &[u8],
) -> Result<Vec<PackedChunk>> {
    let (header, at) = trailer_of(id, bytes, bytes.len() as u64)?;
    let at = usize::try_from(at).map_err(|_| Error::Bug("a pack is too long".to_owned()))?;
    chunks_before(master, (&header, at), &bytes[at..])
}

/// The header of a pack that is so many bytes long, and where its trailer begins.
pub(super) fn trailer_of(id: &ObjectId, header: &[u8], len: u64) -> Result<(Header, u64)> {
    let object = pack_key(id);
    let damaged = |what: &str| Error::damaged(&object, what);
    let header = Header::decode(header, Kind::Pack, &object)?;
    if header.id != *id {
        return Err(damaged("it is another pack"));
    }
    let at = len.checked_sub(header.trailer_bytes.into());
    let at = at.filter(|at| *at >= HEADER_BYTES as u64);
    let at = at.ok_or_else(|| damaged("it is too short"))?;
    Ok((header, at))
}

/// What is in a pack before its trailer, which begins there.
pub(super) fn chunks_before(
    master: &MasterKey,
    (header, at): (&Header, usize),
    sealed: &[u8],
) -> Result<Vec<PackedChunk>> {
    let (id, object) = (&header.id, pack_key(&header.id));
    let damaged = |what: &str| Error::damaged(&object, what);
    let trailer = ObjectOpener::new(master, header, &object)?.trailer(sealed)?;
    let mut offset = HEADER_BYTES;
    let mut chunks = Vec::new();
    for (piece, entry) in trailer.chunks(ENTRY_BYTES).enumerate() {
        let chunk = parse(id, piece, offset, entry).ok_or_else(|| damaged("its trailer"))?;
        offset += chunk.place.sealed_len();
        chunks.push(chunk);
    }
    if offset != at {
        return Err(damaged("its chunks do not fill it"));
    }
    Ok(chunks)
}

fn parse(id: &ObjectId, piece: usize, offset: usize, entry: &[u8]) -> Option<PackedChunk> {
    let (hash, rest) = entry.split_first_chunk::<{ ChunkHash::LEN }>()?;
    let (stored_len, rest) = rest.split_first_chunk::<4>()?;
    let (len, packing) = rest.split_first_chunk::<4>()?;
    let place = Place {
        pack: *id,
        piece: u32::try_from(piece).ok()?,
        offset: u32::try_from(offset).ok()?,
        stored_len: u32::from_le_bytes(*stored_len),
        len: u32::from_le_bytes(*len),
        packing: Packing::from_raw(*packing.first()?)?,
    };
    place.is_possible().then_some(PackedChunk {
        hash: ChunkHash::from_bytes(*hash),
        place,
    })
}

/// The name of a pack in the store.
pub(super) fn pack_key(id: &ObjectId) -> Key {
    id.key_below("pack")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> [Vec<u8>; 4] {
        [
            b"all work and no play ".repeat(500),
            vec![7],
            (0..=255).collect(),
            b"all play and no work ".repeat(500),
        ]
    }

    #[test]
    fn chunks_come_back_and_the_trailer_tells_of_them() {
        let master = MasterKey::random().unwrap();
        let mut pack = PackBuilder::begin(&master).unwrap();
        let (texts, mut places) = (texts(), Vec::new());
        for text in &texts {
            places.push(pack.push(ChunkHash::of(text), text.clone()).unwrap());
        }
        let sealed = pack.finish().unwrap();
        assert_eq!(places[0].packing, Packing::Zstd);
        assert_eq!(places[2].packing, Packing::Plain);
        assert_eq!(
            chunks_of(&master, &sealed.id, &sealed.bytes).unwrap(),
            sealed.chunks
        );
        for (place, text) in places.iter().zip(&texts) {
            let at = place.offset as usize;
            let piece = &sealed.bytes[at..at + place.sealed_len()];
            assert_eq!(open_chunk(&master, place, piece).unwrap(), *text);
            let mut changed = piece.to_vec();
            changed[0] ^= 1;
            assert!(open_chunk(&master, place, &changed).is_err());
            assert!(open_chunk(&master, place, &piece[1..]).is_err());
        }
    }

    #[test]
    fn chunks_that_follow_each_other_are_opened_where_they_lie() {
        let master = MasterKey::random().unwrap();
        let mut pack = PackBuilder::begin(&master).unwrap();
        let texts = texts();
        let push = |text: &Vec<u8>| pack.push(ChunkHash::of(text), text.clone()).unwrap();
        let places: Vec<_> = texts.iter().map(push).collect();
        let sealed = pack.finish().unwrap().bytes;
        let part = |first: &Place, last: &Place| {
            sealed[first.offset as usize..last.offset as usize + last.sealed_len()].to_vec()
        };
        let all = part(&places[0], &places[3]);
        assert_eq!(open_chunks(&master, &places, all.clone()).unwrap(), texts);
        // With one between them that nobody asked for.
        let some = [places[1], places[3]];
        let opened = open_chunks(&master, &some, part(&some[0], &some[1])).unwrap();
        assert_eq!(opened, [&texts[1][..], &texts[3]]);
        for at in [0, all.len() / 2, all.len() - 1] {
            let mut changed = all.clone();
            changed[at] ^= 1;
            assert!(open_chunks(&master, &places, changed).is_err(), "{at}");
        }
        let short = all[..all.len() - 1].to_vec();
        assert!(open_chunks(&master, &places, short).is_err());
    }

    /// What is known of a million tiny chunks would take hundreds of MiB.
    #[test]
    fn a_pack_of_tiny_chunks_is_full_before_it_is_long() {
        let master = MasterKey::random().unwrap();
        let mut pack = PackBuilder::begin(&master).unwrap();
        let mut chunks = 0_u32;
        while !pack.is_full() {
            let text = chunks.to_le_bytes().to_vec();
            pack.push(ChunkHash::of(&text), text).unwrap();
            chunks += 1;
        }
        assert_eq!(chunks as usize, PACK_CHUNKS);
    }
}
