//! The frames of a stream. Behind each stands the BLAKE3 of all that came before, so that a frame which is changed, missing
//! or in another place is found where it stands, and the last one vouches for the whole stream.

use std::io::{self, Read, Write};

use super::{Opening, StreamEnd};
use crate::remote::pack::compressed;
use crate::remote::place::Packing;
use crate::remote::run::{StreamRow, decode_rows, encode_rows};
use crate::remote::{Error, Result};
use crate::types::{ChunkBytes, ChunkHash};

const MAGIC: &[u8; 8] = b"CASKSTRM";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
const OPENING: u8 = 1;
const ROWS: u8 = 2;
const CHUNKS: u8 = 3;
const END: u8 = 4;
const CHECK_BYTES: usize = blake3::OUT_LEN;
/// No frame is longer: a length that was changed takes no memory.
const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rows in a frame, and bytes of rows or of chunks from which it is full.
const FRAME_ROWS: usize = 1024;
const FRAME_BYTES: usize = 1024 * 1024;
/// Chunks in a frame at most, however small they are.
const FRAME_CHUNKS: usize = 1024;
/// Bytes of a chunk in the list before the chunks: as in the trailer of a pack.
const ENTRY_BYTES: usize = ChunkHash::LEN + 4 + 4 + 1;

/// A stream that is being written.
#[derive(Debug)]
pub struct StreamWriter<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
    rows: Vec<StreamRow>,
    rows_bytes: usize,
    entries: Vec<u8>,
    stored: Vec<u8>,
}

impl<W: Write> StreamWriter<W> {
    /// Begins one.
    ///
    /// # Errors
    /// [`Error::Host`] when it cannot be written.
    pub fn begin(out: W, opening: &Opening) -> Result<Self> {
        let mut writer = Self {
            out,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            rows: Vec::new(),
            rows_bytes: 0,
            entries: Vec::new(),
            stored: Vec::new(),
        };
        writer.write(MAGIC)?;
        writer.write(&VERSION.to_le_bytes())?;
        writer.frame_json(OPENING, opening)?;
        Ok(writer)
    }

    /// Bytes that were written.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a row, in the order of tables and keys.
    ///
    /// # Errors
    /// [`Error::Host`] when it cannot be written, [`Error::Bug`].
    pub fn row(&mut self, row: StreamRow) -> Result<()> {
        let is_other = |first: &StreamRow| first.table() != row.table();
        if self.rows.first().is_some_and(is_other) {
            self.end_rows()?;
        }
        self.rows_bytes += row.bytes();
        self.rows.push(row);
        if self.rows.len() >= FRAME_ROWS || self.rows_bytes >= FRAME_BYTES {
            self.end_rows()?;
        }
        Ok(())
    }

    /// Adds a chunk.
    ///
    /// # Errors
    /// [`Error::Host`] when it cannot be written, [`Error::Bug`].
    pub fn chunk(&mut self, hash: &ChunkHash, plain: Vec<u8>) -> Result<()> {
        let too_long = |_| Error::Bug("a chunk is too long".to_owned());
        let len = u32::try_from(plain.len()).map_err(too_long)?;
        let (packing, stored) = compressed(plain);
        let stored_len = u32::try_from(stored.len()).map_err(too_long)?;
        self.entries.extend(hash.as_bytes());
        self.entries.extend(stored_len.to_le_bytes());
        self.entries.extend(len.to_le_bytes());
        self.entries.push(packing.to_raw());
        self.stored.extend(stored);
        if self.stored.len() >= FRAME_BYTES || self.entries.len() >= FRAME_CHUNKS * ENTRY_BYTES {
            self.end_chunks()?;
        }
        Ok(())
    }

    /// Ends the stream, and hands all of it on.
    ///
    /// # Errors
    /// [`Error::Host`] when it cannot be written, [`Error::Bug`].
    pub fn finish(mut self, end: &StreamEnd) -> Result<u64> {
        self.end_chunks()?;
        self.end_rows()?;
        self.frame_json(END, end)?;
        self.out.flush().map_err(cannot_write)?;
        Ok(self.bytes)
    }

    fn end_rows(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.rows_bytes = 0;
        let Some(table) = rows.first().map(StreamRow::table) else {
            return Ok(());
        };
        let mut payload = vec![table];
        payload.extend((rows.len() as u64).to_le_bytes());
        let block = encode_rows(rows);
        payload.extend(block.ok_or_else(|| Error::Bug("rows cannot be packed".to_owned()))?);
        self.frame(ROWS, &payload)
    }

    fn end_chunks(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let count = (self.entries.len() / ENTRY_BYTES) as u64;
        let mut payload = count.to_le_bytes().to_vec();
        payload.append(&mut self.entries);
        payload.append(&mut self.stored);
        self.frame(CHUNKS, &payload)
    }

