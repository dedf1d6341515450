//! `cask web`.

use std::path::PathBuf;

use crate::cli::locate::Root;
use crate::cli::{CliError, Kind, Result, output};
use crate::server;
use crate::types::LoopbackAddress;
use crate::web::{Changes, Error, Listening, PublicOrigin, Token, Wanted};

/// Serve a page with the volumes, to look at and look after them in a browser
///
/// Prints the address to open, with a token in it, once: whoever has the token may do what the page can do. The page shows
/// what volumes take and do, their snapshots, and the files of each state; it downloads and restores files, takes
/// snapshots, makes clones, rolls back and sets schedules, with the same refusals as the commands. `/metrics` has what
/// `cask metrics` prints, for whoever sends the token as `Authorization: Bearer TOKEN`.
///
/// Only this host reaches it. For others put a proxy with HTTPS before it, and tell its name by --origin. SIGTERM or SIGINT
/// ends it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Where to listen: 127.0.0.1 or [::1], and a port; with port 0 a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9751")]
    listen: LoopbackAddress,
    /// Keep the token in this file: it is read if it exists, else it is made
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Refuse all changes
    #[arg(long)]
    read_only: bool,
    /// How browsers reach a proxy before it, such as https://volumes.example.org
    #[arg(long, value_name = "URL")]
    origin: Option<PublicOrigin>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let token = match &arguments.token_file {
        Some(path) => Token::of_file(path),
        None => Token::random(),
    };
    let changes = if arguments.read_only {
        Changes::Refused
    } else {
        Changes::Allowed
    };
    let wanted = Wanted {
        root: root.clone(),
        address: arguments.listen,
        token: token.map_err(explain)?,
        changes,
        public: arguments.origin.clone(),
    };
    // Each connection and each download has files open.
    if let Err(error) = server::raise_limits() {
        log::debug!("{error}");
    }
    let page = Listening::at(wanted).map_err(explain)?;
    output::line(&page.url())?;
    page.serve().map_err(explain)
}

fn explain(error: Error) -> CliError {
    let hint = match &error {
        Error::PortInUse { .. } => {
            "name another with --listen 127.0.0.1:PORT, or end who listens there".to_owned()
        }
        Error::TokenMode { path, .. } => {
            format!(
                "others may have read it: remove the file for a new token, or `chmod 600 {}`",
                path.display()
            )
        }
        Error::TokenOwner { .. } => "name a file of your own".to_owned(),
        Error::NoToken { .. } => "remove the file, and a new token is made".to_owned(),
        Error::TokenFile { .. } => "name a file in a directory that you may write".to_owned(),
        Error::Listen { .. } => "name another address with --listen".to_owned(),
        Error::Random(_) | Error::Serve(_) => "try again".to_owned(),
    };
    let kind = match &error {
        Error::PortInUse { .. } => Kind::InUse,
        _ => Kind::Failed,
    };
    let message = "cannot serve the page";
    CliError::new(kind, message).because(error).hint(hint)
}
