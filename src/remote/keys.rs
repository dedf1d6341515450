//! The master key of a repository, wrapped: once for each passphrase or key file that opens it.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::hex;
use super::seal::{MasterKey, ObjectKey, TAG_BYTES, random_bytes};
use super::shelf::{Key, Listed, Shelf};
use super::{Error, Found, Result};
use crate::types::VolumeId;

/// Where wrapped keys are.
const DIR: &str = "keys";
/// The format of a wrapped key.
const FORMAT: u32 = 1;
/// Argon2id as RFC 9106 recommends it where memory is not plenty (section 4, second choice): 64 MiB, 3 passes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// What a wrapped key may ask for at most: whoever can write to the store must not take all of this host's memory.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;
const SALT_BYTES: usize = 32;
const SALT_LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;
/// Keys that are tried: each may take a second.
const KEYS_MAX: usize = 64;
/// A key file is random bytes, and no passphrase: less would be guessed.
const KEY_FILE_BYTES_MIN: usize = 32;

/// The name of a wrapped key in its repository: 16 hexadecimal digits in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

/// A text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the {digits} hexadecimal digits of a key", digits = KeyId::DIGITS)]
pub struct KeyIdError(String);

impl KeyId {
    const DIGITS: usize = 16;

    fn random() -> Result<Self> {
        let name = u64::from_le_bytes(random_bytes()?);
        Ok(Self(format!("{name:016x}")))
    }

    /// Of the object of this name.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is none.
    pub(super) fn of(key: &Key) -> Result<Self> {
        let id: std::result::Result<Self, _> = key.last().parse();
        id.ok()
            .filter(|id| id.key() == *key)
            .ok_or_else(|| Error::damaged(key, "it has not the name of a key"))
    }

    fn key(&self) -> Key {
        Key::new(format!("{DIR}/{}", self.0))
    }

    /// Removes the key of a repository that was not made after all: it opens nothing, and who may not delete leaves it.
    pub(super) fn discard(&self, shelf: &dyn Shelf) {
        if let Err(error) = shelf.delete(&self.key()) {
            log::debug!("a key that opens nothing stays there: {error}");
        }
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> std::result::Result<Self, KeyIdError> {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let is_id = text.len() == Self::DIGITS && text.bytes().all(is_digit);
        is_id
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| KeyIdError(text.to_owned()))
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: String) -> std::result::Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A wrapped key that is there, and whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its name.
    pub id: KeyId,
    /// What opens it.
    pub kind: KeyKind,
    /// When it was stored, in seconds since 1970, by the store's clock.
    pub created: i64,
}

/// What a wrapped key is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// Something that a person remembers.
    Passphrase,
    /// A file of random bytes.
    KeyFile,
}

/// What opens a repository.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Something that a person remembers.
    Passphrase(Passphrase),
    /// The content of a file of random bytes.
    KeyFile(Passphrase),
}

/// A secret as a user gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Vec<u8>);

impl Passphrase {
    /// These bytes.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl KeySource {
    /// Refuses what protects nothing.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Passphrase(secret) if secret.0.is_empty() => {
                Err(Error::Setting("the passphrase is empty".to_owned()))
            }
            Self::KeyFile(secret) if secret.0.len() < KEY_FILE_BYTES_MIN => Err(Error::Setting(
                format!("the key file has less than {KEY_FILE_BYTES_MIN} bytes"),
            )),
            Self::Passphrase(_) | Self::KeyFile(_) => Ok(()),
        }
    }
}

/// A wrapped key, as JSON. The field names are those of docs/remote-format.md.
#[derive(Debug, Serialize, Deserialize)]
struct Wrapped {
    format: u32,
    /// How the key that wraps is made.
    kdf: Kdf,
    #[serde(with = "hex")]
    salt: Vec<u8>,
    #[serde(with = "hex")]
    wrapped: Vec<u8>,
    /// That all of this was said by somebody who has the master key. Who opens it does not need it.
    #[serde(default, with = "hex")]
    proof: Vec<u8>,
}

/// What every version of a wrapped key says.
#[derive(Debug, Deserialize)]
struct Versioned {
    format: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kdf {
    /// Of a passphrase.
    Argon2id { memory_kib: u32, passes: u32 },
    /// Of a key file.
    HkdfSha256,
}

impl Kdf {
    const fn kind(self) -> KeyKind {
        match self {
            Self::Argon2id { .. } => KeyKind::Passphrase,
            Self::HkdfSha256 => KeyKind::KeyFile,
        }
    }
}

impl fmt::Display for Kdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2id { memory_kib, passes } => write!(f, "argon2id {memory_kib} {passes}"),
            Self::HkdfSha256 => f.write_str("hkdf_sha256"),
        }
    }
}

