//! Whether a volume holds anything that would be lost with it.

use crate::control::Op;

use crate::cli::format::human_bytes;
use crate::cli::locate::Located;
use crate::cli::verbs::snapshot;
use crate::cli::{CliError, Kind, Result, usage};

/// What would be lost.
#[derive(Debug)]
pub(super) enum Contents {
    /// The volume is as it was made.
    Nothing,
    /// This, in words.
    Data(String),
    /// It cannot be opened: there may be something.
    Unknown(CliError),
}

/// Looks into a volume; one that somebody has open is no answer, but an error.
pub(super) fn of(located: &Located) -> Result<Contents> {
    match count(located) {
        Ok((inodes, bytes, snapshots)) => Ok(told(inodes, bytes, snapshots)),
        Err(error) if error.kind() == Kind::InUse => Err(error),
        Err(error) => Ok(Contents::Unknown(error.unhinted())),
    }
}

/// Inodes without the root, bytes in files, and snapshots.
fn count(located: &Located) -> Result<(u64, u64, usize)> {
    let usage = usage::of(located)?;
    let snapshots = snapshot::list(located, &Op::Snapshots)?;
    let inodes = usage.inodes.saturating_sub(1);
    Ok((inodes, usage.logical_bytes, snapshots.len()))
}

fn told(inodes: u64, bytes: u64, snapshots: usize) -> Contents {
    let data = match inodes {
        0 => None,
        1 => Some(format!("{} in 1 file or directory", human_bytes(bytes))),
        many => Some(format!(
            "{} in {many} files and directories",
            human_bytes(bytes)
        )),
    };
    let taken = match snapshots {
        0 => None,
        1 => Some("1 snapshot".to_owned()),
        many => Some(format!("{many} snapshots")),
    };
    let all: Vec<String> = data.into_iter().chain(taken).collect();
    if all.is_empty() {
        return Contents::Nothing;
    }
    Contents::Data(all.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_lost_is_told_in_words() {
        let words = |inodes, bytes, snapshots| match told(inodes, bytes, snapshots) {
            Contents::Data(words) => words,
            other => format!("{other:?}"),
        };
        assert_eq!(words(0, 0, 0), "Nothing");
        assert_eq!(words(1, 5, 0), "5B in 1 file or directory");
        assert_eq!(words(0, 0, 1), "1 snapshot");
        assert_eq!(
            words(3, 2048, 2),
            "2.0KiB in 3 files and directories and 2 snapshots"
        );
    }
}
