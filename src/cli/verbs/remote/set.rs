//! `cask remote set`.

use crate::cli::locate::Root;
use crate::cli::quantity::{parse_bytes, parse_rate};
use crate::cli::remotes::{choose, explain};
use crate::cli::{Result, output};
use crate::remote::{Settings, check_endpoint};
use crate::types::RemoteName;
use crate::volume::ChunkCache;

/// Change what this host knows of a remote
///
/// Keys: limit-up (bytes a second that are sent at most, such as 20M, or none), endpoint, region (or none), cache (bytes
/// that what is read of volumes with --prefetch none may take here, such as 20G; 10G where nothing is set, 0 keeps
/// nothing). What is used longest ago goes first.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The remote
    remote: RemoteName,
    /// What is set
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = Change::parse)]
    changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    LimitUp(Option<u64>),
    Endpoint(Option<String>),
    Region(Option<String>),
    Cache(u64),
}

impl Change {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("it is not KEY=VALUE")?;
        let given = (value != "none").then_some(value);
        let text = given.map(str::to_owned);
        match key {
            "limit-up" => given.map(parse_rate).transpose().map(Self::LimitUp),
            "endpoint" => {
                let checked = given.map_or(Ok(()), check_endpoint);
                checked.map_err(|e| e.to_string())?;
                Ok(Self::Endpoint(text))
            }
            "region" => Ok(Self::Region(text)),
            "cache" => parse_bytes(value).map(Self::Cache),
            _ => Err("a key is limit-up, endpoint, region or cache".to_owned()),
        }
    }

    fn apply(self, settings: &mut Settings) {
        match self {
            Self::LimitUp(limit) => settings.limit_up = limit,
            Self::Endpoint(url) => settings.endpoint = url,
            Self::Region(region) => settings.region = region,
            Self::Cache(bytes_max) => settings.cache = Some(bytes_max),
        }
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let dir = choose(root, Some(&arguments.remote))?;
    let mut settings = dir.settings().map_err(|e| explain(e, dir.name()))?;
    for change in arguments.changes.clone() {
        change.apply(&mut settings);
    }
    dir.set(&settings).map_err(|e| explain(e, dir.name()))?;
    if let Some(bytes_max) = settings.cache {
        let cache = ChunkCache::below(root.path(), settings.repository);
        if let Err(error) = cache.trim(bytes_max) {
            let dir = cache.dir().display();
            output::warn(&format!("{dir} takes more for now: {error}"));
        }
    }
    Ok(())
}
