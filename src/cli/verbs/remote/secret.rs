//! What opens a repository, as a user gives it: always in a file, for others can read the arguments of a process.

use std::env;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::cli::{CliError, Kind, Result, output};
use crate::remote::{KeySource, Passphrase};

/// Names a key file where none is given.
const VARIABLE: &str = "CASK_REMOTE_KEY_FILE";
/// More is something else, or has no end.
const BYTES_MAX: u64 = 1024 * 1024;
/// The bits of a mode by which others than the owner read.
const OTHERS_READ: u32 = 0o044;

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
    let cannot = |e| {
        CliError::new(Kind::Failed, format!("cannot read {}", file.display()))
            .because(e)
            .hint("name a file that you may read")
    };
    let opened = File::open(file).map_err(cannot)?;
    let found = opened.metadata().map_err(cannot)?;
    if found.is_file() && found.permissions().mode() & OTHERS_READ != 0 {
        let file = file.display();
        output::warn(&format!(
            "others can read {file}; chmod 600 takes that back"
        ));
    }
    let mut bytes = Vec::new();
    let read = opened.take(BYTES_MAX + 1).read_to_end(&mut bytes);
    let len = read.map_err(cannot)? as u64;
    if len > BYTES_MAX {
        let message = format!(
            "{} is no secret: it has more than {BYTES_MAX} bytes",
            file.display()
        );
        return Err(CliError::new(Kind::Usage, message).hint("name a file of 32 random bytes"));
    }
    Ok(bytes)
}
