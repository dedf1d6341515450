//! Called as `docker-cask`: the same program as a plugin of Docker's command line, `docker cask ...`.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::{Result, output};

/// What the `docker` program asks a plugin first (docker/cli, cli-plugins/metadata).
const METADATA: &str = "docker-cli-plugin-metadata";

/// What docker wants of a plugin.
pub(in crate::cli) enum Wanted {
    /// Who it is.
    Metadata,
    /// A command: these are the arguments of `cask`.
    Command(Vec<OsString>),
}

/// Nothing if the program was called by another name.
pub(in crate::cli) fn wanted(arguments: &[OsString]) -> Option<Wanted> {
    let (program, rest) = arguments.split_first()?;
    if Path::new(program).file_name()? != "docker-cask" {
        return None;
    }
    match rest.split_first() {
        Some((first, _)) if first == METADATA => Some(Wanted::Metadata),
        // docker repeats the plugin's name.
        Some((first, rest)) if first == "cask" => {
            let words = std::iter::once(OsString::from("cask")).chain(rest.iter().cloned());
            Some(Wanted::Command(words.collect()))
        }
        _ => Some(Wanted::Command(arguments.to_vec())),
    }
}

pub(in crate::cli) fn introduce() -> Result<()> {
    let metadata = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "cask",
        "Version": env!("CARGO_PKG_VERSION"),
        "ShortDescription": "Volumes with snapshots, clones and rollback",
    });
    output::line(&metadata.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_name_it_is_called_by_decides() {
        assert!(wanted(&words(&["/usr/bin/cask", "ls"])).is_none());
        let metadata = wanted(&words(&["/x/docker-cask", METADATA]));
        assert!(matches!(metadata, Some(Wanted::Metadata)));
        let Some(Wanted::Command(command)) = wanted(&words(&["docker-cask", "cask", "ls", "-q"]))
        else {
            panic!("no command");
        };
        assert_eq!(command, words(&["cask", "ls", "-q"]));
    }
}
