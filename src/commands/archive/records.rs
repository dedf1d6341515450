//! The records of pax: what an extended header says of the entry behind it.

use std::collections::BTreeMap;
use std::io;

use crate::commands::archive::header::{owner, until_nul};
use crate::commands::archive::malformed::bad;
use crate::commands::archive::{XATTR, acl, read_time};
use crate::types::Timestamp;

/// A record: its key and its value, which may hold any byte.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// What records say of one entry; later ones win.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) mtime: Option<Timestamp>,
    pub(super) atime: Option<Timestamp>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) sparse: Sparse,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    acls: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What they say of holes, in the forms 0.0, 0.1 and 1.0 of GNU tar.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    pub(super) name: Option<Vec<u8>>,
    pub(super) major: u64,
    pub(super) real_size: Option<u64>,
    pieces_max: u64,
    offset: Option<u64>,
    /// Offset and length of each piece of data.
    pub(super) map: Vec<(u64, u64)>,
}

/// Each record is its own length in decimal, a space, a key, `=`, a value of any bytes, and a newline. NULs may
/// follow the last.
pub(super) fn parse(data: &[u8]) -> io::Result<Vec<Record>> {
    let broken = || bad("an extended header is broken");
    let (mut records, mut rest) = (Vec::new(), data);
    while rest.first().is_some_and(|&byte| byte != 0) {
        let space = rest
            .iter()
            .position(|&byte| byte == b' ')
            .ok_or_else(broken)?;
        let len: usize = parsed(&rest[..space]).ok_or_else(broken)?;
        let record = rest.get(space + 1..len).ok_or_else(broken)?;
        let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
        let equals = record.iter().position(|&byte| byte == b'=');
        let (key, value) = record.split_at(equals.ok_or_else(broken)?);
        if key.contains(&0) {
            return Err(broken());
        }
        records.push((key.to_vec(), value[1..].to_vec()));
        rest = &rest[len..];
    }
    Ok(records)
}

/// Decimal digits, and nothing else.
fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok()
}

impl Told {
    pub(super) fn note(&mut self, (key, value): &Record) -> io::Result<()> {
        let broken = || {
            let (key, value) = (key.escape_ascii(), value.escape_ascii());
            bad(format!("an extended header says {key}={value}"))
        };
        let number = || {
            parsed::<i64>(value)
                .map(i64::cast_unsigned)
                .ok_or_else(broken)
        };
        let id = || parsed(value).and_then(owner).ok_or_else(broken);
        let time = || {
            let text = std::str::from_utf8(value).ok();
            text.and_then(read_time).ok_or_else(broken)
        };
        let text = || until_nul(value).to_vec();
        match key.as_slice() {
            b"path" => self.path = Some(text()),
            b"linkpath" => self.link = Some(text()),
            b"mtime" => self.mtime = Some(time()?),
            b"atime" => self.atime = Some(time()?),
            b"uid" => self.uid = Some(id()?),
            b"gid" => self.gid = Some(id()?),
            b"size" => self.size = Some(number()?),
            b"GNU.sparse.name" => self.sparse.name = Some(text()),
            b"GNU.sparse.major" => self.sparse.major = number()?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = Some(number()?),
            b"GNU.sparse.numblocks" => self.sparse.begin(number()?),
            b"GNU.sparse.offset" => self.sparse.offset = Some(number()?),
            b"GNU.sparse.numbytes" => self.sparse.end_piece(number()?).ok_or_else(broken)?,
            b"GNU.sparse.map" => self.sparse.read_map(value).ok_or_else(broken)?,
            b"GNU.volume.filename" | b"GNU.volume.size" | b"GNU.volume.offset" => {
                return Err(bad(
                    "it goes on from another archive of a set: put them together first",
                ));
            }
            _ => self.note_attribute(key, value),
        }
        Ok(())
    }

    fn note_attribute(&mut self, key: &[u8], value: &[u8]) {
        if let Some(name) = key.strip_prefix(XATTR) {
            self.xattrs.insert(decoded(name), value.to_vec());
        } else if acl::KEYS.iter().any(|(known, _)| *known == key) {
            self.acls.insert(key.to_vec(), value.to_vec());
        }
    }

    /// The extended attributes, also those that are told as ACLs in text only.
    pub(super) fn attributes(&self) -> io::Result<Vec<Record>> {
        let mut attributes = self.xattrs.clone();
        for (key, name) in acl::KEYS {
            if let Some(text) = self.acls.get(key)
                && !attributes.contains_key(name)
            {
                attributes.insert(name.to_vec(), acl::attribute(text)?);
            }
        }
        Ok(attributes.into_iter().collect())
    }
}

impl Sparse {
    fn begin(&mut self, pieces: u64) {
        self.pieces_max = pieces;
        self.map.clear();
    }

    fn end_piece(&mut self, len: u64) -> Option<()> {
        let offset = self.offset.take()?;
        self.map.push((offset, len));
        (self.map.len() as u64 <= self.pieces_max).then_some(())
    }

    /// All offsets and lengths, with commas between.
    fn read_map(&mut self, text: &[u8]) -> Option<()> {
        let numbers = text.split(|&byte| byte == b',').map(parsed::<i64>);
        let numbers: Vec<i64> = numbers.collect::<Option<_>>()?;
        let (pairs, odd) = numbers.as_chunks::<2>();
        let pairs = pairs
            .iter()
            .map(|[offset, len]| (offset.cast_unsigned(), len.cast_unsigned()));
        self.map = pairs.collect();
        (odd.is_empty() && self.map.len() as u64 <= self.pieces_max).then_some(())
    }
}

/// An attribute's name, in which GNU tar writes `=` and `%` as `%3D` and `%25`.
fn decoded(name: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::new(), name);
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match after {
            [b'3', b'D', after @ ..] if byte == b'%' => (b'=', after),
            [b'2', b'5', after @ ..] if byte == b'%' => (b'%', after),
            _ => (byte, after),
        };
        decoded.push(byte);
        rest = after;
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_records_may_hold_newlines() {
        let records = parse(b"11 a=x\n=\ny\n5 b=\n\0\0").unwrap();
        let expected = [(&b"a"[..], &b"x\n=\ny"[..]), (b"b", b"")];
        assert_eq!(
            records,
            expected.map(|(key, value)| (key.to_vec(), value.to_vec()))
        );
        for broken in [
            &b"9 a=x\n"[..],
            b"x a=b\n",
            b"5 ab\n",
            b"6 a=bb",
            b"1 a=b\n",
            b"+6 a=b\n",
        ] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn names_of_attributes_are_decoded() {
        assert_eq!(decoded(b"user.a%3Db%25%2"), b"user.a=b%%2");
    }
}
