//! Writing an archive of a tree.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use tar::{Builder, EntryType, Header};

use super::{BLOCK_BYTES, XATTR, write_time};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::cli::source::{Entry, Failure, Source, read_block};
use crate::types::{FileKind, Ino};

/// What is all zeros for this long is a hole.
const HOLE_BYTES: usize = 4096;
/// The largest number that the octal fields for owners hold.
const OCTAL_ID_MAX: u32 = 0o7_777_777;
/// The largest size that the octal field for it holds.
const OCTAL_SIZE_MAX: u64 = 0o77_777_777_777;
/// Bytes of the header's fields for names.
const NAME_BYTES: usize = 100;

type Result<T> = std::result::Result<T, Failure>;
type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes the whole of `source`.
pub(in crate::cli) fn write(source: &dyn Source, out: impl Write) -> Result<()> {
    let mut writer = Writer {
        source,
        archive: Builder::new(out),
        linked: HashMap::new(),
        progress: Progress::start("exporting"),
    };
    writer.entry(&source.root()?)?;
    writer.archive.into_inner()?.flush()?;
    Ok(())
}

struct Writer<'s, W: Write> {
    source: &'s dyn Source,
    archive: Builder<W>,
    /// Where files of several names are by now.
    linked: HashMap<Ino, Vec<u8>>,
    progress: Progress,
}

impl<W: Write> Writer<'_, W> {
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.one(entry).map_err(|e| e.at(&entry.path))?;
        if entry.attr.kind == FileKind::Directory {
            for (_, child) in self.source.children(entry)? {
                self.entry(&child)?;
            }
        }
        Ok(())
    }

    fn one(&mut self, entry: &Entry) -> Result<()> {
        let (attr, path) = (&entry.attr, path_of(entry));
        if attr.nlink > 1 && attr.kind != FileKind::Directory {
            if let Some(first) = self.linked.get(&attr.ino).cloned() {
                let header = header(entry, EntryType::Link);
                return self.append(header, &path, Some(&first), Records::new(), io::empty());
            }
            self.linked.insert(attr.ino, path.clone());
        }
        let kind = match attr.kind {
            FileKind::File => return self.file(entry, &path),
            FileKind::Directory => EntryType::Directory,
            FileKind::Symlink => EntryType::Symlink,
            FileKind::Fifo => EntryType::Fifo,
            FileKind::CharDevice => EntryType::Char,
            FileKind::BlockDevice => EntryType::Block,
            FileKind::Socket => {
                output::warn(&format!(
                    "{}: a tar archive holds no sockets",
                    entry.path.display()
                ));
                return Ok(());
            }
        };
        let target = match attr.kind {
            FileKind::Symlink => Some(self.source.target(entry)?),
            _ => None,
        };
        let records = self.records(entry)?;
        self.append(
            header(entry, kind),
            &path,
            target.as_deref(),
            records,
            io::empty(),
        )
    }

    fn file(&mut self, entry: &Entry, path: &[u8]) -> Result<()> {
        let mut records = self.records(entry)?;
        let mut header = header(entry, EntryType::Regular);
        let size = entry.attr.size;
        let runs = if entry.attr.allocated < size {
            self.data_runs(entry)?
        } else {
            std::iter::once(0..size).collect()
        };
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
            entry,
            runs,
            block: io::Cursor::default(),
        };
        self.append(header, path, None, records, map.as_slice().chain(data))
    }

    fn records(&self, entry: &Entry) -> Result<Records> {
        let mut records = Records::new();
        let mut record = |key: &[u8], value: &[u8]| records.push((key.to_vec(), value.to_vec()));
        let attr = &entry.attr;
        record(b"mtime", write_time(attr.mtime).as_bytes());
        record(b"atime", write_time(attr.atime).as_bytes());
        for (key, id) in [("uid", attr.uid), ("gid", attr.gid)] {
            if id > OCTAL_ID_MAX {
                record(key.as_bytes(), id.to_string().as_bytes());
            }
        }
        for (name, value) in self.source.xattrs(entry)? {
            record(&[XATTR, &name].concat(), &value);
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
        let progress = &self.progress;
        self.archive.append(&header, Counted { data, progress })?;
        Ok(())
    }

    /// An extended header; the crate's own takes keys of text only.
    fn append_records(&mut self, records: &Records) -> Result<()> {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut len = rest + 1;
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

    /// Where a file has bytes that are not zero, rounded to blocks.
    fn data_runs(&self, entry: &Entry) -> Result<Vec<Range<u64>>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut offset = 0;
        while offset < entry.attr.size {
            let bytes = read_block(self.source, entry, offset)?;
            if bytes.is_empty() {
                break;
            }
            for block in bytes.chunks(HOLE_BYTES) {
                let end = offset + block.len() as u64;
                if block.iter().any(|&byte| byte != 0) {
                    match runs.last_mut().filter(|run| run.end == offset) {
                        Some(run) => run.end = end,
                        None => runs.push(offset..end),
                    }
                }
                offset = end;
            }
        }
        Ok(runs)
    }
}

/// As it is called in the archive; a directory ends in a slash.
fn path_of(entry: &Entry) -> Vec<u8> {
    let mut path = entry.path.as_os_str().as_bytes().to_vec();
    if path.is_empty() {
        path.push(b'.');
    }
    if entry.attr.kind == FileKind::Directory {
        path.push(b'/');
    }
    path
}

fn header(entry: &Entry, kind: EntryType) -> Header {
    let attr = &entry.attr;
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(attr.mode);
    let octal = |id: u32| u64::from(if id > OCTAL_ID_MAX { 0 } else { id });
    header.set_uid(octal(attr.uid));
    header.set_gid(octal(attr.gid));
    header.set_size(0);
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
    entry: &'s Entry,
    runs: Vec<Range<u64>>,
    block: io::Cursor<Vec<u8>>,
}

impl Read for Runs<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.block.read(buffer)?;
        if len > 0 {
            return Ok(len);
        }
        self.runs.retain(|run| !run.is_empty());
        let Some(run) = self.runs.first_mut() else {
            return Ok(0);
        };
        let bytes = read_block(self.source, self.entry, run.start);
        let mut bytes = bytes.map_err(io::Error::other)?;
        bytes.truncate(usize::try_from(run.end - run.start).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            return Err(io::Error::other("the file is shorter than it was"));
        }
        run.start += bytes.len() as u64;
        self.block = io::Cursor::new(bytes);
        self.block.read(buffer)
    }
}

struct Counted<'p, R> {
    data: R,
    progress: &'p Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.data.read(buffer)?;
        self.progress.add(len);
        Ok(len)
    }
}