    fn frame_json(&mut self, kind: u8, value: &impl serde::Serialize) -> Result<()> {
        let payload = serde_json::to_vec(value).map_err(|e| Error::Bug(e.to_string()))?;
        self.frame(kind, &payload)
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        let len = u32::try_from(payload.len());
        let len = len.map_err(|_| Error::Bug("a frame is too long".to_owned()))?;
        self.write(&[kind])?;
        self.write(&len.to_le_bytes())?;
        self.write(payload)?;
        let check = self.hasher.finalize();
        self.write(check.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(cannot_write)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn cannot_write(error: io::Error) -> Error {
    Error::host("write the stream", error)
}

/// What a stream has next.
#[derive(Debug)]
pub enum Frame {
    /// Rows of one table.
    Rows(Vec<StreamRow>),
    /// Chunks; each has the name that its bytes have.
    Chunks(Vec<(ChunkHash, Vec<u8>)>),
    /// The stream was whole.
    End(StreamEnd),
}

/// A stream that is being read.
#[derive(Debug)]
pub struct StreamReader<R> {
    from: R,
    hasher: blake3::Hasher,
    bytes: u64,
    frames: u64,
}

impl<R: Read> StreamReader<R> {
    /// Reads how a stream begins.
    ///
    /// # Errors
    /// [`Error::NoStream`], [`Error::Newer`], [`Error::Truncated`], [`Error::Damaged`]; [`Error::Host`] when it cannot be read.
    pub fn begin(from: R) -> Result<(Self, Opening)> {
        let mut reader = Self {
            from,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            frames: 0,
        };
        let magic = match reader.array::<8>() {
            Err(Error::Truncated { bytes }) if bytes > 0 => return Err(Error::NoStream),
            magic => magic?,
        };
        if magic != *MAGIC {
            return Err(Error::NoStream);
        }
        let version = u32::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(Error::Newer {
                object: "the stream".to_owned(),
                found: version,
                known: VERSION,
            });
        }
        let (kind, payload) = reader.raw_frame()?;
        if kind != OPENING {
            return Err(reader.damaged("it does not say what it is of"));
        }
        let opening = reader.json(&payload)?;
        Ok((reader, opening))
    }

    /// Bytes that were read.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What comes next. After [`Frame::End`] nothing does.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Damaged`]; [`Error::Host`] when it cannot be read.
    pub fn frame(&mut self) -> Result<Frame> {
        let (kind, payload) = self.raw_frame()?;
        let what = || format!("it holds nothing that can be unpacked (kind {kind})");
        match kind {
            ROWS => match rows_of(&payload) {
                Some(rows) => Ok(Frame::Rows(rows)),
                None => Err(self.damaged(&what())),
            },
            CHUNKS => match chunks_of(&payload) {
                Some(chunks) => Ok(Frame::Chunks(chunks)),
                None => Err(self.damaged(&what())),
            },
            END => {
                let end = self.json(&payload)?;
                self.expect_nothing()?;
                Ok(Frame::End(end))
            }
            _ => Err(self.damaged(&what())),
        }
    }

    fn raw_frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let [kind] = self.array()?;
        let len = u32::from_le_bytes(self.array()?) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(self.damaged("it is not what was sent"));
        }
        let mut payload = vec![0; len];
        self.read(&mut payload)?;
        let expected = self.hasher.finalize();
        let check: [u8; CHECK_BYTES] = self.array()?;
        // In constant time or not: the digest keeps no secret.
        if expected != check {
            return Err(self.damaged("it is not what was sent"));
        }
        self.frames += 1;
        Ok((kind, payload))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            match self.from.read(&mut bytes[done..]) {
                Ok(0) => return Err(Error::Truncated { bytes: self.bytes }),
                Ok(count) => {
                    done += count;
                    self.bytes += count as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(cannot_read(e)),
            }
        }
        self.hasher.update(bytes);
        Ok(())
    }

    fn expect_nothing(&mut self) -> Result<()> {
        match self.from.read_exact(&mut [0]) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(e) => Err(cannot_read(e)),
            Ok(()) => Err(Error::damaged("the stream", "more follows behind its end")),
        }
    }

    fn json<T: serde::de::DeserializeOwned>(&self, payload: &[u8]) -> Result<T> {
        serde_json::from_slice(payload).map_err(|e| self.damaged(&e.to_string()))
    }

    fn damaged(&self, what: &str) -> Error {
        let object = format!(
            "the stream, in frame {} near byte {},",
            self.frames, self.bytes
        );
        Error::damaged(object, what)
    }
}

fn cannot_read(error: io::Error) -> Error {
    Error::host("read the stream", error)
}

fn rows_of(payload: &[u8]) -> Option<Vec<StreamRow>> {
    let (table, rest) = payload.split_first()?;
    let (rows, block) = rest.split_first_chunk::<8>()?;
    let rows = usize::try_from(u64::from_le_bytes(*rows)).ok()?;
    decode_rows(*table, rows, block)
}

