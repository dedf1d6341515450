//! The master key of a repository, wrapped: once for each passphrase or key file that opens it.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::hex;
use super::seal::{MasterKey, ObjectKey, TAG_BYTES, random_bytes};
use super::shelf::{Key, Shelf};
use super::{Error, Result};
use crate::types::VolumeId;

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

/// Wraps `master` for `source`, and stores that.
pub(super) fn add(
    shelf: &dyn Shelf,
    repository: VolumeId,
    master: &MasterKey,
    source: &KeySource,
) -> Result<()> {
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
    let stored = Wrapped {
        format: FORMAT,
        kdf,
        salt: salt.to_vec(),
        wrapped,
    };
    let bytes = serde_json::to_vec_pretty(&stored).map_err(|e| Error::Bug(e.to_string()))?;
    let name = u64::from_le_bytes(random_bytes()?);
    shelf.put(&Key::new(format!("keys/{name:016x}")), bytes.into())
}

/// The key that `source` opens.
///
/// # Errors
/// [`Error::WrongKey`]; [`Error::Newer`]; see [`Shelf`].
pub(super) fn find(
    shelf: &dyn Shelf,
    repository: VolumeId,
    source: &KeySource,
) -> Result<MasterKey> {
    let mut newer = None;
    for listed in shelf.list("keys")?.into_iter().take(KEYS_MAX) {
        let (bytes, _) = shelf.get(&listed.key)?;
        // Before all else: the rest of a newer one may look as it likes.
        match serde_json::from_slice::<Versioned>(&bytes) {
            Ok(Versioned { format }) if format > FORMAT => {
                newer = Some(Error::Newer {
                    object: listed.key.to_string(),
                    found: format,
                    known: FORMAT,
                });
                continue;
            }
            Ok(_) | Err(_) => {}
        }
        // One that cannot be read is none of ours; another may be.
        let Ok(stored) = serde_json::from_slice::<Wrapped>(&bytes) else {
            continue;
        };
        if let Some(master) = open(&stored, repository, source)? {
            return Ok(master);
        }
    }
    Err(newer.unwrap_or(Error::WrongKey))
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
            assert_eq!(find(&shelf, repository, source).unwrap(), master);
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
        assert_eq!(find(&shelf, repository, &phrase).unwrap(), master);
    }

    #[test]
    fn what_protects_nothing_is_refused() {
        let secret = |bytes: &[u8]| Passphrase::new(bytes.to_vec());
        assert!(KeySource::Passphrase(secret(b"")).check().is_err());
        assert!(KeySource::KeyFile(secret(&[1; 31])).check().is_err());
        assert!(KeySource::KeyFile(secret(&[1; 32])).check().is_ok());
    }
}
