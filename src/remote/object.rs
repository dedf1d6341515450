//! An object of a repository: a header that anybody can read, sealed pieces, and a sealed trailer.
//!
//! Knows how they lie in the object; not what is in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hex;
use super::seal::{MasterKey, ObjectKey, TAG_BYTES, TRAILER, random_bytes};
use super::shelf::Key;
use super::{Error, Result};

/// The format of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// The first.
    Whole,
    /// Of runs whose rows take the place of others, and of what names such runs.
    Delta,
}
/// Bytes of an object's header.
pub(super) const HEADER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"CASKOBJ1";

/// What names an object: random, and used once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId([u8; Self::LEN]);

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Chunks.
    Pack,
    /// Rows.
    Run,
    /// Which chunk is where.
    Index,
    /// What a snapshot consists of.
    Snapshot,
    /// What a volume is called.
    About,
    /// What is to be removed.
    Mark,
    /// What a volume needs that fetches its chunks later.
    Pin,
    /// Where the chunks of a pack went.
    Moved,
}

impl ObjectId {
    /// Bytes in an id.
    pub const LEN: usize = 32;

    /// A new one.
    ///
    /// # Errors
    /// [`Error::Bug`] when the host has no random bytes.
    pub fn random() -> Result<Self> {
        random_bytes().map(Self)
    }

    /// An id that was stored before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Below `dir`, by the first two digits: stores list and directories hold that many well.
    pub(super) fn key_below(&self, dir: &str) -> Key {
        let text = self.to_string();
        Key::new(format!("{dir}/{}/{text}", &text[..2]))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

/// A text that is no [`ObjectId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id of an object")]
pub struct ObjectIdError(String);

impl FromStr for ObjectId {
    type Err = ObjectIdError;

    fn from_str(text: &str) -> std::result::Result<Self, ObjectIdError> {
        let wrong = || ObjectIdError(text.to_owned());
        // One spelling: an id is the name of one object.
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let bytes = hex::decode(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for ObjectId {
    type Error = ObjectIdError;

    fn try_from(text: String) -> std::result::Result<Self, ObjectIdError> {
        text.parse()
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> Self {
        id.to_string()
    }
}

impl Format {
    const fn raw(self) -> u32 {
        match self {
            Self::Whole => 1,
            Self::Delta => 2,
        }
    }
}

impl Kind {
    /// The newest format of such objects that this cask knows.
    const fn newest(self) -> Format {
        match self {
            Self::Run | Self::Snapshot | Self::Pin => Format::Delta,
            Self::Pack | Self::Index | Self::About | Self::Mark | Self::Moved => Format::Whole,
        }
    }

    const fn raw(self) -> u8 {
        match self {
            Self::Pack => 1,
            Self::Run => 2,
            Self::Index => 3,
            Self::Snapshot => 4,
            Self::About => 5,
            Self::Mark => 6,
            Self::Pin => 7,
            Self::Moved => 8,
        }
    }

    /// The key of an object of this kind.
    pub(super) fn key(self, master: &MasterKey, id: &ObjectId) -> Result<ObjectKey> {
        master.derive(self.purpose(), id.as_bytes())
    }

    /// What a key of it is derived for.
    const fn purpose(self) -> &'static str {
        match self {
            Self::Pack => "cask remote 1 pack",
            Self::Run => "cask remote 1 run",
            Self::Index => "cask remote 1 index",
            Self::Snapshot => "cask remote 1 snapshot",
            Self::About => "cask remote 1 about",
            Self::Mark => "cask remote 1 mark",
            Self::Pin => "cask remote 1 pin",
            Self::Moved => "cask remote 1 moved",
        }
    }
}

/// What an object begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: Format,
    kind: Kind,
    /// The object's.
    pub(super) id: ObjectId,
    /// Sealed bytes at the end of the object.
    pub(super) trailer_bytes: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.format.raw().to_le_bytes());
        bytes[12] = self.kind.raw();
        bytes[16..20].copy_from_slice(&self.trailer_bytes.to_le_bytes());
        bytes[24..56].copy_from_slice(self.id.as_bytes());
        bytes
    }

    /// Reads the header of an object of this kind; `object` is what errors name.
    pub(super) fn decode(bytes: &[u8], kind: Kind, object: &Key) -> Result<Self> {
        let damaged = |what: &str| Error::damaged(object, what);
        let bytes: &[u8; HEADER_BYTES] = bytes
            .get(..HEADER_BYTES)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| damaged("it ends within its header"))?;
        if bytes[..8] != *MAGIC {
            return Err(damaged("it does not begin as an object does"));
        }
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
        let format = match word(8) {
            0 => return Err(damaged("its format is none")),
            1 => Format::Whole,
            2 if kind.newest() == Format::Delta => Format::Delta,
            found => {
                return Err(Error::Newer {
                    object: object.to_string(),
                    found,
                    known: kind.newest().raw(),
                });
            }
        };
        if bytes[12] != kind.raw() {
            return Err(damaged("it is of another kind"));
        }
        let id: [u8; ObjectId::LEN] = bytes[24..56].try_into().unwrap_or_default();
        let header = Self {
            format,
            kind,
            id: ObjectId(id),
            trailer_bytes: word(16),
        };
        // What is not named is zero.
        if header.encode() != *bytes {
            return Err(damaged("its header is not what was stored"));
        }
        Ok(header)
    }
}

/// An object that is being made: pieces are sealed one by one, then the trailer.
#[derive(Debug)]
pub(super) struct ObjectBuilder {
    format: Format,
    kind: Kind,
    id: ObjectId,
    key: ObjectKey,
    bytes: Vec<u8>,
    pieces: u64,
}

impl ObjectBuilder {
    pub(super) fn begin(master: &MasterKey, kind: Kind) -> Result<Self> {
        Self::begin_as(master, kind, Format::Whole)
    }

