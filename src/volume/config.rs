//! `volume.json`: what identifies a directory as a volume, and what a user may set of it.
//!
//! It can be read while a server has the volume open, and without touching the database.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::elsewhere::Origin;
use super::layout::CONFIG as FILE;
use crate::durable;
use crate::types::{ChunkBytes, Compression, Limits, Schedule, ScrubRate, VolumeId};
use crate::volume::error::{Error, Result};

/// The on-disk format that this cask writes, and the newest it reads.
pub(super) const FORMAT: u32 = crate::meta::FORMAT_VERSION;

/// What of it an owner would miss.
const KEYS: [&str; 11] = [
    "uuid",
    "created",
    "chunk_bytes",
    "labels",
    "life",
    "seal",
    "limits",
    "compression",
    "protection",
    "scrub_rate",
    "schedule",
];
/// That is there only while the volume lacks chunks.
const ORIGIN: &str = "origin";

/// What `volume.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// On-disk format.
    pub format: u32,
    /// Identity, kept over renames.
    pub uuid: VolumeId,
    /// When it was created: RFC 3339, UTC.
    pub created: String,
    /// Length at which files are cut into chunks, in bytes.
    pub chunk_bytes: u32,
    /// The user's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether the volume goes when it is unmounted.
    #[serde(default)]
    pub life: Life,
    /// Whether it may be changed.
    #[serde(default)]
    pub seal: Seal,
    /// What its head may hold.
    #[serde(default)]
    pub limits: Limits,
    /// How new chunks are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Whether the volume may be removed.
    #[serde(default)]
    pub protection: Protection,
    /// How fast a server reads what is stored again.
    #[serde(default)]
    pub scrub_rate: ScrubRate,
    /// When snapshots are taken by themselves.
    #[serde(default)]
    pub schedule: Schedule,
    /// Where the chunks are that it names and does not have; `None` when it has all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// How long a volume lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Until it is removed.
    #[default]
    Lasting,
    /// Until its last mount is gone.
    Ephemeral,
}

/// Whether a volume may be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seal {
    /// It may.
    #[default]
    Open,
    /// Never.
    Sealed,
}

/// Whether a volume may be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// It may.
    #[default]
    Off,
    /// Not by anybody, before this is set off.
    On,
}

