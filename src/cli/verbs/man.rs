//! `cask man`.

use std::path::{Path, PathBuf};

use crate::cli::{CliError, Kind, Result};
use crate::durable;

/// Write the manual pages into a directory
///
/// A page for each command, such as cask-snapshot.1.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example: cask man /usr/local/share/man/man1")]
pub(in crate::cli) struct Arguments {
    /// The directory, which must be there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// `program` is all that the command line may say.
pub(in crate::cli) fn run(arguments: &Arguments, program: clap::Command) -> Result<()> {
    for (name, page) in pages(program) {
        write(&arguments.dir.join(&name), &page)?;
    }
    Ok(())
}

fn write(path: &Path, page: &[u8]) -> Result<()> {
    durable::replace_file(path, page).map_err(|e| {
        CliError::new(Kind::Failed, format!("cannot write {}", path.display()))
            .because(e)
            .hint("name a directory that you may write to")
    })
}

/// The pages of `program` and its commands, each with the name of its file.
pub(in crate::cli) fn pages(program: clap::Command) -> Vec<(String, Vec<u8>)> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(&program, "cask", &mut pages);
    pages
}

fn add(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    // By the name that it is called by, and not by that of the page: `cask snapshot ls`.
    let shown = clap_mangen::Man::new(command.clone().display_name(name.to_owned()))
        .source(concat!("cask ", env!("CARGO_PKG_VERSION")))
        .manual("cask");
    let mut page = Vec::new();
    if shown.render(&mut page).is_ok() {
        pages.push((format!("{name}.1"), page));
    }
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        add(below, &format!("{name}-{}", below.get_name()), pages);
    }
}
