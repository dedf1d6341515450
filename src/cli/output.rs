//! Standard output for data, standard error for everything else.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::format::{Format, json};
use super::{CliError, Kind, Result};

/// Prints `text` and the end of the line.
pub(super) fn line(text: &str) -> Result<()> {
    raw(&format!("{text}\n"))
}

/// Prints `text` as it is. A reader who has seen enough is no failure.
pub(super) fn raw(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new(Kind::Failed, "cannot write to standard output").because(e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
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

/// Says why a command failed.
pub(super) fn complain(error: &CliError) {
    say(&format!("cask: {error}"));
}

/// Begins a line that the user ends.
pub(super) fn prompt(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()));
    drop(stderr.flush());
}

/// Shows help or version, which succeeds, or what is wrong with the command line.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    if error.print().is_err() || error.use_stderr() {
        return ExitCode::from(Kind::Usage.code());
    }
    ExitCode::SUCCESS
}

/// Where standard error cannot be written either, there is nobody left to tell.
fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
