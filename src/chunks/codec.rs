//! Packing and unpacking a chunk's bytes.

use crate::types::{Codec, Compression};

/// The packed form of these bytes; nothing when it would not be at least a tenth shorter.
pub(super) fn pack(compression: Compression, plain: &[u8]) -> Option<(Codec, Vec<u8>)> {
    let (codec, packed) = match compression {
        Compression::None => return None,
        Compression::Lz4 => (Codec::Lz4, lz4_flex::block::compress(plain)),
        Compression::Zstd(level) => {
            let packed = zstd::bulk::compress(plain, level);
            let packed = packed.inspect_err(|e| log::warn!("stored plain: zstd says {e}"));
            (Codec::Zstd, packed.ok()?)
        }
    };
    // A packed chunk can only be read whole: less than a tenth is not worth that.
    (packed.len() <= plain.len() / 10 * 9).then_some((codec, packed))
}

/// The `len` bytes that these were packed from; nothing when they are not such.
pub(super) fn unpack(codec: Codec, stored: Vec<u8>, len: usize) -> Option<Vec<u8>> {
    // `len` comes from the disk, and the decoders set that much aside at once: who calls has seen that a chunk may have
    // it.
    let plain = match codec {
        Codec::Plain => stored,
        Codec::Lz4 => lz4_flex::block::decompress(&stored, len).ok()?,
        Codec::Zstd => zstd::bulk::decompress(&stored, len).ok()?,
    };
    (plain.len() == len).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_packs_is_unpacked_and_what_does_not_stays() {
        let text = b"all work and no play ".repeat(500);
        for compression in [
            Compression::Lz4,
            Compression::Zstd(1),
            Compression::Zstd(19),
        ] {
            let (codec, packed) = pack(compression, &text).unwrap();
            assert!(packed.len() < text.len() / 10);
            assert_eq!(unpack(codec, packed.clone(), text.len()).unwrap(), text);
            assert_eq!(unpack(codec, packed[1..].to_vec(), text.len()), None);
            assert_eq!(unpack(codec, packed, text.len() - 1), None);
            let mut state = 1_u64;
            let noise = std::iter::from_fn(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                Some(state.to_le_bytes()[0])
            });
            let noise: Vec<u8> = noise.take(10_000).collect();
            assert_eq!(pack(compression, &noise), None);
        }
        assert_eq!(pack(Compression::None, &text), None);
    }
}
