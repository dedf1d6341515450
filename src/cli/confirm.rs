//! Asking the user before something is lost, where there is a user to ask.

use std::io::{self, IsTerminal};

use crate::cli::{CliError, Kind, Result, output};

/// What the user says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// Go on.
    Yes,
    /// Anything else.
    No,
}

/// Whether somebody is there who can be asked.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks; whoever only presses return, or nothing at all, says no.
pub(super) fn ask(question: &str) -> Result<Reply> {
    output::prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|e| {
        CliError::new(Kind::Failed, "cannot read the answer")
            .because(e)
            .hint("use -f to be asked nothing")
    })?;
    Ok(reply(&answer))
}

fn reply(answer: &str) -> Reply {
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Reply::Yes,
        _ => Reply::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Y\r\n", " yes \n", "y"] {
            assert_eq!(reply(yes), Reply::Yes, "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yy\n", "ye\n", "no\n"] {
            assert_eq!(reply(no), Reply::No, "{no:?}");
        }
    }
}
