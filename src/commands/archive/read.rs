//! Reading an archive, one entry after the other: what GNU tar extracts, or an error.

use std::io::{self, Read};
use std::ops::Range;

use crate::commands::archive::BLOCK_BYTES;
use crate::commands::archive::header::{Form, Header, size, until_nul};
use crate::commands::archive::malformed::bad;
use crate::commands::archive::records::{Record, Told, parse};
use crate::types::Timestamp;

/// The longest extended header or name that is believed.
const RECORDS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a piece of a map in GNU tar's old form, and of all in a block of its own.
const PIECE_BYTES: usize = 24;
const PIECES_BYTES: usize = 21 * PIECE_BYTES;

/// An archive that is being read.
pub(crate) struct Reader<R> {
    input: R,
    /// Bytes of the present entry that were not read, and its padding.
    left: u64,
    padding: u64,
    /// What is said of all entries from here on.
    global: Vec<Record>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    File,
    /// Of a type that nobody knows: extracted as a file, as POSIX says.
    Stranger(u8),
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
    /// A label, which is no file.
    Label,
}

/// What an archive says of one entry. Its data follows: [`Reader::data`].
pub(crate) struct Item {
    /// Its path as it stands there.
    pub(crate) path: Vec<u8>,
    /// Where a link leads.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: ItemKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    pub(crate) atime: Timestamp,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Where the data that follows belongs.
    pub(crate) runs: Vec<Range<u64>>,
}

/// What comes before a header and is about it.
#[derive(Default)]
struct Before {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: Vec<Record>,
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut short")
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            left: 0,
            padding: 0,
            global: Vec::new(),
        }
    }

    /// The next entry; none at the end of the archive.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item>> {
        let mut before = Before::default();
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            let Some(header) = Header::parse(block)? else {
                return Ok(None);
            };
            match header.kind() {
                b'x' | b'X' => before.records = parse(&self.whole(&header)?)?,
                b'g' => self.global = parse(&self.whole(&header)?)?,
                b'L' => before.long_name = Some(self.name(&header)?),
                b'K' => before.long_link = Some(self.name(&header)?),
                b'M' => {
                    return Err(bad(
                        "it goes on from another archive of a set: put them together first",
                    ));
                }
                _ => return self.item(&header, before).map(Some),
            }
        }
    }

    /// At most a buffer full of the present entry's data; nothing at its end.
    pub(crate) fn data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        self.input
            .read_exact(&mut buffer[..wanted])
            .map_err(ended)?;
        self.left -= wanted as u64;
        Ok(wanted)
    }

    fn item(&mut self, header: &Header, before: Before) -> io::Result<Item> {
        let mut told = Told::default();
        // Of what one global header says twice, GNU tar believes the first, of others the last.
        for record in self.global.iter().rev().chain(&before.records) {
            told.note(record)?;
        }
        let own = told.path.take().or(before.long_name);
        let path = told
            .sparse
            .name
            .take()
            .or(own)
            .unwrap_or_else(|| header.path());
        let link = told.link.take().or(before.long_link);
        let kind = kind_of(header, &path);
        let said = header.size()?;
        self.begin(match kind {
            ItemKind::File | ItemKind::Stranger(_) | ItemKind::Label => told.size.unwrap_or(said),
            ItemKind::Directory if header.kind() == b'D' => told.size.unwrap_or(said),
            // Older programs gave a size here, too; no data follows.
            _ => 0,
        });
        let (size, runs) = self.layout(header, &told)?;
        let device = match kind {
            ItemKind::CharDevice | ItemKind::BlockDevice => header.device()?,
            _ => (0, 0),
        };
        let (uid, gid) = header.owners();
        let mtime = match told.mtime {
            Some(mtime) => mtime,
            None => Timestamp::new(header.mtime()?, 0),
        };
        Ok(Item {
            path,
            link: link.unwrap_or_else(|| header.link()),
            kind,
            mode: header.mode()?,
            uid: told.uid.map_or(uid, Ok)?,
            gid: told.gid.map_or(gid, Ok)?,
            mtime,
            atime: told.atime.unwrap_or(mtime),
            device,
            xattrs: told.attributes()?,
            size,
            runs,
        })
    }

    /// The size of a file, and where its data belongs: in a file with holes the archive says so.
    fn layout(&mut self, header: &Header, told: &Told) -> io::Result<(u64, Vec<Range<u64>>)> {
        let sparse = &told.sparse;
        let (real_size, map) = if header.kind() == b'S' {
            if header.form() != Form::Gnu {
                return Err(bad("a file with holes is in a form that is not known"));
            }
            (Some(header.real_size()?), self.old_map(header)?)
        } else if sparse.major > 0 {
            (sparse.real_size, self.map()?)
        } else if !sparse.map.is_empty() {
            (sparse.real_size, sparse.map.clone())
        } else {
            let size = self.left;
            if sparse.real_size.is_some_and(|real| real != size) {
                return Err(bad("a file with holes has no map of them"));
            }
            return Ok((size, std::iter::once(0..size).collect()));
        };
        let real_size = real_size.unwrap_or(self.left);
        Ok((real_size, placed(&map, real_size, self.left)?))
    }

    /// The map in a header of GNU tar's old form, and in the blocks behind it, which its size does not count.
    fn old_map(&mut self, header: &Header) -> io::Result<Vec<(u64, u64)>> {
        let mut map = Vec::new();
        let (pieces, mut goes_on) = header.sparse();
        let mut is_whole = add_pieces(pieces, &mut map)?;
        while is_whole && goes_on {
            let block = self.block()?.ok_or_else(cut_short)?;
            is_whole = add_pieces(&block[..PIECES_BYTES], &mut map)?;
            goes_on = block[PIECES_BYTES] != 0;
        }
        Ok(map)
    }

    /// The map before the data: a number a line, the first of which says how many pairs follow.
    fn map(&mut self) -> io::Result<Vec<(u64, u64)>> {
        let broken = || bad("a map of holes is broken");
        let (mut numbers, mut text, mut wanted) = (Vec::new(), String::new(), None);
        while wanted.is_none_or(|wanted| numbers.len() < wanted) {
            let mut block = [0; BLOCK_BYTES];
            if self.data(&mut block)? < BLOCK_BYTES {
                return Err(broken());
            }
            for &byte in &block {
                match byte {
                    b'\n' => numbers.push(text.parse::<u64>().map_err(|_| broken())?),
                    byte if byte.is_ascii_digit() => {
                        text.push(char::from(byte));
                        continue;
                    }
                    _ => return Err(broken()),
                }
                text.clear();
                if wanted.is_none() {
                    let pairs = numbers.pop().and_then(|n| usize::try_from(n).ok());
                    wanted = Some(pairs.and_then(|n| n.checked_mul(2)).ok_or_else(broken)?);
                }
                if wanted.is_some_and(|wanted| numbers.len() >= wanted) {
                    break;
                }
            }
        }
        let (pairs, _) = numbers.as_chunks::<2>();
        Ok(pairs.iter().map(|&[offset, len]| (offset, len)).collect())
    }

    /// The next block; none at the end of the input.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
        let mut block = [0; BLOCK_BYTES];
        let mut len = 0;
        while len < BLOCK_BYTES {
            match self.input.read(&mut block[len..]) {
                // Many archives end without the two blocks of zeros that should be there.
                Ok(0) if len == 0 => return Ok(None),
                Ok(0) => return Err(cut_short()),
                Ok(more) => len += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Some(block))
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK_BYTES as u64) - size;
    }

    fn whole(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        self.begin(header.size()?);
        if self.left > RECORDS_BYTES_MAX {
            return Err(bad("an extended header is too long"));
        }
        let mut data = vec![0; usize::try_from(self.left).unwrap_or(0)];
        self.data(&mut data)?;
        Ok(data)
    }

    fn name(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        Ok(until_nul(&self.whole(header)?).to_vec())
    }

    fn skip(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.left).saturating_add(std::mem::take(&mut self.padding));
        let skipped = io::copy(&mut (&mut self.input).take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(cut_short());
        }
        Ok(())
    }
}

