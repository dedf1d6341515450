//! `cask export`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::archive;
use super::locate::{Located, Root};
use super::source::{Source, with_source};
use super::state_ref::StateRef;
use super::{CliError, Kind, Result, output};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Write a volume, or a snapshot of one, as a tar archive
///
/// The archive is in the form of POSIX (pax) and holds owners, modes, times to the nanosecond, extended
/// attributes and ACLs, hard links, devices and holes. Of a volume that is in use, an archive holds each
/// file as it was when it was read: export a snapshot to have one moment.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to export
    #[arg(value_name = "NAME[@SNAP]", value_parser = StateRef::parser())]
    state: StateRef,
    /// The archive, which must not exist; otherwise it goes to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if arguments.output.is_none() && io::stdout().is_terminal() {
        return Err(
            CliError::new(Kind::Usage, "an archive is not for a terminal")
                .hint("name a file with -o, or pass it on with a pipe"),
        );
    }
    with_source(&arguments.state, root, |located, source| {
        match &arguments.output {
            None => write(located, source, io::stdout().lock()),
            Some(path) => write_file(located, source, path),
        }
    })
}

fn write_file(located: &Located, source: &dyn Source, path: &Path) -> Result<()> {
    let mut options = File::options();
    // An archive holds what only the volume's owner may read.
    let created = options.write(true).create_new(true).mode(0o600).open(path);
    let file = created.map_err(|e| {
        if e.kind() == io::ErrorKind::AlreadyExists {
            return CliError::new(Kind::Exists, format!("{} exists already", path.display()))
                .hint("nothing is overwritten: name another file");
        }
        CliError::new(Kind::Failed, format!("cannot create {}", path.display())).because(e)
    })?;
    let written = write(located, source, &file).and_then(|()| {
        file.sync_all().map_err(|e| {
            CliError::new(Kind::Failed, format!("cannot write {}", path.display())).because(e)
        })
    });
    if written.is_err()
        && let Err(e) = std::fs::remove_file(path)
    {
        output::warn(&format!("a part of it stays in {}: {e}", path.display()));
    }
    written
}

fn write(located: &Located, source: &dyn Source, out: impl Write) -> Result<()> {
    let out = BufWriter::with_capacity(BUFFER_BYTES, out);
    archive::write::write(source, out).map_err(|error| {
        CliError::new(Kind::Failed, format!("cannot export {located}"))
            .because(error)
            .hint("the archive is of no use")
    })
}
