//! `cask export`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, linkat, open};
use rustix::io::Errno;

use crate::durable;

use crate::cli::archive;
use crate::cli::locate::Root;
use crate::cli::progress::Progress;
use crate::cli::source::{Origin, Source, find, kind_of, with_any};
use crate::cli::state_ref::AnyState;
use crate::cli::{CliError, Kind, Result, output};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;
/// An archive holds what only the volume's owner may read.
const MODE: u32 = 0o600;

/// Write a volume, or a snapshot of one, as a tar archive
///
/// A file gets its name when it is whole.
///
/// The archive is in the form of POSIX (pax) and holds owners, modes, times to the nanosecond, extended
/// attributes and ACLs, hard links, devices and holes. Of a volume that is in use, it holds the moment at which
/// the export began.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// What to export; with REMOTE, a snapshot there
    #[arg(value_name = "[REMOTE:]NAME[@SNAP]", value_parser = AnyState::parser())]
    state: AnyState,
    /// The archive, which must not exist; otherwise it goes to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if arguments.output.is_none() && io::stdout().is_terminal() {
        return Err(
            CliError::new(Kind::Usage, "an archive is not for a terminal")
                .hint("name a file with -o, or pass it on with a pipe"),
        );
    }
    with_any(&arguments.state, root, |origin, source| {
        match &arguments.output {
            None => write(origin, source, io::stdout().lock()).and_then(|()| output::sync()),
            Some(path) => write_file(origin, source, path),
        }
    })
}

fn write_file(origin: &Origin, source: &dyn Source, path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    match unnamed_beside(path) {
        Ok(file) => {
            write_whole(origin, source, &file, path)?;
            // By way of /proc, as open(2) has it for O_TMPFILE: AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH.
            let fd = format!("/proc/self/fd/{}", file.as_raw_fd());
            let named = linkat(CWD, fd, CWD, path, AtFlags::SYMLINK_FOLLOW);
            let named = named.map_err(io::Error::from);
            named
                .and_then(|()| durable::sync_parent(path))
                .map_err(|e| cannot_create(path, e))
        }
        // EISDIR is the answer of a kernel that does not know O_TMPFILE (open(2)).
        Err(e) if e == Errno::OPNOTSUPP || e == Errno::ISDIR => write_named(origin, source, path),
        Err(e) => Err(cannot_create(path, e.into())),
    }
}

/// A file that is gone with this process, unless it gets its name.
fn unnamed_beside(path: &Path) -> rustix::io::Result<File> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    open(dir.unwrap_or(Path::new(".")), flags, MODE.into()).map(File::from)
}

/// Where files cannot be without a name, what is begun has one.
fn write_named(origin: &Origin, source: &dyn Source, path: &Path) -> Result<()> {
    let mut options = File::options();
    let created = options.write(true).create_new(true).mode(MODE).open(path);
    let file = created.map_err(|e| cannot_create(path, e))?;
    let written = write_whole(origin, source, &file, path);
    if written.is_err()
        && let Err(e) = std::fs::remove_file(path)
    {
        output::warn(&format!("a part of it stays in {}: {e}", path.display()));
    }
    written
}

fn write_whole(origin: &Origin, source: &dyn Source, file: &File, path: &Path) -> Result<()> {
    write(origin, source, file)?;
    file.sync_all().map_err(|e| {
        CliError::new(Kind::Failed, format!("cannot write {}", path.display())).because(e)
    })
}

fn exists(path: &Path) -> CliError {
    CliError::new(Kind::Exists, format!("{} exists already", path.display()))
        .hint("nothing is overwritten: name another file")
}

fn cannot_create(path: &Path, e: io::Error) -> CliError {
    if e.kind() == io::ErrorKind::AlreadyExists {
        return exists(path);
    }
    CliError::new(Kind::Failed, format!("cannot create {}", path.display())).because(e)
}

fn write(origin: &Origin, source: &dyn Source, out: impl Write) -> Result<()> {
    let out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let progress = Progress::start("exporting");
    let written = find(source, Path::new("/"))
        .and_then(|top| archive::write::write(source, &top, out, &|bytes| progress.add(bytes)));
    written.map_err(|error| {
        CliError::new(kind_of(&error), format!("cannot export {}", origin.said))
            .because(error)
            .hint("the archive is of no use")
    })
}
