//! Who may see the page: whoever has the token, 256 random bits in hexadecimal.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::rand::{GetRandomFlags, getrandom};

use super::error::Error;
use crate::types::VolumeId;

const BYTES: usize = 32;
const MODE: u32 = 0o600;
/// A token, the end of its line, and one byte to tell that there is more.
const FILE_BYTES_MAX: u64 = 2 * BYTES as u64 + 2;

/// A token. Nobody sees it by printing what has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// A new one.
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bytes = [0; BYTES];
        let count = getrandom(&mut bytes, GetRandomFlags::empty());
        let count = count.map_err(|e| Error::Random(e.into()))?;
        if count != BYTES {
            return Err(Error::Random(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// The one in the file, which is made if it is not there.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Error> {
        let cannot = |source| Error::TokenFile {
            path: path.to_owned(),
            source,
        };
        let mut options = File::options();
        // A symbolic link may be somebody else's.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        match options.read(true).custom_flags(flags).open(path) {
            Ok(file) => Self::read(file, path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => match Self::random()?.write(path) {
                // Another `cask web` was faster: its token is the one of both.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Self::of_file(path),
                written => written.map_err(cannot),
            },
            Err(e) => Err(cannot(e)),
        }
    }

    fn read(file: File, path: &Path) -> Result<Self, Error> {
        let cannot = |source| Error::TokenFile {
            path: path.to_owned(),
            source,
        };
        refuse_shared(&file.metadata().map_err(cannot)?, path)?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(cannot)?;
        Self::parse(text.trim_end()).ok_or_else(|| Error::NoToken {
            path: path.to_owned(),
        })
    }

    /// The file gets its name when the token is in it.
    fn write(self, path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", VolumeId::random()));
        let fresh = path.with_file_name(name);
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&fresh)?;
        let written = writeln!(file, "{}", self.0).and_then(|()| file.sync_all());
        let placed = written.and_then(|()| {
            let kept = RenameFlags::NOREPLACE;
            Ok(renameat_with(CWD, &fresh, CWD, path, kept)?)
        });
        if placed.is_err() {
            drop(fs::remove_file(&fresh));
        }
        placed.map(|()| self)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 2 * BYTES && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// As it is in a URL.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody said this one. How long that takes tells nothing of it.
    pub(super) fn is(&self, said: &[u8]) -> bool {
        let own = self.0.as_bytes();
        if said.len() != own.len() {
            return false;
        }
        let differing = own.iter().zip(said).fold(0, |all, (a, b)| all | (a ^ b));
        black_box(differing) == 0
    }
}

fn refuse_shared(metadata: &fs::Metadata, path: &Path) -> Result<(), Error> {
    let path = path.to_owned();
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if owner != rustix::process::geteuid().as_raw() {
        return Err(Error::TokenOwner { path, owner });
    }
    if mode & !MODE != 0 {
        return Err(Error::TokenMode { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token::random().unwrap();
        let other = Token::random().unwrap();
        assert_ne!(token, other);
        assert!(token.is(token.as_str().as_bytes()) && !token.is(other.as_str().as_bytes()));
        assert!(!token.is(b"") && !token.is(&token.as_str().as_bytes()[1..]));
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn a_file_keeps_its_token() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let made = Token::of_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        assert_eq!(Token::of_file(&path).unwrap(), made);
    }

    #[test]
    fn those_who_make_a_file_at_once_have_one_token() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let mut tokens: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Token::of_file(&path)))
                .collect();
            all.into_iter()
                .map(|one| one.join().unwrap().unwrap().0)
                .collect()
        });
        tokens.dedup();
        assert_eq!(tokens.len(), 1);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
