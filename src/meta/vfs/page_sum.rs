//! The sum that a page of the database ends with: a page that changed on the disk, or lies where another one was, is
//! known by it. Knows a page's bytes and neither SQLite nor a file.
//!
//! SQLite leaves the last bytes of each page alone when the file's header says so (sqlite.org/fileformat2.html, section
//! 1.3.4, "reserved bytes"). The layout: docs/format.md.

use std::collections::HashMap;

/// Bytes of a page of the database.
pub(in crate::meta) const PAGE_BYTES: usize = 4096;
/// Bytes at the end of a page that are its sum's.
pub(in crate::meta) const SUM_BYTES: u8 = 8;
/// Of them, first the number of the page, and then the checksum of all before it.
const NUMBER_AT: usize = PAGE_BYTES - SUM_BYTES as usize;
const CHECKSUM_AT: usize = NUMBER_AT + 4;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where the header of a database says how many bytes at the end of a page are not SQLite's.
const RESERVED_AT: usize = 20;

pub(in crate::meta) type Page = [u8; PAGE_BYTES];

/// Whether the pages of a database end with sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::meta) enum Sums {
    Kept,
    /// An earlier cask made it.
    Absent,
}

impl Sums {
    /// What the header of a database says, which its first bytes are; `None` where they are none.
    pub(in crate::meta) fn of_header(bytes: &[u8]) -> Option<Self> {
        let reserved = bytes.get(RESERVED_AT)?;
        bytes.starts_with(MAGIC).then_some(match *reserved {
            SUM_BYTES => Self::Kept,
            _ => Self::Absent,
        })
    }
}

/// The number of the page that begins at `at`; the first has 1.
pub(in crate::meta) fn number(at: u64) -> u32 {
    u32::try_from(at / PAGE_BYTES as u64 + 1).unwrap_or(u32::MAX)
}

/// Gives a page the sum that it has as page `number`.
pub(in crate::meta) fn put(page: &mut Page, number: u32) {
    page[NUMBER_AT..CHECKSUM_AT].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32c::crc32c(&page[..CHECKSUM_AT]);
    page[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
}

/// Whether a page has the sum that it has as page `number`.
pub(in crate::meta) fn is_right(page: &Page, number: u32) -> bool {
    page[NUMBER_AT..CHECKSUM_AT] == number.to_le_bytes() && has_checksum(page)
}

fn has_checksum(page: &Page) -> bool {
    page[CHECKSUM_AT..] == crc32c::crc32c(&page[..CHECKSUM_AT]).to_le_bytes()
}

/// What a checksum differs by when one bit of a page changed: something else for each bit, so that it tells the bit.
pub(in crate::meta) struct Syndromes(HashMap<u32, usize>);

impl Syndromes {
    pub(in crate::meta) fn new() -> Self {
        let mut page = [0; CHECKSUM_AT];
        let none = crc32c::crc32c(&page);
        let mut of_bit = |bit: usize| {
            let flip = 1 << (bit % 8);
            page[bit / 8] ^= flip;
            let differs = crc32c::crc32c(&page) ^ none;
            page[bit / 8] ^= flip;
            (differs, bit)
        };
        let covered = (0..8 * CHECKSUM_AT).map(&mut of_bit);
        let own = (0..32).map(|bit| (1 << bit, 8 * CHECKSUM_AT + bit));
        Self(covered.chain(own).collect())
    }

    /// Puts a page right in which one bit changed; whether it was one bit.
    pub(in crate::meta) fn mend(&self, page: &mut Page, number: u32) -> bool {
        let mut stored = [0; 4];
        stored.copy_from_slice(&page[CHECKSUM_AT..]);
        let differs = crc32c::crc32c(&page[..CHECKSUM_AT]) ^ u32::from_le_bytes(stored);
        let Some(bit) = self.0.get(&differs) else {
            return false;
        };
        let flip = 1 << (bit % 8);
        page[bit / 8] ^= flip;
        let is_mended = is_right(page, number);
        if !is_mended {
            page[bit / 8] ^= flip;
        }
        is_mended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = std::array::from_fn(|i| u8::try_from(i * i % 251).unwrap());
        put(&mut page, 7);
        page
    }

    #[test]
    fn a_page_that_changed_or_lies_elsewhere_is_known() {
        let page = page();
        assert!(is_right(&page, 7));
        assert!(!is_right(&page, 8), "it is that of another page");
        assert!(!is_right(&[0; PAGE_BYTES], 7), "nothing was written there");
        for at in 0..PAGE_BYTES {
            let mut changed = page;
            changed[at] ^= 0x5a;
            assert!(!is_right(&changed, 7), "byte {at}");
        }
    }

    #[test]
    fn a_bit_that_changed_is_put_right_and_nothing_else() {
        let (page, syndromes) = (page(), Syndromes::new());
        assert_eq!(syndromes.0.len(), 8 * PAGE_BYTES, "each bit has its own");
        for bit in [0, 1, 12_345, 8 * NUMBER_AT + 3, 8 * PAGE_BYTES - 1] {
            let mut changed = page;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                syndromes.mend(&mut changed, 7) && changed == page,
                "bit {bit}"
            );
        }
        let mut changed = page;
        changed[100] ^= 3;
        let before = changed;
        assert!(!syndromes.mend(&mut changed, 7) && changed == before);
    }

    #[test]
    fn a_header_says_whether_there_are_sums() {
        let mut header = [0; 100];
        assert_eq!(Sums::of_header(&header), None);
        header[..16].copy_from_slice(MAGIC);
        assert_eq!(Sums::of_header(&header), Some(Sums::Absent));
        header[RESERVED_AT] = SUM_BYTES;
        assert_eq!(Sums::of_header(&header), Some(Sums::Kept));
        assert_eq!(Sums::of_header(&header[..10]), None);
    }
}
