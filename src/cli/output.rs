//! Standard output for data, standard error for everything else.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use rustix::fs::FileType;
use serde::Serialize;

use crate::cli::error::exit_code;
use crate::cli::format::{Format, json};
use crate::cli::{CliError, Kind, Result, host};
use crate::commands::words::harmless;

/// Prints `text` and the end of the line.
pub(super) fn line(text: &str) -> Result<()> {
    raw(&format!("{text}\n"))
}

/// Prints what people read, with names in it that somebody else may have chosen, on one line.
pub(super) fn sentence(text: &str) -> Result<()> {
    line(&harmless(text))
}

/// Prints `text` as it is. A reader who has seen enough is no failure.
pub(super) fn raw(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a part of what may be much.
///
/// # Errors
/// [`Kind::Unread`] when its reader has seen enough, so that the rest need not be made.
pub(super) fn part(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.map_err(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => CliError::new(Kind::Unread, "nobody reads it any more"),
        _ => cannot_write(e),
    })
}

/// Whether all that was printed has arrived, where standard output is a file: a filesystem may tell only when one
/// is closed that there was no space (NFS, FUSE).
pub(super) fn flush() -> Result<()> {
    let stdout = io::stdout();
    if !is_file(&stdout) {
        return Ok(());
    }
    // A copy is closed: NFS and FUSE say at each close(2) of a file what they could not store.
    let closed = rustix::io::fcntl_dupfd_cloexec(&stdout, 0);
    let closed = closed.map_err(io::Error::from).and_then(host::close);
    closed.map_err(cannot_write)
}

/// As [`flush`], and it is on the disk.
pub(super) fn sync() -> Result<()> {
    let stdout = io::stdout();
    if !is_file(&stdout) {
        return Ok(());
    }
    let synced = rustix::fs::fsync(&stdout);
    synced.map_err(|e| cannot_write(e.into()))
}

fn is_file(stdout: &io::Stdout) -> bool {
    let stat = rustix::fs::fstat(stdout);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

fn cannot_write(e: io::Error) -> CliError {
    CliError::new(Kind::Failed, "cannot write to standard output").because(e)
}

/// Prints a list as `format` asks: as `table` lays it out, or a line for each.
pub(super) fn listed<V: Serialize>(
    format: &Format,
    views: &[V],
    table: impl FnOnce(&[V]) -> String,
) -> Result<()> {
    match format {
        Format::Table => raw(&table(views)),
        Format::Json => views.iter().try_for_each(|view| line(&json(view)?)),
        Format::Template(template) => views
            .iter()
            .try_for_each(|view| line(&template.render(view)?)),
    }
}

/// Says something that the user should know although the command succeeds.
pub(super) fn warn(text: &str) {
    say(&format!("cask: warning: {text}"));
}

/// Says what a command has done whose standard output is for something else.
pub(super) fn note(text: &str) {
    say(&format!("cask: {text}"));
}

/// Says why a command failed; of a reader who has seen enough nothing needs to be said.
pub(super) fn complain(error: &CliError) {
    if error.kind() == Kind::Unread {
        return;
    }
    say(&format!("cask: {error}"));
}

/// Begins a line that the user ends.
pub(super) fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()));
    drop(stderr.flush());
}

/// Shows help or version, which succeeds, or what is wrong with the command line.
pub(super) fn usage(mut error: clap::Error) -> ExitCode {
    escape_arguments(&mut error);
    if error.print().is_err() || error.use_stderr() {
        return exit_code(Kind::Usage);
    }
    ExitCode::SUCCESS
}

/// What the error tells of the arguments may be names that somebody else has chosen.
fn escape_arguments(error: &mut clap::Error) {
    let own = |(kind, value): (ContextKind, &ContextValue)| match value {
        ContextValue::String(text) if text.contains(char::is_control) => {
            Some((kind, ContextValue::String(harmless(text))))
        }
        _ => None,
    };
    let escaped: Vec<_> = error.context().filter_map(own).collect();
    if !escaped.is_empty() {
        // It has them once more, with colours, which are control characters, too.
        error.remove(ContextKind::Suggested);
    }
    for (kind, value) in escaped {
        error.insert(kind, value);
    }
}

/// One line, as all that people are told of names. Where standard error cannot be written either, there is nobody left to
/// tell.
fn say(text: &str) {
    drop(writeln!(io::stderr(), "{}", harmless(text)));
}
