//! Cutting a write at the chunk boundaries of its file.
//!
//! Boundaries are fixed places in the file, so that the same content at the same place makes the same
//! chunks, whatever the sizes of the writes were.

use crate::types::ChunkBytes;

/// A run of a write that lies within one chunk-sized cell of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Its bytes: never empty, never more than the chunk length.
    pub data: &'a [u8],
}

/// Cuts `data`, to be written at `offset`, into pieces in file order.
pub fn cut(offset: u64, data: &[u8], chunk: ChunkBytes) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = data;
    let mut at = offset;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let room = u64::from(chunk.get()) - at % u64::from(chunk.get());
        let len = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
        let (data, tail) = rest.split_at(len);
        let piece = Piece { offset: at, data };
        rest = tail;
        at += data.len() as u64;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_at_multiples_of_the_chunk_length() {
        let chunk = ChunkBytes::new(4096).unwrap();
        let data = vec![7; 10_000];
        let lens: Vec<_> = cut(4000, &data, chunk)
            .map(|p| (p.offset, p.data.len()))
            .collect();
        assert_eq!(
            lens,
            [(4000, 96), (4096, 4096), (8192, 4096), (12_288, 1712)]
        );
        assert_eq!(cut(5, &[], chunk).count(), 0);
    }
}
