//! Keys and the cipher: AES-256-GCM, with a key for each object and a number for each piece of it.
//!
//! The key of an object is HKDF-SHA256 of the master key, salted with the object's random id, for its kind. An id is used
//! for one object of one kind, so that a piece's number can be its nonce: no nonce repeats, and a piece opens at its own
//! place in its own object only. [RFC 5869](https://www.rfc-editor.org/rfc/rfc5869), NIST SP 800-38D.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;

use super::{Error, Result};

/// Bytes that sealing adds to a piece.
pub(super) const TAG_BYTES: usize = 16;

/// The number of the last piece of an object, its trailer.
pub(super) const TRAILER: u64 = u64::MAX;

/// The key of a repository, from which those of all objects come.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey([u8; Self::LEN]);

impl MasterKey {
    /// Bytes in a key.
    pub const LEN: usize = 32;

    /// A new one.
    ///
    /// # Errors
    /// [`Error::Bug`] when the host has no random bytes.
    pub fn random() -> Result<Self> {
        random_bytes().map(Self)
    }

    /// A key that was made before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key: a secret.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The key of one object, by its random id.
    pub(super) fn derive(&self, purpose: &str, id: &[u8; 32]) -> Result<ObjectKey> {
        ObjectKey::derive(&self.0, id, purpose)
    }
}

// A secret is in no log.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// The key of one object, or of what wraps a master key.
pub(super) struct ObjectKey(LessSafeKey);

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey(..)")
    }
}

impl ObjectKey {
    /// The key that `secret` gives for a purpose, and for this salt alone.
    pub(super) fn derive(secret: &[u8], salt: &[u8], purpose: &str) -> Result<Self> {
        let mut key = [0; MasterKey::LEN];
        let info = [purpose.as_bytes()];
        let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
        prk.expand(&info, HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .map_err(|_| Error::Bug("no key could be derived".to_owned()))?;
        Self::of(&key)
    }

    /// This key itself.
    pub(super) fn of(key: &[u8; MasterKey::LEN]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key);
        let key = key.map_err(|_| Error::Bug("a key has another length".to_owned()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `bytes` in place as piece `number`; `header` is authenticated with them.
    pub(super) fn seal(&self, number: u64, header: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        self.0
            .seal_in_place_append_tag(nonce(number), Aad::from(header), bytes)
            .map_err(|_| Error::Bug("the cipher took no bytes".to_owned()))
    }

    /// Opens piece `number` in place; `None` when it is not what was sealed.
    pub(super) fn open(&self, number: u64, header: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let len = self.open_part(number, header, &mut sealed)?;
        sealed.truncate(len);
        Some(sealed)
    }

    /// The same of a part of a buffer: how many bytes there are then at its beginning. What it holds after `None` is
    /// nothing to use.
    pub(super) fn open_part(&self, number: u64, header: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let opened = self
            .0
            .open_in_place(nonce(number), Aad::from(header), sealed);
        Some(opened.ok()?.len())
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Bytes that nobody can foresee.
pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Bug("the host has no random bytes".to_owned()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_opens_at_its_place_only() {
        let master = MasterKey::random().unwrap();
        let (one, other) = ([1; 32], [2; 32]);
        let key = |purpose, id| master.derive(purpose, id).unwrap();
        let mut sealed = b"bytes".to_vec();
        key("pack", &one).seal(3, b"h", &mut sealed).unwrap();
        let open = |purpose, id, number, header: &[u8]| {
            key(purpose, id).open(number, header, sealed.clone())
        };
        assert_eq!(open("pack", &one, 3, b"h").unwrap(), b"bytes");
        for opened in [
            open("run", &one, 3, b"h"),
            open("pack", &other, 3, b"h"),
            open("pack", &one, 4, b"h"),
            open("pack", &one, 3, b"i"),
        ] {
            assert_eq!(opened, None);
        }
    }
}