/// Wraps `master` for `source`, and stores that; the name it has.
pub(super) fn add(
    shelf: &dyn Shelf,
    repository: VolumeId,
    master: &MasterKey,
    source: &KeySource,
) -> Result<KeyId> {
    let salt = random_bytes::<SALT_BYTES>()?;
    let kdf = match source {
        KeySource::Passphrase(_) => Kdf::Argon2id {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
        },
        KeySource::KeyFile(_) => Kdf::HkdfSha256,
    };
    let mut wrapped = master.as_bytes().to_vec();
    wrapping(kdf, &salt, source)?.seal(0, &bound_to(repository), &mut wrapped)?;
    let mut stored = Wrapped {
        format: FORMAT,
        kdf,
        salt: salt.to_vec(),
        wrapped,
        proof: Vec::new(),
    };
    stored.proof = proof_of(&stored, repository, master)?;
    let bytes = serde_json::to_vec_pretty(&stored).map_err(|e| Error::Bug(e.to_string()))?;
    let id = KeyId::random()?;
    shelf.put(&id.key(), bytes.into())?;
    Ok(id)
}

/// What only those can say of a wrapped key who have the master key: whether it opens cannot be seen without the secret.
fn proof_of(stored: &Wrapped, repository: VolumeId, master: &MasterKey) -> Result<Vec<u8>> {
    let wrapped = hex::encode(&stored.wrapped);
    let (format, kdf) = (stored.format, stored.kdf);
    let said = format!("cask remote {format} proof {repository} {kdf} {wrapped}");
    let mut proof = Vec::new();
    // The salt is random, so that no key seals twice.
    ObjectKey::derive(master.as_bytes(), &stored.salt, "cask remote 1 proof")?.seal(
        0,
        said.as_bytes(),
        &mut proof,
    )?;
    Ok(proof)
}

/// All wrapped keys: those that are what was stored, and why others are not.
///
/// # Errors
/// See [`Shelf`].
pub(super) fn all(
    shelf: &dyn Shelf,
    repository: VolumeId,
    master: &MasterKey,
) -> Result<Found<StoredKey>> {
    let mut found = Found::new();
    for listed in shelf.list(DIR)? {
        found.take(look_at(shelf, repository, master, &listed))?;
    }
    Ok(found)
}

fn look_at(
    shelf: &dyn Shelf,
    repository: VolumeId,
    master: &MasterKey,
    listed: &Listed,
) -> Result<StoredKey> {
    let id = KeyId::of(&listed.key)?;
    let stored = decode(&listed.key, &shelf.get(&listed.key)?.0)?;
    if stored.proof != proof_of(&stored, repository, master)? {
        let what = "it is not what was stored, or another repository's, and may open nothing";
        return Err(Error::damaged(&listed.key, what));
    }
    Ok(StoredKey {
        id,
        kind: stored.kdf.kind(),
        created: listed.modified,
    })
}

/// Removes a wrapped key, unless no other is whole.
///
/// # Errors
/// [`Error::LastKey`]; [`Error::NotThere`]; see [`Shelf`].
pub(super) fn remove(
    shelf: &dyn Shelf,
    repository: VolumeId,
    master: &MasterKey,
    id: &KeyId,
) -> Result<()> {
    let key = id.key();
    let bytes = match shelf.get(&key) {
        Err(Error::Missing { .. }) => return Err(Error::NotThere(format!("key {id}"))),
        got => got?.0,
    };
    let is_last = || {
        let all = all(shelf, repository, master)?;
        Ok(all.whole.iter().all(|one| one.id == *id))
    };
    if is_last()? {
        return Err(Error::LastKey);
    }
    shelf.delete(&key)?;
    // Other hosts may have removed the others at the same moment: whoever was the last sees that.
    if is_last()? {
        shelf.put(&key, bytes.into())?;
        return Err(Error::LastKey);
    }
    Ok(())
}