/// Owner and mode of a new volume's root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootOwner {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Config {
    /// A new identity, created now.
    #[must_use]
    pub fn new(chunk_bytes: ChunkBytes, labels: BTreeMap<String, String>) -> Self {
        Self {
            format: FORMAT,
            uuid: VolumeId::random(),
            created: jiff::Timestamp::now().to_string(),
            chunk_bytes: chunk_bytes.get(),
            labels,
            life: Life::Lasting,
            seal: Seal::Open,
            limits: Limits::default(),
            compression: Compression::None,
            protection: Protection::Off,
            scrub_rate: ScrubRate::OFF,
            schedule: Schedule::OFF,
            origin: None,
        }
    }

    /// Reads the configuration of the volume in `dir`. Takes no lock.
    ///
    /// # Errors
    /// [`Error::NotAVolume`] when there is none, or it can't be understood; [`Error::NewerFormat`].
    pub fn load(dir: &Path) -> Result<Self> {
        let not_a_volume = |reason: String| Error::NotAVolume {
            dir: dir.to_owned(),
            reason,
        };
        let bytes = match fs::read(dir.join(FILE)) {
            Ok(bytes) => bytes,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(not_a_volume(format!("it has no {FILE}")));
            }
            Err(e) => {
                return Err(Error::storage(
                    format!("cannot read {FILE} in {}", dir.display()),
                    e,
                ));
            }
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|e| not_a_volume(format!("{FILE} cannot be understood: {e}")))?;
        // The format before all else: a newer one may have values that cannot be understood here.
        let found = value
            .get("format")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        if found > u64::from(FORMAT) {
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(Error::NewerFormat {
                dir: dir.to_owned(),
                found,
                known: FORMAT,
            });
        }
        let config: Self = serde_json::from_value(value)
            .map_err(|e| not_a_volume(format!("{FILE} cannot be understood: {e}")))?;
        match ChunkBytes::new(config.chunk_bytes) {
            Some(_) => Ok(config),
            None => Err(not_a_volume(format!(
                "{FILE} has chunk_bytes {}",
                config.chunk_bytes
            ))),
        }
    }

    /// What can be understood of the damaged configuration of the volume in `dir`, and what cannot: its keys.
    ///
    /// # Errors
    /// [`Error::Storage`] where the host fails.
    pub(super) fn left_in(dir: &Path) -> Result<(Self, Vec<&'static str>)> {
        let bytes = match fs::read(dir.join(FILE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(Error::storage(format!("cannot read {FILE}"), e));
            }
            read => read.unwrap_or_default(),
        };
        let mut config = serde_json::to_value(Self::new(ChunkBytes::DEFAULT, BTreeMap::new()))
            .map_err(|e| Error::storage("cannot encode the configuration", e.into()))?;
        let mut missing = Vec::new();
        let has_origin = value_of(&bytes, ORIGIN).is_some_and(|found| !found.is_null());
        for key in KEYS.into_iter().chain(has_origin.then_some(ORIGIN)) {
            let mut more = config.clone();
            let understood = value_of(&bytes, key).is_some_and(|value| {
                more[key] = value;
                serde_json::from_value::<Self>(more.clone())
                    .is_ok_and(|one| ChunkBytes::new(one.chunk_bytes).is_some())
            });
            if understood {
                config = more;
            } else {
                missing.push(key);
            }
        }
        let config = serde_json::from_value(config)
            .map_err(|e| Error::storage("cannot encode the configuration", e.into()))?;
        Ok((config, missing))
    }

    /// Whether the volume in `dir` is protected. Of a configuration that is newer, or wrong elsewhere, this counts
    /// all the same.
    #[must_use]
    pub fn is_protected(dir: &Path) -> bool {
        let Ok(bytes) = fs::read(dir.join(FILE)) else {
            return false;
        };
        let value = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default();
        value.get("protection").is_some_and(|found| found == "on")
    }

    /// Writes the configuration durably into `dir`.
    ///
    /// # Errors
    /// [`Error::Storage`]; the old configuration then still stands.
    pub fn store(&self, dir: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::storage("cannot encode the configuration", e.into()))?;
        text.push(b'\n');
        durable::replace_file(&dir.join(FILE), &text)
            .map_err(|e| Error::storage(format!("cannot write {FILE} in {}", dir.display()), e))
    }
}

/// The value that follows a key, whatever is around it.
fn value_of(bytes: &[u8], key: &str) -> Option<serde_json::Value> {
    let quoted = format!("\"{key}\"");
    let at = bytes
        .windows(quoted.len())
        .position(|window| window == quoted.as_bytes())?;
    let rest = bytes.get(at + quoted.len()..)?.trim_ascii_start();
    let rest = rest.strip_prefix(b":")?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter();
    values.next()?.ok()
}

/// Changes the configuration of the volume in `dir`. Edits at the same time come one after the other.
///
/// # Errors
/// Those of [`Config::load`] and [`Config::store`].
pub fn edit(dir: &Path, change: impl FnOnce(&mut Config)) -> Result<()> {
    let _alone = lock_edits(dir)?;
    let mut config = Config::load(dir)?;
    change(&mut config);
    config.store(dir)
}

pub(super) fn lock_edits(dir: &Path) -> Result<File> {
    let cannot = |e| Error::storage(format!("cannot lock {}", dir.display()), e);
    // Not on `volume.json`, which each edit replaces, nor on `lock`, which a server holds for as long as it runs.
    let opened = File::open(dir).map_err(cannot)?;
    flock(&opened, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_in_a_damaged_configuration_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        let mut config = Config::new(ChunkBytes::new(4096).unwrap(), labels);
        config.life = Life::Ephemeral;
        config.store(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        let damaged = text
            .replacen('{', "?", 1)
            .replace("\"created\"", "\"creat?d\"");
        durable::replace_file(&path, damaged.as_bytes()).unwrap();
        assert!(Config::load(dir.path()).is_err());
        let (left, missing) = Config::left_in(dir.path()).unwrap();
        assert_eq!(missing, ["created"]);
        config.created.clone_from(&left.created);
        assert_eq!(left, config);
        fs::remove_file(&path).unwrap();
        let (left, missing) = Config::left_in(dir.path()).unwrap();
        assert_eq!(missing, KEYS);
        assert_eq!(left.chunk_bytes, ChunkBytes::DEFAULT.get());
    }
}
