//! New first pages for a database whose own are damaged: they say where each table is.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::pages::{read_page, write_page};
use crate::meta::vfs::page_sum::{PAGE_BYTES, Sums};

/// The byte of a page that says what kind it is; of the first page, behind the file's header.
const FIRST_KIND_AT: usize = 100;
const INTERIOR: u8 = 5;
const PAGE_COUNT_AT: usize = 28;
const CHANGES_AT: usize = 24;

/// Puts the pages that hold the schema of the database at `from` in place of those of the one at `to`; both have sums, or
/// none has.
pub(super) fn graft(from: &Path, to: &Path, sums: Sums) -> io::Result<()> {
    let source = File::open(from)?;
    let target = File::options().read(true).write(true).open(to)?;
    let pages = target.metadata()?.len() / PAGE_BYTES as u64;
    let mut first = read_page(&source, 1)?;
    for number in below(&first) {
        write_page(&target, number, read_page(&source, number)?, sums)?;
    }
    // A count of changes that does not match has SQLite measure the file itself.
    first[CHANGES_AT..][..4].copy_from_slice(&u32::MAX.to_be_bytes());
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    first[PAGE_COUNT_AT..][..4].copy_from_slice(&pages.to_be_bytes());
    write_page(&target, 1, first, sums)
}

/// The pages that the first one, if it is an interior page, leads to (sqlite.org/fileformat2.html, section 1.6).
fn below(first: &[u8]) -> Vec<u32> {
    let header = &first[FIRST_KIND_AT..];
    if header.first() != Some(&INTERIOR) {
        return Vec::new();
    }
    let word = |at: usize| {
        let mut four = [0; 4];
        let read = (&first[at..]).read_exact(&mut four);
        read.map_or(0, |()| u32::from_be_bytes(four))
    };
    let cells = usize::from(u16::from_be_bytes([header[3], header[4]]));
    let cell = |i: usize| {
        let at = FIRST_KIND_AT + 12 + 2 * i;
        usize::from(u16::from_be_bytes([first[at], first[at + 1]]))
    };
    (0..cells)
        .map(|i| word(cell(i)))
        .chain([word(FIRST_KIND_AT + 8)])
        .filter(|&page| page > 1)
        .collect()
}