/// The key that `source` opens, and the object in which it is.
///
/// # Errors
/// [`Error::WrongKey`]; [`Error::Newer`]; see [`Shelf`].
pub(super) fn find(
    shelf: &dyn Shelf,
    repository: VolumeId,
    source: &KeySource,
) -> Result<(Key, MasterKey)> {
    let mut newer = None;
    for listed in shelf.list(DIR)?.into_iter().take(KEYS_MAX) {
        let bytes = match shelf.get(&listed.key) {
            // It was removed since it was listed.
            Err(Error::Missing { .. }) => continue,
            got => got?.0,
        };
        match decode(&listed.key, &bytes) {
            Ok(stored) => {
                if let Some(master) = open(&stored, repository, source)? {
                    return Ok((listed.key, master));
                }
            }
            Err(error @ Error::Newer { .. }) => newer = Some(error),
            // One that cannot be read is none of ours; another may be.
            Err(_) => {}
        }
    }
    Err(newer.unwrap_or(Error::WrongKey))
}

fn decode(key: &Key, bytes: &[u8]) -> Result<Wrapped> {
    // Before all else: the rest of a newer one may look as it likes.
    match serde_json::from_slice::<Versioned>(bytes) {
        Ok(Versioned { format }) if format > FORMAT => Err(Error::Newer {
            object: key.to_string(),
            found: format,
            known: FORMAT,
        }),
        Ok(_) | Err(_) => serde_json::from_slice(bytes).map_err(|e| Error::damaged(key, e)),
    }
}

fn open(stored: &Wrapped, repository: VolumeId, source: &KeySource) -> Result<Option<MasterKey>> {
    let fits = match (stored.kdf, source) {
        (Kdf::Argon2id { memory_kib, passes }, KeySource::Passphrase(_)) => {
            memory_kib <= MEMORY_KIB_MAX && passes <= PASSES_MAX
        }
        (Kdf::HkdfSha256, KeySource::KeyFile(_)) => true,
        (Kdf::Argon2id { .. }, KeySource::KeyFile(_))
        | (Kdf::HkdfSha256, KeySource::Passphrase(_)) => false,
    };
    let is_whole = stored.wrapped.len() == MasterKey::LEN + TAG_BYTES;
    if !fits || !is_whole || !SALT_LENGTHS.contains(&stored.salt.len()) {
        return Ok(None);
    }
    // What no key can be made with is none of ours; another may be.
    let Ok(key) = wrapping(stored.kdf, &stored.salt, source) else {
        return Ok(None);
    };
    let opened = key.open(0, &bound_to(repository), stored.wrapped.clone());
    let master = opened.and_then(|bytes| <[u8; MasterKey::LEN]>::try_from(bytes).ok());
    Ok(master.map(MasterKey::from_bytes))
}

/// A wrapped key of another repository opens nothing here.
fn bound_to(repository: VolumeId) -> Vec<u8> {
    format!("cask remote 1 key of {repository}").into_bytes()
}

