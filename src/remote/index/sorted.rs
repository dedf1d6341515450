//! Sorted entries of an index, in a file that is searched where it lies.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::remote::object::ObjectId;
use crate::remote::pack_list::{self, PLACE_BYTES, PackList};
use crate::remote::place::Place;
use crate::remote::{Error, Result};
use crate::types::ChunkHash;

/// Bytes of an entry: hash, and where the chunk is.
const ENTRY_BYTES: usize = ChunkHash::LEN + PLACE_BYTES;
/// Entries between two that are held in memory.
const STRIDE: usize = 64;
/// Bytes of the hash that a kept file begins with: a place that rotted must not be sent.
const SUM_BYTES: usize = 32;

/// Bytes of entries that are held in memory where they are: those of some 5000 chunks.
const SMALL_BYTES: usize = 256 * 1024;
/// Bytes of all of these.
const MEMORY_MAX: usize = 16 * 1024 * 1024;
/// Files that are held open: a process may have 1024 descriptors, and some hosts allow fewer.
const FILES_MAX: usize = 32;

/// How much more is held in memory, and open. Who may not delete makes ever more index objects, and nobody puts them
/// together.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    files: usize,
}

/// Where entries are looked up.
#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    Open(File),
    /// Opened for each look.
    Closed(PathBuf),
}

/// Entries in a file.
#[derive(Debug)]
pub(super) struct Sorted {
    kept: Kept,
    packs: Vec<ObjectId>,
    /// Where the entries begin.
    at: u64,
    entries: usize,
    /// The hash of every [`STRIDE`]-th entry.
    fences: Vec<ChunkHash>,
}

/// The entries as an index object has them: how many packs, their ids, then entries in the order of their hashes.
pub(super) fn encode(chunks: &HashMap<ChunkHash, Place>) -> Vec<u8> {
    let mut sorted: Vec<_> = chunks.iter().collect();
    sorted.sort_by_key(|(hash, _)| *hash.as_bytes());
    let mut packs = PackList::default();
    let mut entries = Vec::with_capacity(sorted.len() * ENTRY_BYTES);
    for (hash, place) in sorted {
        entries.extend(hash.as_bytes());
        packs.write(place, &mut entries);
    }
    let mut body = Vec::new();
    packs.finish(&entries, &mut body);
    body
}

/// Makes a directory, and those above it.
pub(super) fn make_dir(dir: &Path) -> Result<()> {
    let made = fs::create_dir_all(dir);
    made.map_err(|e| Error::host(format!("create {}", dir.display()), e))
}

/// Keeps `body` in a file, with its hash.
pub(super) fn store(path: &Path, body: &[u8]) -> Result<()> {
    let mut bytes = blake3::hash(body).as_bytes().to_vec();
    bytes.extend(body);
    let stored = durable::replace_shared_file(path, &bytes);
    stored.map_err(|e| Error::host(format!("keep {}", path.display()), e))
}

impl Room {
    pub(super) const fn new() -> Self {
        Self {
            bytes: MEMORY_MAX,
            files: FILES_MAX,
        }
    }

    fn keep(&mut self, path: &Path, entries: &[u8]) -> io::Result<Kept> {
        if entries.len() <= SMALL_BYTES && entries.len() <= self.bytes {
            self.bytes -= entries.len();
            return Ok(Kept::Memory(entries.to_vec()));
        }
        if self.files == 0 {
            return Ok(Kept::Closed(path.to_owned()));
        }
        self.files -= 1;
        match File::open(path) {
            // Another push has seen that its object was replaced.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Kept::Memory(entries.to_vec())),
            opened => opened.map(Kept::Open),
        }
    }
}

impl Sorted {
    /// Opens what was kept, in a part of the room that is left.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is not what was kept; [`Error::Host`].
    pub(super) fn open(path: &Path, room: &mut Room) -> Result<Self> {
        let damaged = |what: &str| Error::damaged(path.display(), what);
        let bytes =
            fs::read(path).map_err(|e| Error::host(format!("read {}", path.display()), e))?;
        let (sum, body) = bytes
            .split_at_checked(SUM_BYTES)
            .ok_or_else(|| damaged("it is too short"))?;
        if blake3::hash(body).as_bytes() != sum {
            return Err(damaged("it is not what was kept"));
        }
        Self::of(path, body, room)
    }

