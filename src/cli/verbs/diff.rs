//! `cask diff`.

use serde::Serialize;

use crate::commands::diff::{compare, letter};
use crate::commands::words::one_line;
use crate::control::{Change, ChangeKind};
use crate::remote::RemoteRef;
use crate::server;
use crate::transfer;
use crate::types::SnapshotName;

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::remotes;
use crate::cli::source::pushed_tree;
use crate::cli::state_ref::{AnySnapshot, SnapshotRef};
use crate::cli::verbs::sync;
use crate::cli::{CliError, Kind, Result, format, output};

/// Show what changed between two states of a volume
///
/// A line a path, sorted: `+` it came, `-` it went, `M` its bytes changed, `R` it was renamed
/// (`old -> new`), `U` only its attributes changed, `T` it is of another type. A file of several names is
/// told of by each. The cost is that of what changed, not of what is there.
///
/// In paths, control characters, `\` and what is not UTF-8 are escaped (`\n`, `\\`, `\xff`).
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The older state; with REMOTE, of a volume there, at the cost of a look at all that tells of files
    #[arg(value_name = "[REMOTE:]NAME@SNAP", value_parser = AnySnapshot::parser())]
    from: AnySnapshot,
    /// The newer state, of the same volume; without it, the volume as it is now, or its newest snapshot in the remote
    #[arg(value_name = "[REMOTE:]NAME@SNAP", value_parser = AnySnapshot::parser())]
    to: Option<AnySnapshot>,
    /// Print an object a line: change, path and old_path; where a path is not UTF-8, path_bytes or
    /// old_path_bytes has its bytes
    #[arg(long)]
    json: bool,
}

/// A change in JSON: the field names are published.
#[derive(Debug, Serialize)]
struct View {
    change: ChangeKind,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path_bytes: Option<Vec<u8>>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let printer = Printer {
        json: arguments.json,
    };
    let told = match (&arguments.from, &arguments.to) {
        (AnySnapshot::Here(from), None) => compare_here(from, None, root, &printer),
        (AnySnapshot::Here(from), Some(AnySnapshot::Here(to))) => {
            compare_here(from, Some(to), root, &printer)
        }
        (AnySnapshot::There(from), None) => printer.print(compare_there(from, None, root)?),
        (AnySnapshot::There(from), Some(AnySnapshot::There(to))) => {
            printer.print(compare_there(from, Some(to), root)?)
        }
        (AnySnapshot::Here(_), Some(AnySnapshot::There(_)))
        | (AnySnapshot::There(_), Some(AnySnapshot::Here(_))) => {
            let message = "one of the two is in a remote, and the other is here";
            return Err(CliError::new(Kind::Usage, message)
                .hint("push the one that is here, and compare both there"));
        }
    };
    // A reader who has seen enough ends the comparison, and is no failure.
    told.or_else(|error| match error.kind() {
        Kind::Unread => Ok(()),
        _ => Err(error),
    })
}

/// Prints changes as they come.
struct Printer {
    json: bool,
}

impl Printer {
    fn print(&self, changes: Vec<Change>) -> Result<()> {
        let mut text = String::new();
        for change in changes {
            text.push_str(&if self.json {
                format::json(&View::of(change))?
            } else {
                line(&change)
            });
            text.push('\n');
        }
        output::part(&text)
    }
}

fn compare_here(
    from: &SnapshotRef,
    to: Option<&SnapshotRef>,
    root: &Root,
    printer: &Printer,
) -> Result<()> {
    let (located, _) = root.open(&from.volume)?;
    let to = match to {
        Some(to) => Some(same_volume(to, &from.volume, &located, root)?),
        None => {
            // Else what programs have just written would not be among the changes.
            sync::flush(&located)?;
            None
        }
    };
    compare(&located, &from.name, to, |changes| printer.print(changes))
}

fn compare_there(from: &RemoteRef, to: Option<&RemoteRef>, root: &Root) -> Result<Vec<Change>> {
    let newest = RemoteRef {
        snapshot: None,
        ..from.clone()
    };
    let to = to.unwrap_or(&newest);
    if (&to.remote, &to.volume) != (&from.remote, &from.volume) {
        let message = format!("{from} and {to} are not of one volume");
        return Err(CliError::new(Kind::Usage, message).hint("compare two snapshots of one volume"));
    }
    let repository = remotes::open(&remotes::choose(root, Some(&from.remote))?)?;
    let (old, new) = (
        pushed_tree(from, &repository)?,
        pushed_tree(to, &repository)?,
    );
    let changes = transfer::compare(&old, &new).map_err(|e| {
        remotes::explain_transfer(e, &from.remote, |e| {
            CliError::new(Kind::Failed, format!("cannot compare {from} and {to}")).because(e)
        })
    })?;
    Ok(changes.into_iter().map(server::change).collect())
}

fn same_volume<'a>(
    to: &'a SnapshotRef,
    volume: &VolumeRef,
    located: &Located,
    root: &Root,
) -> Result<&'a SnapshotName> {
    if to.volume != *volume && root.locate(&to.volume)?.dir != located.dir {
        let message = format!("{volume} and {} are not the same volume", to.volume);
        return Err(CliError::new(Kind::Usage, message).hint("compare two snapshots of one volume"));
    }
    Ok(&to.name)
}

fn line(change: &Change) -> String {
    let (letter, path) = (letter(change.kind), escape(&change.path.0));
    match &change.old_path {
        Some(old) => format!("{letter} {} -> {path}", escape(&old.0)),
        None => format!("{letter} {path}"),
    }
}

/// The path on one line, whatever is in it.
fn escape(path: &[u8]) -> String {
    one_line(path, |_| false)
}

impl View {
    fn of(change: Change) -> Self {
        let old = change.old_path.map(|path| path.0);
        let bytes = |path: &Vec<u8>| std::str::from_utf8(path).is_err().then(|| path.clone());
        let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
        Self {
            change: change.kind,
            path: text(&change.path.0),
            path_bytes: bytes(&change.path.0),
            old_path: old.as_ref().map(text),
            old_path_bytes: old.as_ref().and_then(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Bytes;

    #[test]
    fn a_line_is_one_line() {
        let change = Change {
            kind: ChangeKind::Renamed,
            path: Bytes(b"a\xff\n".to_vec()),
            old_path: Some(Bytes("\\\u{e4}\u{1b}".into())),
        };
        assert_eq!(line(&change), "R \\\\\u{e4}\\u{1b} -> a\\xff\\n");
    }
}
