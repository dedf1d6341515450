//! What is in a pack, without its chunks.

use super::object::HEADER_BYTES;
use super::pack::{chunks_before, pack_key, trailer_of};
use super::{Error, ObjectId, PackedChunk, Repository, Result};

impl Repository {
    /// What is in a pack that is so many bytes long: its header and its trailer are fetched.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`]; see [`super::Shelf`].
    pub fn pack_directory(&self, id: &ObjectId, len: u64) -> Result<Vec<PackedChunk>> {
        let key = pack_key(id);
        let header = self.shelf().get_range(&key, 0..HEADER_BYTES as u64)?;
        let (header, at) = trailer_of(id, &header, len)?;
        let sealed = self.shelf().get_range(&key, at..len)?;
        let at = usize::try_from(at).map_err(|_| Error::Bug("a pack is too long".to_owned()))?;
        chunks_before(self.master(), (&header, at), &sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{KeySource, Memory, PackBuilder, Passphrase};
    use crate::types::ChunkHash;
    use std::sync::Arc;

    #[test]
    fn a_pack_tells_what_is_in_it_without_its_chunks() {
        let source = KeySource::KeyFile(Passphrase::new(vec![1; 32]));
        let repository = Repository::create(Arc::new(Memory::default()), &source).unwrap();
        let mut pack = PackBuilder::begin(repository.master()).unwrap();
        for text in 0..300_u32 {
            let text = text.to_le_bytes().to_vec();
            pack.push(ChunkHash::of(&text), text).unwrap();
        }
        let mut sealed = pack.finish().unwrap();
        let len = sealed.bytes.len() as u64;
        repository.put_pack(&mut sealed).unwrap();
        let directory = |len| repository.pack_directory(&sealed.id, len);
        assert_eq!(directory(len).unwrap(), sealed.chunks);
        for wrong in [0, 70, len - 1, len + 1] {
            let error = directory(wrong).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{error}");
        }
    }
}
