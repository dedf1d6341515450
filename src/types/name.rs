//! One path component.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// One path component: 1 to 255 bytes, no `/` or NUL, not `.` or `..`.
///
/// Bytes, not UTF-8: Linux names are bytes (path_resolution(7)).
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Name([u8]);

/// An owned [`Name`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameBuf(Box<[u8]>);

/// Why bytes are not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than 255 bytes.
    #[error("name is longer than 255 bytes")]
    TooLong,
    /// Empty, `.`, `..`, or with a `/` or NUL in it.
    #[error("not a file name")]
    Invalid,
}

impl Name {
    /// The longest name, in bytes (`NAME_MAX`).
    pub const MAX_BYTES: usize = 255;

    /// The name that these bytes spell.
    ///
    /// # Errors
    /// [`NameError`] when they spell none.
    pub fn parse(bytes: &[u8]) -> Result<&Self, NameError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if matches!(bytes, b"" | b"." | b"..") || bytes.iter().any(|b| matches!(b, b'/' | 0)) {
            return Err(NameError::Invalid);
        }
        Ok(Self::wrap(bytes))
    }

    #[expect(
        unsafe_code,
        reason = "an unsized newtype can only be made by a pointer cast"
    )]
    fn wrap(bytes: &[u8]) -> &Self {
        // SAFETY: `Name` is `repr(transparent)` over `[u8]`, so both pointers have one layout.
        unsafe { &*(std::ptr::from_ref(bytes) as *const Self) }
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl ToOwned for Name {
    type Owned = NameBuf;
    fn to_owned(&self) -> NameBuf {
        NameBuf(self.0.into())
    }
}

impl Borrow<Name> for NameBuf {
    fn borrow(&self) -> &Name {
        self
    }
}

impl Deref for NameBuf {
    type Target = Name;
    fn deref(&self) -> &Name {
        Name::wrap(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_arbitrary_bytes_but_never_a_path() {
        assert!(Name::parse(b"\xff\n\\x").is_ok());
        assert!(Name::parse(&[b'a'; 255]).is_ok());
        assert_eq!(Name::parse(&[b'a'; 256]), Err(NameError::TooLong));
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
            assert_eq!(Name::parse(bad), Err(NameError::Invalid));
        }
    }
}
