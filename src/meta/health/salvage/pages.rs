//! Pages of a database that is damaged, beside SQLite: which have the sum of another one, and those in which one bit
//! changed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::meta::vfs::page_sum::{self, PAGE_BYTES, Page, Sums, Syndromes};

/// Pages that are looked at where the header is damaged.
const SAMPLE: u32 = 64;

const fn place(number: u32) -> u64 {
    (number as u64 - 1) * PAGE_BYTES as u64
}

pub(super) fn read_page(file: &File, number: u32) -> io::Result<Page> {
    let mut page = [0; PAGE_BYTES];
    file.read_exact_at(&mut page, place(number))?;
    Ok(page)
}

/// Writes a page, which gets the sum of its new place.
pub(super) fn write_page(file: &File, number: u32, mut page: Page, sums: Sums) -> io::Result<()> {
    if sums == Sums::Kept {
        page_sum::put(&mut page, number);
    }
    file.write_all_at(&page, place(number))
}

/// How many pages a file has.
fn count(file: &File) -> io::Result<u32> {
    let pages = file.metadata()?.len() / PAGE_BYTES as u64;
    Ok(u32::try_from(pages).unwrap_or(u32::MAX))
}

/// Whether the pages of the database at `path` have sums, of which the header may be damaged.
pub(super) fn sums_of(path: &Path) -> io::Result<Sums> {
    let file = File::open(path)?;
    for number in 1..=count(&file)?.min(SAMPLE) {
        if page_sum::is_right(&read_page(&file, number)?, number) {
            return Ok(Sums::Kept);
        }
    }
    Ok(Sums::Absent)
}

/// Puts right each page of the database at `path` in which one bit changed, and returns their numbers.
pub(super) fn mend_bits(path: &Path) -> io::Result<Vec<u32>> {
    let file = File::options().read(true).write(true).open(path)?;
    let (syndromes, mut mended) = (Syndromes::new(), Vec::new());
    for number in 1..=count(&file)? {
        let mut page = read_page(&file, number)?;
        if !page_sum::is_right(&page, number) && syndromes.mend(&mut page, number) {
            file.write_all_at(&page, place(number))?;
            mended.push(number);
        }
    }
    Ok(mended)
}