    /// The same of `body`, which was kept at `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of(path: &Path, body: &[u8], room: &mut Room) -> Result<Self> {
        let cannot = |e| Error::host(format!("read {}", path.display()), e);
        let parsed = parse(body).ok_or_else(|| Error::damaged(path.display(), "it is no index"));
        let (packs, entries) = parsed?;
        let hashes = entries.chunks(ENTRY_BYTES).step_by(STRIDE).map(hash_of);
        Ok(Self {
            kept: room.keep(path, entries).map_err(cannot)?,
            packs,
            at: (SUM_BYTES + body.len() - entries.len()) as u64,
            entries: entries.len() / ENTRY_BYTES,
            fences: hashes.collect(),
        })
    }

    /// Where a chunk is.
    ///
    /// # Errors
    /// [`Error::Host`], of `NotFound` when another push has seen that the object was replaced, and removed what was kept.
    pub(super) fn find(&self, hash: &ChunkHash) -> Result<Option<Place>> {
        let after = self
            .fences
            .partition_point(|fence| fence.as_bytes() <= hash.as_bytes());
        let Some(stride) = after.checked_sub(1) else {
            return Ok(None);
        };
        let first = stride * STRIDE;
        let count = STRIDE.min(self.entries - first);
        let bytes = self.read(first, count).map_err(cannot_read)?;
        let mut entries = bytes.chunks(ENTRY_BYTES);
        let entry = entries.find(|entry| hash_of(entry) == *hash);
        Ok(entry.and_then(|entry| self.place(entry)))
    }

    /// How many chunks it tells of.
    pub(super) const fn len(&self) -> usize {
        self.entries
    }

    /// The packs of whose chunks it tells.
    pub(super) fn packs(&self) -> &[ObjectId] {
        &self.packs
    }

    /// Whether it tells of a chunk in one of these packs.
    pub(super) fn names_any(&self, packs: &BTreeSet<ObjectId>) -> bool {
        self.packs.iter().any(|id| packs.contains(id))
    }

    /// All that it tells.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub(super) fn all(&self) -> Result<Vec<(ChunkHash, Place)>> {
        let bytes = self.read(0, self.entries).map_err(cannot_read)?;
        let entries = bytes.chunks(ENTRY_BYTES);
        let found = entries.filter_map(|entry| Some((hash_of(entry), self.place(entry)?)));
        Ok(found.collect())
    }

    /// The bytes of so many entries.
    fn read(&self, first: usize, count: usize) -> io::Result<Vec<u8>> {
        let (start, len) = (first * ENTRY_BYTES, count * ENTRY_BYTES);
        let mut bytes = vec![0; len];
        let at = self.at + start as u64;
        match &self.kept {
            Kept::Memory(all) => bytes.copy_from_slice(&all[start..start + len]),
            Kept::Open(file) => file.read_exact_at(&mut bytes, at)?,
            Kept::Closed(path) => File::open(path)?.read_exact_at(&mut bytes, at)?,
        }
        Ok(bytes)
    }

    fn place(&self, entry: &[u8]) -> Option<Place> {
        pack_list::read(&self.packs, entry.get(ChunkHash::LEN..)?)
    }
}

fn cannot_read(e: io::Error) -> Error {
    Error::host("read what is kept of the index", e)
}

/// Whether these bytes are an index.
pub(super) fn check(body: &[u8]) -> std::result::Result<(), &'static str> {
    parse(body).map(drop).ok_or("it is no index")
}

fn parse(body: &[u8]) -> Option<(Vec<ObjectId>, &[u8])> {
    let (packs, entries) = pack_list::split(body)?;
    (entries.len() % ENTRY_BYTES == 0).then_some((packs, entries))
}

fn hash_of(entry: &[u8]) -> ChunkHash {
    let mut hash = [0; ChunkHash::LEN];
    hash.copy_from_slice(&entry[..ChunkHash::LEN]);
    ChunkHash::from_bytes(hash)
}

#[cfg(test)]
impl Sorted {
    /// One whose file was removed.
    pub(super) fn gone() -> Self {
        Self {
            kept: Kept::Closed(PathBuf::from("/nowhere/index")),
            packs: Vec::new(),
            at: 0,
            entries: 1,
            fences: vec![ChunkHash::from_bytes([0; ChunkHash::LEN])],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Packing;

    #[test]
    fn what_has_no_room_is_found_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = |number: u8| dir.path().join(number.to_string());
        let hash =
            |number: u8, chunk: u32| ChunkHash::of(&[&[number][..], &chunk.to_le_bytes()].concat());
        let place = |number: u8, chunk| Place {
            pack: ObjectId::from_bytes([number; 32]),
            piece: chunk,
            offset: 64,
            stored_len: 1,
            len: 1,
            packing: Packing::Plain,
        };
        let mut room = Room {
            bytes: 300 * ENTRY_BYTES,
            files: 2,
        };
        let open = |number| {
            let chunks = (0..200).map(|chunk| (hash(number, chunk), place(number, chunk)));
            store(&path(number), &encode(&chunks.collect())).unwrap();
            Sorted::open(&path(number), &mut room).unwrap()
        };
        let all: Vec<Sorted> = (0..6).map(open).collect();
        let kept = |is: fn(&Kept) -> bool| all.iter().filter(|one| is(&one.kept)).count();
        assert_eq!(kept(|kept| matches!(kept, Kept::Memory(_))), 1);
        assert_eq!(kept(|kept| matches!(kept, Kept::Open(_))), 2);
        for (number, sorted) in (0..).zip(&all) {
            for chunk in 0..200 {
                let found = sorted.find(&hash(number, chunk)).unwrap();
                assert_eq!(found, Some(place(number, chunk)));
            }
            assert_eq!(sorted.find(&hash(number, 200)).unwrap(), None);
            assert_eq!(sorted.all().unwrap().len(), 200);
        }
        for number in 0..6 {
            fs::remove_file(path(number)).unwrap();
        }
        let found = all
            .iter()
            .zip(0..)
            .map(|(one, number)| one.find(&hash(number, 0)));
        let found = found.filter(|found| matches!(found, Ok(Some(_)))).count();
        assert_eq!(found, 3);
    }

    #[test]
    fn what_another_push_has_removed_is_known_still() {
        let dir = tempfile::tempdir().unwrap();
        let hash = ChunkHash::of(b"chunk");
        let place = Place {
            pack: ObjectId::from_bytes([1; 32]),
            piece: 0,
            offset: 64,
            stored_len: 1,
            len: 1,
            packing: Packing::Plain,
        };
        let body = encode(&HashMap::from([(hash, place)]));
        let mut room = Room { bytes: 0, files: 1 };
        let sorted = Sorted::of(&dir.path().join("gone"), &body, &mut room).unwrap();
        assert_eq!(sorted.find(&hash).unwrap(), Some(place));
    }
}
