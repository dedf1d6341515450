//! `cask remote add`.

use super::secret::Secret;
use crate::cli::locate::Root;
use crate::cli::remotes::{explain, remotes};
use crate::cli::{CliError, Kind, Result, output};
use crate::remote::{Error, Making, NewRemote, RemoteUrl, Settings};
use crate::types::RemoteName;

/// Let this host use a repository, or make one, and print what its store can do
///
/// The store is tried first: what it promises and does not keep is found out, and a store that shows objects that
/// are not whole is refused. Credentials for S3 come from the usual environment (AWS_ACCESS_KEY_ID,
/// AWS_SECRET_ACCESS_KEY, AWS_REGION, ...), a web identity, or the instance's metadata.
///
/// The repository's key is kept below the root, where only its owner can read it. Without the key file or the
/// passphrase nobody can use what is stored there on another host: keep a copy of it elsewhere.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What it is to be called here
    name: RemoteName,
    /// s3://BUCKET/PREFIX, or file:///DIRECTORY
    url: RemoteUrl,
    /// Make a new repository there
    #[arg(long)]
    create: bool,
    /// The URL of an S3 store that is not AWS
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The region of the bucket
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    #[command(flatten)]
    secret: Secret,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let name = &arguments.name;
    let remotes = remotes(root);
    let is_there = || remotes.dir_of(name).is_there();
    let exists = || {
        let message = format!("remote \"{name}\" exists already");
        CliError::new(Kind::Exists, message).hint("choose another name")
    };
    if is_there() {
        return Err(exists());
    }
    let source = arguments.secret.read()?;
    let new = NewRemote {
        url: arguments.url.clone(),
        endpoint: arguments.endpoint.clone(),
        region: arguments.region.clone(),
    };
    let making = if arguments.create {
        Making::New
    } else {
        Making::Existing
    };
    let settings = match remotes.add(name, &new, &source, making) {
        // Another command was faster.
        Err(Error::Exists { .. }) if is_there() => return Err(exists()),
        added => added.map_err(|e| explain(e, name))?,
    };
    for line in settings.ability.lines() {
        output::line(line)?;
    }
    if arguments.create {
        output::line(&recovery_sheet(arguments, &settings))?;
    }
    Ok(())
}

/// What has to be known on a host that knows nothing.
fn recovery_sheet(arguments: &Arguments, settings: &Settings) -> String {
    let option = |name: &str, value: &Option<String>| {
        let value = value.as_ref();
        value.map_or(String::new(), |value| format!(" {name} {value}"))
    };
    let (endpoint, region) = (
        option("--endpoint", &settings.endpoint),
        option("--region", &settings.region),
    );
    format!(
        "\nTo use it on another host, keep this and the key file or passphrase, elsewhere than on this host:\n  \
         repository {}\n  \
         cask remote add {} {}{endpoint}{region} --key-file FILE (or --passphrase-file FILE)\n\
         Without the key nobody can read what is stored, nor make another key for it.",
        settings.repository, arguments.name, settings.url
    )
}