    pub(super) fn begin_as(master: &MasterKey, kind: Kind, format: Format) -> Result<Self> {
        debug_assert!(format <= kind.newest(), "there are such objects");
        let id = ObjectId::random()?;
        Ok(Self {
            format,
            kind,
            id,
            key: kind.key(master, &id)?,
            bytes: vec![0; HEADER_BYTES],
            pieces: 0,
        })
    }

    pub(super) const fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Bytes so far.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Seals the next piece; where in the object it begins.
    pub(super) fn push(&mut self, mut piece: Vec<u8>) -> Result<usize> {
        let at = self.bytes.len();
        self.key.seal(self.pieces, &[], &mut piece)?;
        self.bytes.append(&mut piece);
        self.pieces += 1;
        Ok(at)
    }

    /// Seals the trailer, with the header; the whole object.
    pub(super) fn finish(mut self, mut trailer: Vec<u8>) -> Result<(ObjectId, Vec<u8>)> {
        let trailer_bytes = u32::try_from(trailer.len() + TAG_BYTES)
            .map_err(|_| Error::Bug("a trailer is too long".to_owned()))?;
        let header = Header {
            format: self.format,
            kind: self.kind,
            id: self.id,
            trailer_bytes,
        };
        let header = header.encode();
        self.key.seal(TRAILER, &header, &mut trailer)?;
        self.bytes[..HEADER_BYTES].copy_from_slice(&header);
        self.bytes.append(&mut trailer);
        Ok((self.id, self.bytes))
    }
}

/// What opens the pieces of an object whose header was read.
#[derive(Debug)]
pub(super) struct ObjectOpener {
    key: ObjectKey,
    header: [u8; HEADER_BYTES],
    object: Key,
}

impl ObjectOpener {
    pub(super) fn new(master: &MasterKey, header: &Header, object: &Key) -> Result<Self> {
        Ok(Self {
            key: header.kind.key(master, &header.id)?,
            header: header.encode(),
            object: object.clone(),
        })
    }

    /// Opens a piece.
    pub(super) fn piece(&self, number: u64, sealed: &[u8]) -> Result<Vec<u8>> {
        let opened = self.key.open(number, &[], sealed.to_vec());
        opened.ok_or_else(|| {
            let what = format!("piece {number} is not what was stored");
            Error::damaged(&self.object, what)
        })
    }

    /// Opens the trailer.
    pub(super) fn trailer(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let opened = self.key.open(TRAILER, &self.header, sealed.to_vec());
        opened.ok_or_else(|| Error::damaged(&self.object, "its trailer is not what was stored"))
    }
}

/// Makes an object of one piece.
pub(super) fn seal_whole(
    master: &MasterKey,
    kind: Kind,
    body: Vec<u8>,
) -> Result<(ObjectId, Vec<u8>)> {
    seal_whole_as(master, kind, Format::Whole, body)
}

/// The same in another format.
pub(super) fn seal_whole_as(
    master: &MasterKey,
    kind: Kind,
    format: Format,
    body: Vec<u8>,
) -> Result<(ObjectId, Vec<u8>)> {
    ObjectBuilder::begin_as(master, kind, format)?.finish(body)
}

/// Opens an object of one piece.
pub(super) fn open_whole(
    master: &MasterKey,
    kind: Kind,
    object: &Key,
    bytes: &[u8],
) -> Result<(ObjectId, Vec<u8>)> {
    let header = Header::decode(bytes, kind, object)?;
    let sealed = &bytes[HEADER_BYTES..];
    if sealed.len() != header.trailer_bytes as usize {
        return Err(Error::damaged(
            object,
            "it has another length than was stored",
        ));
    }
    let body = ObjectOpener::new(master, &header, object)?.trailer(sealed)?;
    Ok((header.id, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_is_found() {
        let master = MasterKey::random().unwrap();
        let key = Key::new("vol/x/about");
        let (id, bytes) = seal_whole(&master, Kind::About, b"body".to_vec()).unwrap();
        let open = |bytes: &[u8]| open_whole(&master, Kind::About, &key, bytes);
        assert_eq!(open(&bytes).unwrap(), (id, b"body".to_vec()));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open(&changed).is_err(), "byte {at}");
            assert!(open(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn ids_are_told_as_they_are_read() {
        let id = ObjectId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("00".parse::<ObjectId>().is_err());
        assert!("G".repeat(64).parse::<ObjectId>().is_err());
    }
}
