//! `cask completions`.

use clap_complete::Shell;

use crate::cli::{Result, output};

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example: cask completions bash > /etc/bash_completion.d/cask")]
pub(in crate::cli) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// `program` is all that the command line may say.
pub(in crate::cli) fn run(arguments: &Arguments, program: &mut clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, program, "cask", &mut script);
    output::raw(&String::from_utf8_lossy(&script))
}