fn wrapping(kdf: Kdf, salt: &[u8], source: &KeySource) -> Result<ObjectKey> {
    let (KeySource::Passphrase(secret) | KeySource::KeyFile(secret)) = source;
    match kdf {
        Kdf::HkdfSha256 => ObjectKey::derive(&secret.0, salt, "cask remote 1 key file"),
        Kdf::Argon2id { memory_kib, passes } => {
            let wrong = |e: argon2::Error| Error::Setting(format!("the key cannot be made: {e}"));
            let params = Params::new(memory_kib, passes, 1, Some(MasterKey::LEN)).map_err(wrong)?;
            let mut key = [0; MasterKey::LEN];
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into(&secret.0, salt, &mut key)
                .map_err(wrong)?;
            ObjectKey::of(&key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Memory;

    #[test]
    fn each_key_opens_its_repository_and_no_other() {
        let (shelf, repository) = (Memory::default(), VolumeId::random());
        let master = MasterKey::random().unwrap();
        let secret = |text: &[u8]| Passphrase::new(text.to_vec());
        let phrase = KeySource::Passphrase(secret(b"correct horse"));
        let file = KeySource::KeyFile(secret(&[7; 32]));
        for source in [&phrase, &file] {
            add(&shelf, repository, &master, source).unwrap();
            assert_eq!(find(&shelf, repository, source).unwrap().1, master);
            let other = find(&shelf, VolumeId::random(), source);
            assert!(matches!(other, Err(Error::WrongKey)), "{other:?}");
        }
        for wrong in [
            KeySource::Passphrase(secret(b"correct hors")),
            KeySource::Passphrase(secret(&[7; 32])),
            KeySource::KeyFile(secret(&[8; 32])),
        ] {
            let found = find(&shelf, repository, &wrong);
            assert!(matches!(found, Err(Error::WrongKey)), "{found:?}");
        }
    }

    #[test]
    fn keys_that_make_no_sense_hide_no_other() {
        let (shelf, repository) = (Memory::default(), VolumeId::random());
        let master = MasterKey::random().unwrap();
        let phrase = KeySource::Passphrase(Passphrase::new(b"correct horse".to_vec()));
        let kdf = r#"{"argon2id":{"memory_kib":65536,"passes":0}}"#;
        let (salt, wrapped) = ("00".repeat(32), "00".repeat(48));
        let odd = format!(r#"{{"format":1,"kdf":{kdf},"salt":"{salt}","wrapped":"{wrapped}"}}"#);
        for (name, text) in [
            ("0", odd.as_str()),
            ("1", "{}"),
            ("2", r#"{"format":9,"new":1}"#),
        ] {
            let key = Key::new(format!("keys/{name}"));
            shelf.put(&key, text.as_bytes().to_vec().into()).unwrap();
        }
        let found = find(&shelf, repository, &phrase);
        assert!(
            matches!(found, Err(Error::Newer { found: 9, .. })),
            "{found:?}"
        );
        add(&shelf, repository, &master, &phrase).unwrap();
        assert_eq!(find(&shelf, repository, &phrase).unwrap().1, master);
    }

    #[test]
    fn a_key_that_was_changed_is_named_without_the_secret() {
        let (shelf, repository) = (Memory::default(), VolumeId::random());
        let master = MasterKey::random().unwrap();
        let file = KeySource::KeyFile(Passphrase::new(vec![7; 32]));
        let (id, whole) = (
            add(&shelf, repository, &master, &file).unwrap(),
            add(&shelf, repository, &master, &file).unwrap(),
        );
        let (bytes, _) = shelf.get(&id.key()).unwrap();
        for at in 0..bytes.len() {
            shelf.damage(&id.key(), |bytes| bytes[at] ^= 1);
            let found = all(&shelf, repository, &master).unwrap();
            let ids: Vec<_> = found.whole.iter().map(|one| &one.id).collect();
            // The space between what the JSON says is nobody's.
            if !bytes[at].is_ascii_whitespace() {
                assert_eq!(ids, [&whole], "byte {at}");
                assert!(found.damaged[0].to_string().contains(id.key().as_str()));
            }
            shelf.damage(&id.key(), |bytes| bytes[at] ^= 1);
        }
        assert_eq!(all(&shelf, repository, &master).unwrap().whole.len(), 2);
        let other = all(&shelf, VolumeId::random(), &master).unwrap();
        assert_eq!(other.damaged.len(), 2);
    }

    #[test]
    fn the_last_key_stays() {
        let (shelf, repository) = (Memory::default(), VolumeId::random());
        let master = MasterKey::random().unwrap();
        let file = |byte| KeySource::KeyFile(Passphrase::new(vec![byte; 32]));
        let ids = [1, 2].map(|byte| add(&shelf, repository, &master, &file(byte)).unwrap());
        let remove = |id| remove(&shelf, repository, &master, id);
        remove(&ids[0]).unwrap();
        assert!(matches!(remove(&ids[0]), Err(Error::NotThere(_))));
        assert!(matches!(remove(&ids[1]), Err(Error::LastKey)));
        // One that opens nothing is no other.
        let odd = Key::new("keys/0000000000000000");
        shelf.put(&odd, b"{}".to_vec().into()).unwrap();
        assert!(matches!(remove(&ids[1]), Err(Error::LastKey)));
        assert_eq!(find(&shelf, repository, &file(2)).unwrap().1, master);
        remove(&KeyId::of(&odd).unwrap()).unwrap();
        assert_eq!(shelf.list(DIR).unwrap().len(), 1);
    }

    #[test]
    fn what_protects_nothing_is_refused() {
        let secret = |bytes: &[u8]| Passphrase::new(bytes.to_vec());
        assert!(KeySource::Passphrase(secret(b"")).check().is_err());
        assert!(KeySource::KeyFile(secret(&[1; 31])).check().is_err());
        assert!(KeySource::KeyFile(secret(&[1; 32])).check().is_ok());
    }
}
