//! `cask restore-volume`.

use crate::types::VolumeName;
use crate::volume::{Error, store::Trashed};

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::verbs::ls::trashed;
use crate::cli::{CliError, Kind, Result, output};

/// Bring a volume back out of the trash, and print its name
///
/// `cask rm --trash` put it there, and `cask ls --trash` shows what is there. Of several of the same name it is the
/// one that went last.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What the volume was called
    name: VolumeName,
    /// What to call it from now on, if not the same
    #[arg(long = "as", value_name = "NEW")]
    new: Option<VolumeName>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let newest = newest(&arguments.name, root)?;
    let name = arguments.new.as_ref().unwrap_or(&arguments.name);
    let restored = root.store().restore(&newest, name);
    restored.map_err(|error| refused(error, &newest, name))?;
    output::line(name.as_str())
}

fn newest(name: &VolumeName, root: &Root) -> Result<Trashed> {
    let found = trashed(root)?.into_iter().rfind(|one| one.name == *name);
    found.ok_or_else(|| missing(name))
}

fn missing(name: &VolumeName) -> CliError {
    CliError::new(
        Kind::NotFound,
        format!("there is no volume \"{name}\" in the trash"),
    )
    .hint("`cask ls --trash` shows what is there")
}

fn refused(error: Error, trashed: &Trashed, name: &VolumeName) -> CliError {
    match error {
        Error::NotFound => missing(&trashed.name),
        Error::Exists => CliError::new(Kind::Exists, format!("volume \"{name}\" exists already"))
            .hint(format!(
                "give the other a name of its own: `cask restore-volume {} --as NEW`",
                trashed.name
            )),
        error => Located {
            reference: VolumeRef::Dir(trashed.dir.clone()),
            dir: trashed.dir.clone(),
        }
        .explain_volume(error),
    }
}
