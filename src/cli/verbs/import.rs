//! `cask import`.

mod fill;
mod from_tar;
mod from_tree;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::cli::archive::read::Reader;
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::source::Failure;
use crate::cli::{CliError, Kind, Result, output};
use crate::server;
use crate::types::ChunkBytes;
use crate::volume::{self, Config, RootOwner, Seal, Tuning, Volume, store};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Make a volume of a tar archive or a directory, and print its name
///
/// Kept are owners, modes, times, extended attributes and ACLs, hard links, devices and holes. If anything
/// fails there is no new volume.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The new volume: a name, or a directory
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// A tar archive, not compressed; a directory; or `-` for an archive from standard input
    #[arg(value_name = "TAR|DIR|-")]
    from: PathBuf,
    /// Let nobody change the volume, ever
    #[arg(long)]
    seal: bool,
}

/// Why a volume could not be made.
enum Trouble {
    New(volume::Error),
    From(Failure),
}

impl From<volume::Error> for Trouble {
    fn from(error: volume::Error) -> Self {
        Self::New(error)
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    // Before a volume is begun: what cannot be read leaves none.
    let origin = Origin::open(&arguments.from)?;
    let tuning = server::tuning_of_environment().map_err(|e| {
        CliError::new(Kind::Usage, e.to_string())
            .hint("unset it; docs/architecture.md has its keys")
    })?;
    let build = |fresh: &Path| {
        make(origin, fresh, tuning)?;
        if arguments.seal {
            store::edit(fresh, |config| config.seal = Seal::Sealed)?;
        }
        Ok(())
    };
    let built = match &arguments.volume {
        VolumeRef::Name(name) => root.store().build(name, build),
        VolumeRef::Dir(dir) => store::build_at(dir, build),
    };
    built.map_err(|trouble| match trouble {
        Trouble::New(error) => {
            let reference = arguments.volume.clone();
            let dir = root.dir_of(&reference);
            Located { reference, dir }.explain_volume(error)
        }
        Trouble::From(failure) => {
            let message = format!("cannot import {}", arguments.from.display());
            CliError::new(Kind::Failed, message)
                .because(failure)
                .hint("no volume was made")
        }
    })?;
    output::line(&arguments.volume.typed())
}

/// Where the content comes from.
enum Origin {
    Tree(OwnedFd),
    Archive(Box<dyn Read>),
}

impl Origin {
    fn open(from: &Path) -> Result<Self> {
        if from == OsStr::new("-") {
            return Ok(Self::Archive(Box::new(io::stdin())));
        }
        let cannot = |e: io::Error| {
            CliError::new(Kind::Failed, format!("cannot read {}", from.display()))
                .because(e)
                .hint("name a tar archive or a directory, or - for standard input")
        };
        let file = File::open(from).map_err(cannot)?;
        if file.metadata().map_err(cannot)?.is_dir() {
            return Ok(Self::Tree(file.into()));
        }
        Ok(Self::Archive(Box::new(file)))
    }
}

fn make(origin: Origin, fresh: &Path, tuning: Tuning) -> std::result::Result<(), Trouble> {
    let config = Config::new(ChunkBytes::DEFAULT, std::collections::BTreeMap::new());
    let owner = RootOwner {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        mode: 0o755,
    };
    volume::create(fresh, &config, owner)?;
    let volume = Volume::open_with(fresh, tuning)?;
    let filled = match origin {
        Origin::Tree(top) => from_tree::fill(&volume, top),
        Origin::Archive(input) => {
            let input = BufReader::with_capacity(BUFFER_BYTES, input);
            from_tar::fill(&volume, Reader::new(input))
        }
    };
    // Not closed after an error: the directory is removed with all that is in it.
    filled.map_err(Trouble::From)?;
    Ok(volume.close()?)
}
