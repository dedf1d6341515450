//! Reading a volume's log: what both files hold, the older one first, and what is added meanwhile.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::log_file::LogFiles;

/// Whoever reads the log of one volume, from its beginning on.
#[derive(Debug)]
pub struct LogReader {
    files: LogFiles,
    /// The one that is written to, and before it the one that was: what was on its way when that was put aside is still
    /// added to it.
    open: Vec<File>,
}

impl LogReader {
    /// Reads the log of the volume in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self {
            files: LogFiles::of(dir),
            open: Vec::new(),
        }
    }

    /// Whether there is a log: there is none before the first server.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.files.newer().exists() || self.files.older().exists()
    }

    /// What was added since the last call, at the first one all; nothing is waited for.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        // Before it is looked which files there are: what is in one that was put aside comes before what is in the next.
        self.read_open(&mut text)?;
        for path in [self.files.older(), self.files.newer()] {
            self.take_in(&path)?;
        }
        self.read_open(&mut text)?;
        // Of files before the older one nothing comes any more.
        let past = self.open.len().saturating_sub(2);
        self.open.drain(..past);
        Ok(text)
    }

    fn read_open(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        for file in &mut self.open {
            file.read_to_end(text)?;
        }
        Ok(())
    }

    /// Opens a file that is not open yet, whatever it is called by now.
    fn take_in(&mut self, path: &Path) -> io::Result<()> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let id = |file: &fs::Metadata| (file.dev(), file.ino());
        let found = id(&file.metadata()?);
        for known in &self.open {
            if id(&known.metadata()?) == found {
                return Ok(());
            }
        }
        self.open.push(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a scratch file need not be durable"
    )]
    fn what_is_put_aside_meanwhile_is_read_once_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::of(dir.path());
        let mut reader = LogReader::of(dir.path());
        assert!(!reader.is_there());
        assert_eq!(reader.read().unwrap(), b"");
        fs::write(files.older(), "1 ").unwrap();
        fs::write(files.newer(), "2 ").unwrap();
        assert!(reader.is_there());
        assert_eq!(reader.read().unwrap(), b"1 2 ");
        let append = |path, text: &str| {
            let mut file = File::options().append(true).open(path).unwrap();
            io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        };
        append(files.newer(), "3 ");
        fs::rename(files.newer(), files.older()).unwrap();
        append(files.older(), "4 ");
        fs::write(files.newer(), "5 ").unwrap();
        assert_eq!(reader.read().unwrap(), b"3 4 5 ");
        append(files.older(), "late ");
        append(files.newer(), "6 ");
        assert_eq!(reader.read().unwrap(), b"late 6 ");
        assert_eq!(reader.read().unwrap(), b"");
    }
}
