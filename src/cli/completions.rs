//! `cask completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Result, output};

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example: cask completions bash > /etc/bash_completion.d/cask")]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "cask", &mut script);
    output::raw(&String::from_utf8_lossy(&script))
}
