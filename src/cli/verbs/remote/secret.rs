//! What opens a repository, as a user gives it: always in a file, for others can read the arguments of a process.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::{CliError, Kind, Result};
use crate::remote::{KeySource, Passphrase};

/// Names a key file where none is given.
const VARIABLE: &str = "CASK_REMOTE_KEY_FILE";

#[derive(Debug, clap::Args)]
pub(super) struct Secret {
    /// A file of at least 32 random bytes; otherwise $CASK_REMOTE_KEY_FILE
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    key_file: Option<PathBuf>,
    /// A file whose first line is the passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Secret {
    /// Reads it.
    pub(super) fn read(&self) -> Result<KeySource> {
        if let Some(file) = &self.passphrase_file {
            let bytes = read(file)?;
            let line = bytes.split(|&byte| byte == b'\n').next();
            let line = line.unwrap_or_default().to_vec();
            return Ok(KeySource::Passphrase(Passphrase::new(line)));
        }
        let named = env::var_os(VARIABLE).filter(|file| !file.is_empty());
        let file = self.key_file.clone().or_else(|| named.map(PathBuf::from));
        let file = file.ok_or_else(|| {
            CliError::new(Kind::Usage, "a key is needed").hint(
                "make one with `head -c 32 /dev/urandom > FILE`, keep a copy elsewhere, and give --key-file FILE",
            )
        })?;
        Ok(KeySource::KeyFile(Passphrase::new(read(&file)?)))
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| {
        CliError::new(Kind::Failed, format!("cannot read {}", file.display()))
            .because(e)
            .hint("name a file that you may read")
    })
}
