//! Reading an archive, one entry after the other.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;

use tar::{EntryType, Header};

use super::{BLOCK_BYTES, XATTR, acl, read_time};
use crate::types::Timestamp;

/// The longest extended header or name that is believed.
const RECORDS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An archive that is being read.
pub(in crate::cli) struct Reader<R> {
    input: R,
    /// Bytes of the present entry that were not read, and its padding.
    left: u64,
    padding: u64,
}

/// What an archive says of one entry. Its data follows: [`Reader::data`].
pub(in crate::cli) struct Item {
    /// Its path as it stands there.
    pub(in crate::cli) path: Vec<u8>,
    /// Where a link leads.
    pub(in crate::cli) link: Vec<u8>,
    pub(in crate::cli) kind: EntryType,
    pub(in crate::cli) mode: u32,
    pub(in crate::cli) uid: u32,
    pub(in crate::cli) gid: u32,
    pub(in crate::cli) mtime: Timestamp,
    pub(in crate::cli) atime: Timestamp,
    pub(in crate::cli) device: (u32, u32),
    pub(in crate::cli) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the file.
    pub(in crate::cli) size: u64,
    /// Where the data that follows belongs.
    pub(in crate::cli) runs: Vec<Range<u64>>,
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

pub(super) fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl<R: Read> Reader<R> {
    pub(in crate::cli) fn new(input: R) -> Self {
        Self {
            input,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry; none at the end of the archive.
    pub(in crate::cli) fn next(&mut self) -> io::Result<Option<Item>> {
        let mut records = Records::new();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = match text(&records, "size") {
                Some(size) => size.parse().map_err(|_| bad("a size is no number"))?,
                None => header.entry_size()?,
            };
            self.left = size;
            self.padding = size.next_multiple_of(BLOCK_BYTES as u64) - size;
            let mut named = |key: &str, data: Vec<u8>| {
                let end = data
                    .iter()
                    .position(|&byte| byte == 0)
                    .unwrap_or(data.len());
                records.insert(key.as_bytes().to_vec(), data[..end].to_vec());
            };
            match header.entry_type() {
                EntryType::XHeader => parse_records(&self.whole()?, &mut records)?,
                EntryType::GNULongName => named("path", self.whole()?),
                EntryType::GNULongLink => named("linkpath", self.whole()?),
                EntryType::XGlobalHeader => {}
                EntryType::GNUSparse => {
                    return Err(bad(
                        "a file with holes is in GNU tar's old form; make the archive with --format=posix",
                    ));
                }
                _ => return self.item(&header, &records, size).map(Some),
            }
        }
    }

    /// At most a buffer full of the present entry's data; nothing at its end.
    pub(in crate::cli) fn data(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        self.input.read_exact(&mut buffer[..wanted])?;
        self.left -= wanted as u64;
        Ok(wanted)
    }

    fn item(&mut self, header: &Header, records: &Records, size: u64) -> io::Result<Item> {
        let (size, runs) = self.layout(records, size)?;
        let own = |key: &str| records.get(key.as_bytes()).cloned();
        let id = |key: &str, field: io::Result<u64>| match text(records, key) {
            Some(id) => id.parse().map_err(|_| bad("an owner is no number")),
            None => {
                field.and_then(|id| u32::try_from(id).map_err(|_| bad("an owner is too large")))
            }
        };
        let time = |key: &str| text(records, key).and_then(read_time);
        let seconds = Timestamp::new(i64::try_from(header.mtime()?).unwrap_or(i64::MAX), 0);
        let mtime = time("mtime").unwrap_or(seconds);
        Ok(Item {
            path: own("GNU.sparse.name")
                .or_else(|| own("path"))
                .unwrap_or_else(|| header.path_bytes().into_owned()),
            link: own("linkpath")
                .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .unwrap_or_default(),
            kind: header.entry_type(),
            mode: header.mode()?,
            uid: id("uid", header.uid())?,
            gid: id("gid", header.gid())?,
            mtime,
            atime: time("atime").unwrap_or(mtime),
            device: (
                header.device_major().ok().flatten().unwrap_or(0),
                header.device_minor().ok().flatten().unwrap_or(0),
            ),
            xattrs: attributes(records)?,
            size,
            runs,
        })
    }

    /// The size of a file, and where its data belongs: in a file with holes the archive says so.
    fn layout(&mut self, records: &Records, size: u64) -> io::Result<(u64, Vec<Range<u64>>)> {
        let number = |text: &str| {
            text.parse::<u64>()
                .map_err(|_| bad("a map of holes is broken"))
        };
        let realsize = text(records, "GNU.sparse.realsize").or(text(records, "GNU.sparse.size"));
        let numbers = if text(records, "GNU.sparse.major") == Some("1") {
            self.sparse_map()?
        } else if let Some(map) = text(records, "GNU.sparse.map") {
            map.split(',').map(number).collect::<io::Result<_>>()?
        } else {
            return Ok((size, std::iter::once(0..size).collect()));
        };
        let realsize = number(realsize.unwrap_or_default())?;
        let mut runs = Vec::new();
        for &[start, len] in numbers.as_chunks::<2>().0 {
            let end = start.checked_add(len).filter(|&end| end <= realsize);
            runs.push(start..end.ok_or_else(|| bad("a map of holes leads out of its file"))?);
        }
        Ok((realsize, runs))
    }

    /// The map before the data: a number a line, the first of which says how many pairs follow.
    fn sparse_map(&mut self) -> io::Result<Vec<u64>> {
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
                    _ => break,
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
        Ok(numbers)
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK_BYTES];
        match self.input.read_exact(&mut block) {
            // Many archives end without the two blocks of zeros that should be there.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            outcome => outcome?,
        }
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(i, &byte)| u32::from(if (148..156).contains(&i) { b' ' } else { byte }))
            .sum();
        if header.cksum()? != sum {
            return Err(bad("this is no tar archive, or it is damaged"));
        }
        Ok(Some(header))
    }

