//! `cask check`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::control::{Answer, Op};
use crate::transfer::RemoteChunks;
use crate::types::{Checked, Repaired, with_causes};
use crate::volume::{self, ChunkSource, Config};

use crate::cli::format::{self, human_bytes};
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::progress::{Progress, Told};
use crate::cli::remotes::remotes;
use crate::cli::working::watched;
use crate::cli::{CliError, Kind, Result, output};
use crate::commands::mounted::refuse_used;

/// Look for damage in a volume, mounted or not, and repair it if asked
///
/// Checks the database, every invariant of its tables, and that each chunk lies within its segment; with
/// --read-data also that every stored byte is what was written. Damage is listed, with the files and snapshots that it
/// concerns, and is exit code 6.
///
/// With --repair, a volume that is not mounted is made sound again, as far as what is left allows, and each change is
/// told: the database is made anew of what can be read of it, names and counts fit each other again, what lost its
/// name is in `lost+found`, chunks that are damaged or lost are fetched from a remote that has them, and bytes that
/// are lost all the same read as an error until they are overwritten. The database as it was is kept beside it. All
/// data is read.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// Read and verify all data
    #[arg(long)]
    read_data: bool,
    /// Repair what is damaged
    #[arg(long)]
    repair: bool,
    /// Print nothing but damage, and what was changed
    #[arg(short, long)]
    quiet: bool,
    /// text, or json: an object a line, how far it is once a second, and at the end what was found
    #[arg(long, value_name = "FORMAT", default_value = "text", conflicts_with = "repair", value_parser = Told::parse)]
    format: Told,
}

/// What was found: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View<'c> {
    problems: &'c [String],
    lost: &'c [String],
    chunks: u64,
    bytes: u64,
    elsewhere: u64,
    seconds: f64,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if arguments.repair {
        repair(arguments, root)
    } else {
        check(arguments, root)
    }
}

fn check(arguments: &Arguments, root: &Root) -> Result<()> {
    let located = root.locate(&arguments.volume)?;
    Config::load(&located.dir).map_err(|e| damaged_or_none(&located, e))?;
    let since = Instant::now();
    let op = if arguments.read_data {
        Op::CheckData
    } else {
        Op::CheckMetadata
    };
    let progress = (!arguments.quiet).then(|| Progress::wait(arguments.format, "checking"));
    let answer = watched(&located.dir, &op, progress.as_ref());
    let answer = answer.map_err(|e| explain(&located, e))?;
    drop(progress);
    let Answer::Checked(checked) = answer else {
        let message = format!("{located} gave another answer");
        return Err(CliError::new(Kind::Failed, message));
    };
    match arguments.format {
        Told::Json => output::line(&format::json(&View::of(&checked, since.elapsed()))?)?,
        Told::People => checked
            .problems
            .iter()
            .try_for_each(|one| output::sentence(one))?,
    }
    if !checked.problems.is_empty() {
        let count = checked.problems.len();
        let message = format!("{located} is damaged: {count} things are wrong");
        return Err(CliError::new(Kind::Damaged, message).hint(format!(
            "restore what is listed from a backup or a snapshot that is not concerned; `cask check --repair {}` makes \
             the volume sound without it",
            arguments.volume.typed()
        )));
    }
    if arguments.quiet || arguments.format == Told::Json {
        return Ok(());
    }
    tell_sound(arguments, &checked, since.elapsed())
}

impl<'c> View<'c> {
    fn of(checked: &'c Checked, took: Duration) -> Self {
        Self {
            problems: &checked.problems,
            lost: &checked.lost,
            chunks: checked.chunks,
            bytes: checked.bytes,
            elsewhere: checked.elsewhere,
            seconds: took.as_secs_f64(),
        }
    }
}