fn ended(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => cut_short(),
        _ => e,
    }
}

fn kind_of(header: &Header, path: &[u8]) -> ItemKind {
    match header.kind() {
        // So did the first tar have it.
        0 | b'0' | b'7' if path.ends_with(b"/") => ItemKind::Directory,
        0 | b'0' | b'7' | b'S' => ItemKind::File,
        b'1' => ItemKind::HardLink,
        b'2' => ItemKind::Symlink,
        b'3' => ItemKind::CharDevice,
        b'4' => ItemKind::BlockDevice,
        b'5' | b'D' => ItemKind::Directory,
        b'6' => ItemKind::Fifo,
        b'V' => ItemKind::Label,
        other => ItemKind::Stranger(other),
    }
}

/// Adds pieces to a map of the old form; whether more may follow.
fn add_pieces(pieces: &[u8], map: &mut Vec<(u64, u64)>) -> io::Result<bool> {
    for piece in pieces.chunks_exact(PIECE_BYTES) {
        let (offset, len) = piece.split_at(PIECE_BYTES / 2);
        if len[0] == 0 {
            return Ok(false);
        }
        map.push((size(offset)?, size(len)?));
    }
    Ok(true)
}

/// The runs of a map. Programs read one differently that is not in order, has runs in the middle that end within a
/// block, or does not fit the data: such a one is refused.
fn placed(map: &[(u64, u64)], real_size: u64, data: u64) -> io::Result<Vec<Range<u64>>> {
    let broken = || bad("a map of holes makes no sense");
    let (mut runs, mut sum, mut end) = (Vec::new(), 0_u64, 0);
    for &(offset, len) in map {
        if offset < end || !sum.is_multiple_of(BLOCK_BYTES as u64) && len > 0 {
            return Err(broken());
        }
        end = offset.checked_add(len).ok_or_else(broken)?;
        sum = sum.checked_add(len).ok_or_else(broken)?;
        runs.push(offset..end);
    }
    // GNU tar gives the file the size at which its map ends.
    if end != real_size || sum != data {
        return Err(broken());
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [vec![b'x'; 2048], vec![1; 512], vec![1; 100]] {
            assert!(Reader::new(bytes.as_slice()).next().is_err());
        }
        assert!(Reader::new(&[0; 1024][..]).next().unwrap().is_none());
        let compressed = [b"\x1f\x8b".as_slice(), &[7; 600]].concat();
        let said = Reader::new(compressed.as_slice()).next().err().unwrap();
        assert!(said.to_string().contains("gzip -d"), "{said}");
    }

    #[test]
    fn maps_that_programs_read_differently_are_refused() {
        assert_eq!(
            placed(&[(0, 512), (1024, 5)], 1029, 517).unwrap(),
            [0..512, 1024..1029]
        );
        assert_eq!(
            placed(&[(512, 5), (1000, 0)], 1000, 5).unwrap(),
            [512..517, 1000..1000]
        );
        for (map, size, data) in [
            (vec![(0, 5), (512, 5)], 517, 10),
            (vec![(512, 512), (0, 512)], 1024, 1024),
            (vec![(0, 512)], 1024, 512),
            (vec![(0, 512)], 512, 1024),
            (vec![(u64::MAX, 512)], 512, 512),
        ] {
            assert!(placed(&map, size, data).is_err(), "{map:?}");
        }
    }
}