fn chunks_of(payload: &[u8]) -> Option<Vec<(ChunkHash, Vec<u8>)>> {
    let (count, rest) = payload.split_first_chunk::<8>()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (entries, mut stored) = rest.split_at_checked(count.checked_mul(ENTRY_BYTES)?)?;
    let mut chunks = Vec::new();
    for entry in entries.chunks(ENTRY_BYTES) {
        let (hash, entry) = entry.split_first_chunk::<{ ChunkHash::LEN }>()?;
        let (stored_len, entry) = entry.split_first_chunk::<4>()?;
        let (len, packing) = entry.split_first_chunk::<4>()?;
        let bytes = stored.split_off(..u32::from_le_bytes(*stored_len) as usize)?;
        let packing = Packing::from_raw(*packing.first()?)?;
        let plain = unpacked(bytes, u32::from_le_bytes(*len), packing)?;
        let hash = ChunkHash::from_bytes(*hash);
        if ChunkHash::of(&plain) != hash {
            return None;
        }
        chunks.push((hash, plain));
    }
    stored.is_empty().then_some(chunks)
}

fn unpacked(stored: &[u8], len: u32, packing: Packing) -> Option<Vec<u8>> {
    if len == 0 || len > ChunkBytes::MAX.get() {
        return None;
    }
    let plain = match packing {
        Packing::Plain => stored.to_vec(),
        Packing::Zstd => zstd::bulk::decompress(stored, len as usize).ok()?,
    };
    (plain.len() == len as usize).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::run::HashedRow;
    use crate::remote::snapshot::VolumeFacts;
    use crate::types::{Compression, EntryRow, VolumeId, XattrRow};

    fn opening() -> Opening {
        Opening {
            volume: VolumeId::random(),
            volume_name: "db".to_owned(),
            name: "a".parse().unwrap(),
            created: 7,
            epoch: 1,
            label: String::new(),
            host: String::new(),
            facts: VolumeFacts {
                chunk_bytes: 4096,
                compression: Compression::None,
                labels: std::collections::BTreeMap::new(),
            },
            base: None,
            skipped: 0,
        }
    }

    fn chunks() -> Vec<(ChunkHash, Vec<u8>)> {
        let plain = [vec![7; 500], vec![1], (0..=255).collect()];
        plain.map(|plain| (ChunkHash::of(&plain), plain)).to_vec()
    }

    fn rows() -> Vec<StreamRow> {
        let name = |number: u64| number.to_string().into_bytes();
        let entry = |number| {
            StreamRow::Entry(EntryRow {
                parent: 1,
                name: name(number),
                ino: number,
                cookie: number + 1,
            })
        };
        let extent = |number| {
            StreamRow::Extent(HashedRow {
                ino: number,
                off: 4096,
                len: 100,
                chunk_off: 1,
                hash: ChunkHash::of(&name(number)),
            })
        };
        let xattr = StreamRow::Xattr(XattrRow {
            ino: 2,
            name: b"user.a".to_vec(),
            value: vec![9; 100],
        });
        let entries = (2..1100).map(entry);
        entries.chain((2..9).map(extent)).chain([xattr]).collect()
    }

    const END_OF: StreamEnd = StreamEnd {
        inodes: 1,
        bytes: 2,
        numbers: 3,
        chunks: 3,
    };

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::begin(&mut bytes, &opening()).unwrap();
        for (hash, plain) in chunks() {
            writer.chunk(&hash, plain).unwrap();
        }
        for row in rows() {
            writer.row(row).unwrap();
        }
        let told = writer.finish(&END_OF).unwrap();
        assert_eq!(told, bytes.len() as u64);
        bytes
    }

    type Whole = (Vec<StreamRow>, Vec<(ChunkHash, Vec<u8>)>, StreamEnd);

    fn read(bytes: &[u8]) -> Result<Whole> {
        let (mut reader, _) = StreamReader::begin(bytes)?;
        let (mut rows, mut chunks) = (Vec::new(), Vec::new());
        loop {
            match reader.frame()? {
                Frame::Rows(more) => rows.extend(more),
                Frame::Chunks(more) => chunks.extend(more),
                Frame::End(end) => return Ok((rows, chunks, end)),
            }
        }
    }

    #[test]
    fn a_stream_comes_back() {
        assert_eq!(read(&stream()).unwrap(), (rows(), chunks(), END_OF));
    }

    #[test]
    fn one_that_is_cut_or_changed_at_any_byte_or_goes_on_is_none() {
        let mut bytes = stream();
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            bytes[at] ^= 1 << (at % 8);
            assert!(read(&bytes).is_err(), "changed at {at}");
            bytes[at] ^= 1 << (at % 8);
        }
        bytes.push(0);
        assert!(read(&bytes).is_err());
    }

    #[test]
    fn frames_of_two_streams_are_not_exchanged() {
        let (one, other) = (stream(), stream());
        let at = one.len() / 2;
        let mixed = [&one[..at], &other[at..]].concat();
        assert!(one != other && read(&mixed).is_err());
    }
}