fn tell_sound(arguments: &Arguments, checked: &Checked, took: Duration) -> Result<()> {
    for lost in &checked.lost {
        output::sentence(lost)?;
    }
    let read = if arguments.read_data {
        // A small volume is read in less than a millisecond.
        let rate = u128::from(checked.bytes) * 1000 / took.as_millis().max(1);
        let rate = human_bytes(u64::try_from(rate).unwrap_or(u64::MAX));
        format!(", {} read at {rate} a second", human_bytes(checked.bytes))
    } else {
        String::new()
    };
    let lost = match checked.lost.len() {
        0 => String::new(),
        count => format!("; bytes of {count} files are lost, as an earlier repair found"),
    };
    let elsewhere = match checked.elsewhere {
        0 => String::new(),
        count => format!("; {count} more are in the remote still"),
    };
    output::line(&format!(
        "{}: no damage in {} chunks{read}{elsewhere}{lost}",
        arguments.volume.typed(),
        checked.chunks
    ))
}

/// What has a database is a volume, of which the configuration is damaged.
fn damaged_or_none(located: &Located, error: volume::Error) -> CliError {
    match error {
        volume::Error::NotAVolume { .. } if located.dir.join("meta.db").is_file() => {
            CliError::new(Kind::Damaged, format!("{located} is damaged"))
                .because(error)
                .hint(how_to_repair(located))
        }
        error => located.explain_volume(error),
    }
}

fn explain(located: &Located, error: crate::server::Error) -> CliError {
    let explained = located.explain(error);
    match explained.kind() {
        Kind::Damaged => explained.hint(how_to_repair(located)),
        _ => explained,
    }
}

fn how_to_repair(located: &Located) -> String {
    format!(
        "`cask check --repair {}` makes it sound, with what can be read",
        located.reference.typed()
    )
}

fn repair(arguments: &Arguments, root: &Root) -> Result<()> {
    let located = root.locate(&arguments.volume)?;
    refuse_used(&located)?;
    let progress = (!arguments.quiet).then(|| Progress::wait(Told::People, "repairing"));
    let watch = |bytes| progress.iter().for_each(|shown| shown.verified(bytes));
    let (remotes, unlisted) = sources(root);
    let asked: Vec<&dyn ChunkSource> = remotes.iter().map(|one| one as &dyn ChunkSource).collect();
    let done = volume::repair_from(&located.dir, &asked, &watch);
    drop(progress);
    let done = done.map_err(|e| match e {
        // There is nothing else to try.
        volume::Error::Corrupt(_) => located
            .explain_volume(e)
            .hint("restore it from a backup; nothing was changed"),
        e => located.explain_volume(e),
    })?;
    let troubles = remotes.iter().filter_map(RemoteChunks::trouble);
    let unlisted = unlisted.filter(|_| !done.lost.is_empty());
    for trouble in unlisted.into_iter().chain(troubles) {
        output::sentence(&format!("not all could be looked for: {trouble}"))?;
    }
    tell(arguments, &done)
}

/// Where chunks may be that the volume has lost, and why it is not known of some remotes.
fn sources(root: &Root) -> (Vec<RemoteChunks>, Option<String>) {
    match remotes(root).all() {
        Ok(found) => (found.into_iter().map(RemoteChunks::of).collect(), None),
        // What is damaged and nowhere else has to be repaired all the same.
        Err(error) => (Vec::new(), Some(with_causes(&error))),
    }
}

fn tell(arguments: &Arguments, done: &Repaired) -> Result<()> {
    for change in &done.changes {
        output::sentence(change)?;
    }
    if let Some(kept) = &done.kept {
        output::line(&format!("the database as it was: {}", kept.display()))?;
    }
    if arguments.quiet {
        return Ok(());
    }
    let lost = match done.lost.len() {
        0 => String::new(),
        count => format!("; bytes of {count} files are lost"),
    };
    let volume = arguments.volume.typed();
    output::line(&match done.changes.len() {
        0 => format!("{volume}: nothing to repair{lost}"),
        count => format!("{volume}: repaired, in {count} changes{lost}"),
    })
}