    fn whole(&mut self) -> io::Result<Vec<u8>> {
        if self.left > RECORDS_BYTES_MAX {
            return Err(bad("an extended header is too long"));
        }
        let mut data = vec![0; usize::try_from(self.left).unwrap_or(0)];
        self.data(&mut data)?;
        Ok(data)
    }

    fn skip(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.left) + std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut (&mut self.input).take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// The extended attributes, also those that are told as ACLs in text only.
fn attributes(records: &Records) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let told = records.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(XATTR)?;
        Some((name.to_vec(), value.clone()))
    });
    let mut attributes: BTreeMap<_, _> = told.collect();
    for (key, name) in acl::KEYS {
        if let Some(text) = records.get(key)
            && !attributes.contains_key(name)
        {
            attributes.insert(name.to_vec(), acl::attribute(text)?);
        }
    }
    Ok(attributes.into_iter().collect())
}

fn text<'r>(records: &'r Records, key: &str) -> Option<&'r str> {
    std::str::from_utf8(records.get(key.as_bytes())?).ok()
}

/// Each record is its own length in decimal, a space, a key, `=`, a value of any bytes, and a newline.
fn parse_records(data: &[u8], records: &mut Records) -> io::Result<()> {
    let broken = || bad("an extended header is broken");
    let mut rest = data;
    while !rest.is_empty() {
        let space = rest
            .iter()
            .position(|&byte| byte == b' ')
            .ok_or_else(broken)?;
        let len = std::str::from_utf8(&rest[..space]).ok();
        let len: usize = len.and_then(|len| len.parse().ok()).ok_or_else(broken)?;
        let record = rest.get(space + 1..len).ok_or_else(broken)?;
        let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
        let equals = record
            .iter()
            .position(|&byte| byte == b'=')
            .ok_or_else(broken)?;
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        rest = &rest[len..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_records_may_hold_newlines() {
        let mut records = Records::new();
        parse_records(b"11 a=x\n=\ny\n5 b=\n", &mut records).unwrap();
        assert_eq!(records[&b"a"[..]], b"x\n=\ny");
        assert_eq!(records[&b"b"[..]], b"");
        for broken in [
            &b"9 a=x\n"[..],
            b"x a=b\n",
            b"5 ab\n",
            b"6 a=bb",
            b"1 a=b\n",
        ] {
            assert!(parse_records(broken, &mut records).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [vec![b'x'; 2048], vec![1; 512]] {
            assert!(Reader::new(bytes.as_slice()).next().is_err());
        }
        assert!(Reader::new(&[0; 1024][..]).next().unwrap().is_none());
    }
}
