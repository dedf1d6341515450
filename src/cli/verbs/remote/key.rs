//! `cask remote key`.

use clap::Subcommand;
use serde::Serialize;

use super::secret::Secret;
use crate::cli::format::{self, Format};
use crate::cli::locate::Root;
use crate::cli::remotes::{choose, explain, open};
use crate::cli::{CliError, Kind, Result, output};
use crate::remote::{Error, KeyId, KeyKind, RemoteDir, StoredKey, rotate_key};
use crate::types::RemoteName;

/// Manage what opens a repository
///
/// A repository has one master key, which encrypts all that is stored there, and which is kept wrapped: once for each
/// key file or passphrase. These commands add and remove wrapped keys, and change nothing else. Whoever had the
/// master key, as each host has that uses the repository, has it still, and reads what is there and what comes: to
/// shut somebody out take the rights on the store away, or push to a new repository.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let one more key file or passphrase open a repository, and print the key's id
    Add {
        /// The remote
        remote: RemoteName,
        #[command(flatten)]
        secret: Secret,
    },
    /// List the keys of a repository
    ///
    /// Fields for templates and in JSON: Id, Kind (key-file or passphrase), Created (by the store's clock), Here (whether
    /// this host opened the repository with it).
    #[command(visible_alias = "list")]
    Ls {
        /// The remote
        remote: RemoteName,
        /// table, json (an object a line), or a template such as '{{.Id}}'
        #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse)]
        format: Format,
    },
    /// Remove a key from a repository: its key file or passphrase opens it no more
    ///
    /// The last one stays. Hosts that use the repository go on, also those that opened it with this key; see `cask
    /// remote key --help`.
    Rm {
        /// The remote
        remote: RemoteName,
        /// The key, as `cask remote key ls` shows it
        #[arg(value_name = "KEY_ID")]
        key: KeyId,
        /// Also the key that this host opened the repository with
        #[arg(long)]
        used_here: bool,
    },
    /// Put a new key file or passphrase in the place of the one that this host used, and print the key's id
    ///
    /// The old one opens the repository no more. If this is killed at least one of the two does, and the same
    /// command again does the rest. Nothing is encrypted anew: whoever had the master key has it still; see `cask remote
    /// key --help`.
    Rotate {
        /// The remote
        remote: RemoteName,
        #[command(flatten)]
        secret: Secret,
    },
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    match &arguments.command {
        Command::Add { remote, secret } => {
            let source = secret.read()?;
            let dir = choose(root, Some(remote))?;
            let added = open(&dir)?.add_key(&source);
            let id = added.map_err(|e| explain(e, dir.name()))?;
            output::line(&id.to_string())
        }
        Command::Ls { remote, format } => list(&choose(root, Some(remote))?, format),
        Command::Rm {
            remote,
            key,
            used_here,
        } => {
            let own = if *used_here { Own::Goes } else { Own::Stays };
            remove(&choose(root, Some(remote))?, key, own)
        }
        Command::Rotate { remote, secret } => rotate(&choose(root, Some(remote))?, secret),
    }
}

/// A key as it is shown: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    id: String,
    kind: KeyKind,
    created: String,
    here: bool,
}

fn list(dir: &RemoteDir, format: &Format) -> Result<()> {
    let failed = |e| explain(e, dir.name());
    let own = dir.settings().map_err(failed)?.key;
    let mut found = open(dir)?.keys().map_err(failed)?;
    for error in &found.damaged {
        output::warn(&error.to_string());
    }
    found
        .whole
        .sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    let view = |one: &StoredKey| View {
        id: one.id.to_string(),
        kind: one.kind,
        created: jiff::Timestamp::from_second(one.created)
            .unwrap_or_default()
            .to_string(),
        here: own.as_ref() == Some(&one.id),
    };
    let views: Vec<_> = found.whole.iter().map(view).collect();
    output::listed(format, &views, table)
}

fn table(views: &[View]) -> String {
    let mut rows = vec![["ID", "KIND", "CREATED", "HERE"].map(str::to_owned)];
    rows.extend(views.iter().map(|view| {
        let kind = match view.kind {
            KeyKind::Passphrase => "passphrase",
            KeyKind::KeyFile => "key-file",
        };
        let here = if view.here { "yes" } else { "" };
        [&view.id, kind, &view.created, here].map(str::to_owned)
    }));
    format::columns(&rows)
}

/// What becomes of the key that this host used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Stays,
    Goes,
}

fn remove(dir: &RemoteDir, key: &KeyId, own: Own) -> Result<()> {
    let failed = |e| explain(e, dir.name());
    let mut settings = dir.settings().map_err(failed)?;
    let is_own = settings.key.as_ref() == Some(key);
    if is_own && own == Own::Stays {
        let message = format!("this host opened remote \"{}\" with key {key}", dir.name());
        return Err(CliError::new(Kind::InUse, message).hint(
            "`cask remote key rotate` puts another in its place; --used-here removes it all the same",
        ));
    }
    match open(dir)?.remove_key(key) {
        Err(error @ Error::NotThere(_)) => {
            let error = CliError::new(
                Kind::NotFound,
                format!("cannot use remote \"{}\"", dir.name()),
            )
            .because(error);
            let hint = format!("`cask remote key ls {}` shows what is there", dir.name());
            return Err(error.hint(hint));
        }
        removed => removed.map_err(failed)?,
    }
    if is_own {
        settings.key = None;
        dir.set(&settings).map_err(failed)?;
    }
    Ok(())
}

fn rotate(dir: &RemoteDir, secret: &Secret) -> Result<()> {
    let failed = |e| explain(e, dir.name());
    let source = secret.read()?;
    let before = dir.settings().map_err(failed)?;
    let fresh = rotate_key(dir, &open(dir)?, &source).map_err(failed)?;
    if before.retiring.is_none() && before.key.as_ref() == Some(&fresh) {
        output::warn("this host opened the repository with it already: nothing was changed");
    }
    output::line(&fresh.to_string())
}
