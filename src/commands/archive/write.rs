//! Writing an archive of a tree.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use tar::{Builder, EntryType, Header};

use crate::commands::archive::{BLOCK_BYTES, XATTR, write_time};
use crate::commands::source::{
    BLOCK_BYTES as READ_BYTES, Entry, Failure, Place, Source, Visitor, read_block, runs, walk,
};
use crate::types::{Attr, FileKind, Ino};

/// Holes begin and end at a multiple of this.
const HOLE_BYTES: u64 = 4096;
/// The largest number that the octal fields for owners hold.
const OCTAL_ID_MAX: u32 = 0o7_777_777;
/// The largest size that the octal field for it holds.
const OCTAL_SIZE_MAX: u64 = 0o77_777_777_777;
/// Bytes of the header's fields for names.
const NAME_BYTES: usize = 100;

type Result<T> = std::result::Result<T, Failure>;
type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes what is at `top` in `source`, and tells of the bytes as they go. Names in the archive
/// begin with the own name of `top`.
pub(crate) fn write(
    source: &dyn Source,
    top: &Entry,
    out: impl Write,
    told: &dyn Fn(usize),
) -> Result<()> {
    let mut writer = Writer {
        source,
        archive: Builder::new(out),
        linked: HashMap::new(),
        above: top.path.parent().unwrap_or(&top.path).to_owned(),
        told,
    };
    walk(source, top, &mut writer)?;
    writer.archive.into_inner()?.flush()?;
    Ok(())
}

struct Writer<'s, W: Write> {
    source: &'s dyn Source,
    archive: Builder<W>,
    /// Where files of several names are by now.
    linked: HashMap<Ino, Vec<u8>>,
    /// What leads to where the archive begins.
    above: PathBuf,
    told: &'s dyn Fn(usize),
}

impl<W: Write> Visitor for Writer<'_, W> {
    fn enter(&mut self, place: &Place<'_>) -> Result<()> {
        let records = self.records(place.attr)?;
        let header = header(place.attr, EntryType::Directory);
        self.append(header, &self.path_of(place), None, records, io::empty())
    }

    fn leave(&mut self, _: &Place<'_>) -> Result<()> {
        Ok(())
    }

    fn visit(&mut self, place: &Place<'_>) -> Result<()> {
        let (attr, path) = (place.attr, self.path_of(place));
        if attr.nlink > 1 {
            if let Some(first) = self.linked.get(&attr.ino).cloned() {
                let header = header(attr, EntryType::Link);
                return self.append(header, &path, Some(&first), Records::new(), io::empty());
            }
            self.linked.insert(attr.ino, path.clone());
        }
        let kind = match attr.kind {
            FileKind::File => return self.file(attr, &path),
            FileKind::Directory => EntryType::Directory,
            FileKind::Symlink => EntryType::Symlink,
            FileKind::Fifo => EntryType::Fifo,
            FileKind::CharDevice => EntryType::Char,
            FileKind::BlockDevice => EntryType::Block,
            FileKind::Socket => {
                let path = place.path.display();
                log::warn!("{path}: a tar archive holds no sockets");
                return Ok(());
            }
        };
        let target = match attr.kind {
            FileKind::Symlink => Some(self.source.target(attr.ino)?),
            _ => None,
        };
        let records = self.records(attr)?;
        let header = header(attr, kind);
        self.append(header, &path, target.as_deref(), records, io::empty())
    }
}

impl<W: Write> Writer<'_, W> {
    fn file(&mut self, attr: &Attr, path: &[u8]) -> Result<()> {
        let mut records = self.records(attr)?;
        let mut header = header(attr, EntryType::Regular);
        let size = attr.size;
        let runs = in_blocks(&runs(self.source, attr)?, size);
        let whole = runs.len() == 1 && runs[0] == (0..size) || size == 0;
        let (map, len) = if whole {
            (Vec::new(), size)
        } else {
            let text = |text: &str| text.as_bytes().to_vec();
            records.push((text("GNU.sparse.major"), text("1")));
            records.push((text("GNU.sparse.minor"), text("0")));
            records.push((text("GNU.sparse.name"), path.to_vec()));
            records.push((text("GNU.sparse.realsize"), text(&size.to_string())));
            let map = sparse_map(&runs, size);
            let data: u64 = runs.iter().map(|run| run.end - run.start).sum();
            let len = map.len() as u64 + data;
            (map, len)
        };
        if len > OCTAL_SIZE_MAX {
            records.push((b"size".to_vec(), len.to_string().into_bytes()));
        }
        header.set_size(len);
        let data = Runs {
            source: self.source,
            attr,
            runs: runs.into(),
            block: io::Cursor::default(),
        };
        self.append(header, path, None, records, map.as_slice().chain(data))
    }

    /// As it is called in the archive; a directory ends in a slash.
    fn path_of(&self, place: &Place<'_>) -> Vec<u8> {
        let path = place.path.strip_prefix(&self.above).unwrap_or(place.path);
        let mut path = path.as_os_str().as_bytes().to_vec();
        if path.is_empty() {
            path.push(b'.');
        }
        if place.attr.kind == FileKind::Directory {
            path.push(b'/');
        }
        path
    }

    fn records(&self, attr: &Attr) -> Result<Records> {
        let mut records = Records::new();
        let mut record = |key: &[u8], value: &[u8]| records.push((key.to_vec(), value.to_vec()));
        record(b"mtime", write_time(attr.mtime).as_bytes());
        record(b"atime", write_time(attr.atime).as_bytes());
        for (key, id) in [("uid", attr.uid), ("gid", attr.gid)] {
            if id > OCTAL_ID_MAX {
                record(key.as_bytes(), id.to_string().as_bytes());
            }
        }
        for (name, value) in self.source.xattrs(attr.ino)? {
            record(&[XATTR, &encoded(&name)].concat(), &value);
        }
        Ok(records)
    }

    fn append(
        &mut self,
        mut header: Header,
        path: &[u8],
        link: Option<&[u8]>,
        mut records: Records,
        data: impl Read,
    ) -> Result<()> {
        if path.len() > NAME_BYTES || !path.is_ascii() {
            records.push((b"path".to_vec(), path.to_vec()));
        }
        if let Some(link) = link.filter(|link| link.len() > NAME_BYTES || !link.is_ascii()) {
            records.push((b"linkpath".to_vec(), link.to_vec()));
        }
        if let Some(fields) = header.as_ustar_mut() {
            fill(&mut fields.name, path);
            fill(&mut fields.linkname, link.unwrap_or_default());
        }
        header.set_cksum();
        self.append_records(&records)?;
        let told = self.told;
        self.archive.append(&header, Counted { data, told })?;
        Ok(())
    }

    /// An extended header; the crate's own takes keys of text only.
    fn append_records(&mut self, records: &Records) -> Result<()> {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut len = rest + 1;
            // A record's length counts its own digits.
            while rest + len.to_string().len() != len {
                len = rest + len.to_string().len();
            }
            data.extend(len.to_string().into_bytes());
            data.extend([b" ".as_slice(), key, b"=", value, b"\n"].concat());
        }
        if data.is_empty() {
            return Ok(());
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(data.len() as u64);
        header.set_cksum();
        Ok(self.archive.append(&header, data.as_slice())?)
    }
}

