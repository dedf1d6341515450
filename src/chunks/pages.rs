//! Checksums of the 4 KiB pages of a chunk, so that a small read need not hash a whole chunk.

use std::ops::Range;

use crate::types::PageSums;

/// Bytes that one checksum covers; the last page of a chunk may be shorter.
pub(super) const PAGE_BYTES: usize = 4096;

/// The checksums of these bytes.
#[must_use]
pub(super) fn sums_of(data: &[u8]) -> PageSums {
    let sums = data
        .chunks(PAGE_BYTES)
        .flat_map(|page| crc32c::crc32c(page).to_le_bytes());
    PageSums::from_bytes(sums.collect::<Vec<_>>())
}

/// The first page from `first` on whose bytes in `data` do not have the stored sum. `data` holds whole
/// pages, but for the chunk's last one.
#[must_use]
pub(super) fn first_bad_page(sums: &PageSums, first: usize, data: &[u8]) -> Option<usize> {
    let bad = |(i, page): (usize, &[u8])| {
        let at = (first + i) * 4;
        // A page without a sum is bad as well: a damaged row may have fewer than its length tells of.
        sums.as_bytes().get(at..at + 4) != Some(&crc32c::crc32c(page).to_le_bytes())
    };
    data.chunks(PAGE_BYTES)
        .enumerate()
        .position(bad)
        .map(|i| first + i)
}

/// The range widened to whole pages of a chunk of `chunk_len` bytes.
#[must_use]
pub(super) fn widen(range: Range<usize>, chunk_len: usize) -> Range<usize> {
    let start = range.start - range.start % PAGE_BYTES;
    start..range.end.next_multiple_of(PAGE_BYTES).min(chunk_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_found_in_its_page() {
        let mut data = vec![1; 10_000];
        let sums = sums_of(&data);
        assert_eq!(first_bad_page(&sums, 0, &data), None);
        data[9_999] ^= 1;
        assert_eq!(first_bad_page(&sums, 0, &data), Some(2));
        assert_eq!(first_bad_page(&sums, 1, &data[4096..8192]), None);
        assert_eq!(first_bad_page(&sums, 3, &data[..10]), Some(3));
    }

    #[test]
    fn ranges_widen_to_whole_pages_within_the_chunk() {
        assert_eq!(widen(5000..5001, 9000), 4096..8192);
        assert_eq!(widen(8192..8200, 9000), 8192..9000);
    }
}
