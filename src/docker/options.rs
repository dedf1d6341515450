//! The options of `docker volume create -o KEY=VALUE`.

use std::collections::BTreeMap;

use super::target::Target;
use super::{Error, Result};
use crate::remote::{RemoteRef, RemoteRefError};
use crate::types::{ChunkBytes, Compression, Limits, Schedule, bytes_of};
use crate::volume::{Config, Life, Prefetch, RootOwner};

const KNOWN: &str = "size, inodes, uid, gid, mode, compress, chunk-size, ephemeral, schedule, from, prefetch, label.KEY";

/// What a new volume shall be.
#[derive(Debug)]
pub(super) struct MountRequest {
    pub(super) config: Config,
    pub(super) owner: RootOwner,
    /// What it is a clone of.
    pub(super) from: Option<Origin>,
    /// What of a snapshot in a remote is fetched before it is needed.
    pub(super) prefetch: Option<Prefetch>,
    /// What a clone does not take over from its origin.
    pub(super) limits: Limits,
}

/// What a new volume is made of.
#[derive(Debug)]
pub(super) enum Origin {
    /// A volume of this root, or a snapshot of it.
    Here(Target),
    /// A snapshot in a remote.
    Remote(RemoteRef),
}

impl Origin {
    /// Names of volumes have no colon.
    fn parse(text: &str) -> Result<Self> {
        // Behind an `@` there may be one, in the name of a snapshot.
        if !text.split('@').next().unwrap_or_default().contains(':') {
            return Target::parse(text).map(Self::Here);
        }
        let parsed = text.parse().map(Self::Remote);
        parsed.map_err(|e: RemoteRefError| Error::BadOption(format!("option from={text}: {e}")))
    }
}

/// Parses the options; one that is not known is refused by its name.
pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<MountRequest> {
    let mut request = MountRequest {
        config: Config::new(ChunkBytes::DEFAULT, BTreeMap::new()),
        owner: RootOwner {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            mode: 0o755,
        },
        from: None,
        prefetch: None,
        limits: Limits::default(),
    };
    for (key, value) in options {
        set(&mut request, key, value).ok_or_else(|| {
            Error::BadOption(format!(
                "option {key}={value} makes no sense; known are: {KNOWN}"
            ))
        })??;
    }
    request.config.limits = request.limits;
    if request.prefetch.is_some() && !matches!(request.from, Some(Origin::Remote(_))) {
        let what = "option prefetch makes no sense without from=REMOTE:VOLUME";
        return Err(Error::BadOption(what.to_owned()));
    }
    Ok(request)
}

/// Nothing when the value is none for the key, or the key is not known.
fn set(request: &mut MountRequest, key: &str, value: &str) -> Option<Result<()>> {
    match key {
        "size" => request.limits.bytes = Some(bytes_of(value).filter(|&bytes| bytes > 0)?),
        "inodes" => {
            request.limits.inodes = Some(value.parse().ok().filter(|&count: &u64| count > 0)?);
        }
        "uid" => request.owner.uid = value.parse().ok()?,
        "gid" => request.owner.gid = value.parse().ok()?,
        "mode" => {
            let mode = u32::from_str_radix(value, 8).ok();
            request.owner.mode = mode.filter(|mode| *mode <= crate::types::MODE_BITS)?;
        }
        "compress" => request.config.compression = value.parse::<Compression>().ok()?,
        "schedule" => request.config.schedule = value.parse::<Schedule>().ok()?,
        "chunk-size" => {
            let length = bytes_of(value).and_then(|bytes| u32::try_from(bytes).ok());
            request.config.chunk_bytes = length.and_then(ChunkBytes::new)?.get();
        }
        "ephemeral" => match value {
            "" | "true" | "1" => request.config.life = Life::Ephemeral,
            "false" | "0" => {}
            _ => return None,
        },
        "from" => match Origin::parse(value) {
            Ok(from) => request.from = Some(from),
            Err(error) => return Some(Err(error)),
        },
        "prefetch" => request.prefetch = Some(value.parse().ok()?),
        _ => {
            let label = key
                .strip_prefix("label.")
                .filter(|label| !label.is_empty())?;
            request
                .config
                .labels
                .insert(label.to_owned(), value.to_owned());
        }
    }
    Some(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(options: &[(&str, &str)]) -> Result<MountRequest> {
        let pairs = options.iter();
        parse(
            &pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn options_are_understood_and_unknown_ones_are_named() {
        let wished = request(&[
            ("size", "10G"),
            ("uid", "999"),
            ("mode", "0700"),
            ("compress", "zstd:3"),
            ("chunk-size", "64K"),
            ("ephemeral", "true"),
            ("from", "db@before"),
            ("schedule", "hourly=24,daily=7"),
            ("label.tier", "hot"),
        ])
        .unwrap();
        assert_eq!(wished.config.limits.bytes, Some(10 << 30));
        assert_eq!((wished.owner.uid, wished.owner.mode), (999, 0o700));
        assert_eq!(wished.config.compression, Compression::Zstd(3));
        assert_eq!(wished.config.chunk_bytes, 65_536);
        assert_eq!(wished.config.life, Life::Ephemeral);
        assert!(matches!(wished.from, Some(Origin::Here(from)) if from.to_string() == "db@before"));
        assert_eq!(wished.config.schedule.to_string(), "hourly=24 daily=7");
        let scheduled = request(&[("from", "db@auto-2026-11-26T23:00")]).unwrap();
        assert!(matches!(scheduled.from, Some(Origin::Here(_))));
        let far = request(&[("from", "s3:db@before")]).unwrap();
        assert!(
            matches!(far.from, Some(Origin::Remote(from)) if from.to_string() == "s3:db@before")
        );
        let some = request(&[("from", "s3:db"), ("prefetch", "metadata")]).unwrap();
        assert_eq!(some.prefetch, Some(Prefetch::Metadata));
        let none = request(&[("from", "s3:db"), ("prefetch", "none")]).unwrap();
        assert_eq!(none.prefetch, Some(Prefetch::None));
        assert!(request(&[("from", "db"), ("prefetch", "all")]).is_err());
        assert_eq!(wished.config.labels["tier"], "hot");
        for bad in [
            ("sise", "1G"),
            ("size", "big"),
            ("size", "0"),
            ("mode", "999"),
            ("schedule", "hourly"),
            ("label.", "x"),
        ] {
            let refused = request(&[bad]).unwrap_err().to_string();
            assert!(
                refused.contains(bad.0) && refused.contains("chunk-size"),
                "{refused}"
            );
        }
    }
}