/// The same, rounded to blocks of a filesystem: GNU tar's map knows no shorter runs but at the end.
fn in_blocks(runs: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let mut rounded: Vec<Range<u64>> = Vec::new();
    for run in runs {
        let start = run.start - run.start % HOLE_BYTES;
        let end = run.end.next_multiple_of(HOLE_BYTES).min(size);
        match rounded.last_mut().filter(|last| last.end >= start) {
            Some(last) => last.end = last.end.max(end),
            None => rounded.push(start..end),
        }
    }
    rounded
}

/// An attribute's name as GNU tar writes it: a key ends at the first `=`.
fn encoded(name: &[u8]) -> Vec<u8> {
    let byte = |byte: &u8| match byte {
        b'%' => b"%25".to_vec(),
        b'=' => b"%3D".to_vec(),
        &other => vec![other],
    };
    name.iter().flat_map(byte).collect()
}

fn header(attr: &Attr, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(attr.mode);
    let octal = |id: u32| u64::from(if id > OCTAL_ID_MAX { 0 } else { id });
    header.set_uid(octal(attr.uid));
    header.set_gid(octal(attr.gid));
    header.set_size(0);
    // As far as octal digits go: the record has all of it.
    header.set_mtime(
        u64::try_from(attr.mtime.secs())
            .unwrap_or(0)
            .min(OCTAL_SIZE_MAX),
    );
    let (major, minor) = (
        rustix::fs::major(attr.rdev.into()),
        rustix::fs::minor(attr.rdev.into()),
    );
    if matches!(kind, EntryType::Char | EntryType::Block)
        && let Some(fields) = header.as_ustar_mut()
    {
        fields.set_device_major(major);
        fields.set_device_minor(minor);
    }
    header
}

fn fill(field: &mut [u8; NAME_BYTES], text: &[u8]) {
    let len = text.len().min(NAME_BYTES);
    field[..len].copy_from_slice(&text[..len]);
}

/// Before the data: how many runs there are, offset and length of each, padded to a block. The last, an
/// empty one at the end, tells GNU tar the size.
fn sparse_map(runs: &[Range<u64>], size: u64) -> Vec<u8> {
    let mut map = format!("{}\n", runs.len() + 1);
    for run in runs.iter().chain([&(size..size)]) {
        map.push_str(&format!("{}\n{}\n", run.start, run.end - run.start));
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK_BYTES), 0);
    map
}

/// The bytes of a file in these runs, one after the other.
struct Runs<'s> {
    source: &'s dyn Source,
    attr: &'s Attr,
    runs: VecDeque<Range<u64>>,
    block: io::Cursor<Vec<u8>>,
}

impl Runs<'_> {
    /// The next bytes; nothing at the end.
    fn next_block(&mut self) -> Result<Vec<u8>> {
        while self.runs.front().is_some_and(Range::is_empty) {
            self.runs.pop_front();
        }
        let Some(run) = self.runs.front_mut() else {
            return Ok(Vec::new());
        };
        let left = usize::try_from(run.end - run.start).unwrap_or(usize::MAX);
        let mut bytes = read_block(self.source, self.attr, run.start, left)?;
        if bytes.is_empty() {
            if !self.source.is_live() {
                return Err(io::Error::other("the file is shorter than it was").into());
            }
            // The header says how many there are, and is written.
            log::warn!("a file became shorter while it was read: it is filled up with zeros");
            bytes = vec![0; left.min(READ_BYTES)];
        }
        run.start += bytes.len() as u64;
        Ok(bytes)
    }
}

impl Read for Runs<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.block.read(buffer)?;
        if len > 0 {
            return Ok(len);
        }
        let bytes = self.next_block().map_err(io::Error::other)?;
        self.block = io::Cursor::new(bytes);
        self.block.read(buffer)
    }
}

struct Counted<'p, R> {
    data: R,
    told: &'p dyn Fn(usize),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.data.read(buffer)?;
        (self.told)(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_rounded_to_blocks_and_joined() {
        let rounded = in_blocks(&[1..2, 4097..5000, 20_000..20_001], 20_001);
        assert_eq!(rounded, [0..8192, 16_384..20_001]);
        assert_eq!(in_blocks(&[], 5), [0..0; 0]);
    }
}
