//! `cask check`.

use std::time::Instant;

use crate::control::{Answer, Op};
use crate::server;

use super::format::human_bytes;
use super::locate::{Root, VolumeRef};
use super::progress::Progress;
use super::{CliError, Kind, Result, output};

/// Look for damage in a volume, mounted or not; nothing is changed
///
/// Checks the database, every invariant of its tables, and that each chunk lies within its segment; with
/// --read-data also that every stored byte is what was written. Damage is listed, with the files and snapshots that it
/// concerns, and is exit code 6.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// Read and verify all data
    #[arg(long)]
    read_data: bool,
    /// Print nothing but damage
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let (located, _) = root.open(&arguments.volume)?;
    let since = Instant::now();
    let progress = (!arguments.quiet).then(|| Progress::start("checking"));
    let op = if arguments.read_data {
        Op::CheckData
    } else {
        Op::CheckMetadata
    };
    let answer = server::perform(&located.dir, &op).map_err(|e| located.explain(e))?;
    drop(progress);
    let Answer::Checked(checked) = answer else {
        return Err(CliError::new(
            Kind::Failed,
            format!("{located} gave another answer"),
        ));
    };
    for problem in &checked.problems {
        output::line(problem)?;
    }
    if !checked.problems.is_empty() {
        let message = format!(
            "{located} is damaged: {} things are wrong",
            checked.problems.len()
        );
        return Err(CliError::new(Kind::Damaged, message)
            .hint("restore what is listed from a backup or a snapshot that is not concerned"));
    }
    if arguments.quiet {
        return Ok(());
    }
    let read = if arguments.read_data {
        let seconds = since.elapsed().as_millis().max(1);
        let rate = u128::from(checked.bytes) * 1000 / seconds;
        let rate = human_bytes(u64::try_from(rate).unwrap_or(u64::MAX));
        format!(", {} read at {rate} a second", human_bytes(checked.bytes))
    } else {
        String::new()
    };
    output::line(&format!(
        "{}: no damage in {} chunks{read}",
        arguments.volume.typed(),
        checked.chunks
    ))
}
