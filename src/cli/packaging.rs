//! What a package has besides the program, written from the definitions of the commands: `packaging/`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::command::Arguments;
use super::verbs::man;

/// Where each shell looks for the completions of `cask`, below `packaging/completions/`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "cask.bash"),
    (Shell::Zsh, "_cask"),
    (Shell::Fish, "cask.fish"),
];

/// The files, by their paths below `packaging/`.
#[must_use]
pub fn packaging() -> Vec<(String, Vec<u8>)> {
    let pages = man::pages(Arguments::command()).into_iter();
    let mut files: Vec<_> = pages
        .map(|(name, page)| (format!("man/{name}"), page))
        .collect();
    for (shell, name) in COMPLETIONS {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "cask", &mut script);
        files.push((format!("completions/{name}"), script));
    }
    files
}
