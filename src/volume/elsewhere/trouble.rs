//! Why a repository does not answer, where commands can read it without asking the server: `fetching.json`, which is
//! there for as long as it does not.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable;

const FILE: &str = "fetching.json";

/// That chunks which are elsewhere cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Why.
    pub error: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
}

impl Trouble {
    /// What is noted in a volume's directory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(dir.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) fn store(&self, dir: &Path) -> io::Result<()> {
        durable::replace_file(&dir.join(FILE), &serde_json::to_vec(self)?)
    }

    pub(super) fn clear(dir: &Path) -> io::Result<()> {
        match fs::remove_file(dir.join(FILE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
