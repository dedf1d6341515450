//! `cask create`.

use std::collections::BTreeMap;

use crate::types::{ChunkBytes, Compression, Limits, Schedule, ScrubRate};
use crate::volume::{Config, Life, RootOwner, store};

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::quantity::{Limit, merge, parse_count, parse_size};
use crate::cli::verbs::resize::warn_if_over_disk;
use crate::cli::{Result, output};

/// Create a volume and print its name
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// A name (letters, digits, `_`, `.`, `-`), or a directory: any argument with a `/`
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// Attach a label; may be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
    /// Owner of the root directory; default: you
    #[arg(long, value_name = "N")]
    uid: Option<u32>,
    /// Group of the root directory; default: yours
    #[arg(long, value_name = "N")]
    gid: Option<u32>,
    /// Permissions of the root directory, in octal
    #[arg(long, value_name = "MODE", default_value = "0755", value_parser = parse_mode)]
    mode: u32,
    /// Where files are cut into chunks: a power of two from 4K to 1M
    #[arg(long, value_name = "SIZE", default_value = "128K", value_parser = parse_chunk_size)]
    chunk_size: ChunkBytes,
    /// How much its files may hold: a number with K, M, G, T or P; `cask resize` changes it
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<Limit>,
    /// How many files, directories and so on it may hold
    #[arg(long, value_name = "N", value_parser = parse_count)]
    inodes: Option<Limit>,
    /// How chunks are compressed: none, lz4, zstd or zstd:LEVEL
    #[arg(long, value_name = "HOW", default_value = "none")]
    compress: Compression,
    /// How many bytes a second the server reads again in the background to find damage: a number with K, M or G, or off
    #[arg(long, value_name = "RATE", default_value = "off")]
    scrub_rate: ScrubRate,
    /// Which snapshots are taken by themselves, and how many stay: such as "hourly=24 daily=7 weekly=4 monthly=12", or off
    #[arg(long, value_name = "WHEN", default_value = "off")]
    schedule: Schedule,
    /// Remove the volume when its last mount is gone
    #[arg(long)]
    ephemeral: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let labels: BTreeMap<_, _> = arguments.labels.iter().cloned().collect();
    let mut config = Config::new(arguments.chunk_size, labels);
    config.limits = merge(Limits::default(), arguments.size, arguments.inodes);
    config.compression = arguments.compress;
    config.scrub_rate = arguments.scrub_rate;
    config.schedule = arguments.schedule;
    if arguments.ephemeral {
        config.life = Life::Ephemeral;
    }
    let owner = RootOwner {
        uid: arguments
            .uid
            .unwrap_or_else(|| rustix::process::getuid().as_raw()),
        gid: arguments
            .gid
            .unwrap_or_else(|| rustix::process::getgid().as_raw()),
        mode: arguments.mode,
    };
    create(&arguments.volume, &config, owner, root)?;
    warn_if_over_disk(&root.locate(&arguments.volume)?, config.limits);
    output::line(&arguments.volume.typed())
}

/// Creates a volume as `cask create` does without options.
pub(in crate::cli) fn create_plain(volume: &VolumeRef, root: &Root) -> Result<()> {
    let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
    let owner = RootOwner {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        mode: 0o755,
    };
    create(volume, &config, owner, root)
}

fn create(volume: &VolumeRef, config: &Config, owner: RootOwner, root: &Root) -> Result<()> {
    let created = match volume {
        VolumeRef::Name(name) => root.store().create(name, config, owner),
        VolumeRef::Dir(dir) => store::create_at(dir, config, owner),
    };
    created.map_err(|error| {
        let wanted = Located {
            reference: volume.clone(),
            dir: root.dir_of(volume),
        };
        wanted.explain_volume(error)
    })
}

/// Parses `KEY=VALUE`.
pub(in crate::cli) fn parse_label(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is KEY=VALUE".to_owned()),
    }
}

fn parse_mode(text: &str) -> std::result::Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= crate::types::MODE_BITS => Ok(mode),
        Ok(_) | Err(_) => Err("a mode is an octal number up to 7777".to_owned()),
    }
}

fn parse_chunk_size(text: &str) -> std::result::Result<ChunkBytes, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1024),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1024 * 1024),
            None => (text, 1),
        },
    };
    let bytes = digits
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    bytes
        .and_then(ChunkBytes::new)
        .ok_or_else(|| "a chunk size is a power of two from 4K to 1M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_modes_are_checked() {
        assert_eq!(parse_chunk_size("128K"), Ok(ChunkBytes::DEFAULT));
        assert_eq!(parse_chunk_size("131072"), Ok(ChunkBytes::DEFAULT));
        assert!(parse_chunk_size("1M").is_ok());
        for bad in ["", "K", "3K", "2M", "2K", "-4K", "4096M"] {
            assert!(parse_chunk_size(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_mode("0750"), Ok(0o750));
        assert!(parse_mode("888").is_err() && parse_mode("10000").is_err());
    }
}
