//! `cask send`.

use std::io::{self, BufWriter, IsTerminal};

use crate::cli::locate::{Located, Root};
use crate::cli::progress::Told;
use crate::cli::source::with_rows;
use crate::cli::state_ref::{SnapshotRef, StateRef, explain as explain_state, no_snapshot, typed};
use crate::cli::transferring::Transferring;
use crate::cli::verbs::push::{host, volume_name};
use crate::cli::verbs::{snapshot, sync};
use crate::cli::{CliError, Kind, Result, output};
use crate::control::{Op, SnapshotInfo};
use crate::remote::{self, Base, Opening, VolumeFacts};
use crate::transfer::{self, ResumeToken, Sender};
use crate::types::SnapshotName;
use crate::volume::{Config, NamedChunks};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Write a snapshot of a volume to standard output, for `cask receive` on another host
///
/// Without a snapshot one is taken. With --from, chunks are left out that an earlier snapshot has, which who receives
/// must have; the rows of all files are sent, a few bytes each. The stream is compressed and not encrypted:
///
///   `cask send db@b --from @a | ssh HOST cask receive db`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Arguments {
    /// The volume, or a snapshot of it
    #[arg(value_name = "NAME[@SNAP]", value_parser = StateRef::parser())]
    state: StateRef,
    /// The snapshot that who receives has already
    #[arg(long, value_name = "@SNAP", value_parser = parse_snapshot)]
    from: Option<SnapshotName>,
    /// Go on with a stream that was cut: what `cask receive` said then, or `cask receive --token` says
    #[arg(long, value_name = "TOKEN", value_parser = str::parse::<ResumeToken>)]
    resume: Option<ResumeToken>,
}

fn parse_snapshot(text: &str) -> std::result::Result<SnapshotName, String> {
    let name = text.strip_prefix('@').unwrap_or(text);
    name.parse()
        .map_err(|e: crate::types::SnapshotNameError| e.to_string())
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if io::stdout().is_terminal() {
        return Err(CliError::new(Kind::Usage, "a stream is not for a terminal")
            .hint("pass it on with a pipe: cask send … | ssh HOST cask receive"));
    }
    let (located, config) = root.open(&arguments.state.volume)?;
    if let Some(token) = &arguments.resume
        && token.volume() != config.uuid
    {
        return Err(other_token("of another volume"));
    }
    let sending = Sending {
        arguments,
        located: &located,
        config: &config,
    };
    sending.run()
}

fn other_token(what: &str) -> CliError {
    CliError::new(Kind::Usage, format!("the token is {what}"))
        .hint("name what was sent when the stream was cut, or leave out --resume")
}

struct Sending<'a> {
    arguments: &'a Arguments,
    located: &'a Located,
    config: &'a Config,
}

impl Sending<'_> {
    fn run(&self) -> Result<()> {
        let (taken, base) = self.wanted()?;
        let chunks = NamedChunks::open(&self.located.dir);
        let chunks = chunks.map_err(|e| self.located.explain_volume(e))?;
        let sender = Sender::begin(self.arguments.resume.clone()).map_err(|e| self.explain(e))?;
        let base = base
            .map(|base| self.leave_out(&sender, &base))
            .transpose()?;
        let opening = self.opening(&taken, base);
        let watch = Transferring::start(Told::People, "sending");
        with_rows(
            self.located,
            (&self.arguments.state, &taken.name),
            |state| {
                let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
                let sent = sender.run((state, &chunks), (out, &opening), &watch);
                sent.map(drop).map_err(|e| self.explain(e))
            },
        )?;
        output::sync()
    }

    /// What is sent, and what who receives it has.
    fn wanted(&self) -> Result<(SnapshotInfo, Option<SnapshotInfo>)> {
        let (state, token) = (&self.arguments.state, &self.arguments.resume);
        let named = match (&state.snapshot, token) {
            (None, None) => Some(self.take()?),
            (name, _) => name.clone(),
        };
        let list = snapshot::list(self.located, &Op::Snapshots)?;
        let epoch = token.as_ref().map(ResumeToken::epoch);
        let taken = self.find(&list, named.as_ref(), epoch)?;
        let from = token.as_ref().and_then(ResumeToken::base);
        let base = match (&self.arguments.from, from) {
            (None, None) => None,
            (Some(_), None) if token.is_some() => return Err(other_token("of a whole stream")),
            (name, epoch) => Some(self.find(&list, name.as_ref(), epoch)?),
        };
        if base.as_ref().is_some_and(|base| base.epoch >= taken.epoch) {
            let message = format!("snapshot \"{}\" is no later one", taken.name);
            return Err(CliError::new(Kind::Usage, message)
                .hint("--from names a snapshot that was taken before it"));
        }
        Ok((taken, base))
    }

    fn take(&self) -> Result<SnapshotName> {
        sync::flush(self.located)?;
        let taken = snapshot::take_unnamed(self.located, "");
        let taken = taken.map_err(|(error, name)| explain_state(error, self.located, &name))?;
        // The next stream may build on it.
        output::note(&format!(
            "sending {}",
            typed(&self.arguments.state.volume, &taken)
        ));
        Ok(taken)
    }

    /// The snapshot of this name, or, for a token, of this epoch; both where both are given.
    fn find(
        &self,
        list: &[SnapshotInfo],
        name: Option<&SnapshotName>,
        epoch: Option<i64>,
    ) -> Result<SnapshotInfo> {
        let Some(name) = name else {
            let found = list.iter().find(|one| Some(one.epoch) == epoch);
            return found
                .cloned()
                .ok_or_else(|| other_token("of a snapshot that is not there any more"));
        };
        let found = list.iter().find(|one| one.name == *name);
        let found = found.ok_or_else(|| {
            no_snapshot(&SnapshotRef {
                volume: self.arguments.state.volume.clone(),
                name: name.clone(),
            })
        })?;
        if epoch.is_some_and(|epoch| epoch != found.epoch) {
            return Err(other_token("of another snapshot"));
        }
        Ok(found.clone())
    }

    fn leave_out(&self, sender: &Sender, base: &SnapshotInfo) -> Result<Base> {
        let state = (&self.arguments.state, &base.name);
        let digest = with_rows(self.located, state, |state| {
            sender.leave_out(state).map_err(|e| self.explain(e))
        })?;
        Ok(Base {
            name: base.name.clone(),
            epoch: base.epoch,
            digest,
        })
    }

    fn opening(&self, taken: &SnapshotInfo, base: Option<Base>) -> Opening {
        Opening {
            volume: self.config.uuid,
            volume_name: volume_name(self.located),
            name: taken.name.clone(),
            created: taken.created,
            epoch: taken.epoch,
            label: taken.label.clone(),
            host: host(),
            facts: VolumeFacts {
                chunk_bytes: self.config.chunk_bytes,
                compression: self.config.compression,
                labels: self.config.labels.clone(),
            },
            base,
            skipped: self
                .arguments
                .resume
                .as_ref()
                .map_or(0, ResumeToken::chunks),
        }
    }

    fn explain(&self, error: transfer::Error) -> CliError {
        let is_unread = matches!(&error, transfer::Error::Remote(remote::Error::Host { source, .. })
            if source.kind() == io::ErrorKind::BrokenPipe);
        let kind = if is_unread {
            Kind::Unread
        } else {
            Kind::Failed
        };
        let hint = match error {
            transfer::Error::Lacking => {
                "wait until all has come: `cask inspect` tells what it lacks"
            }
            transfer::Error::Unfit(_) => "leave out --resume to send all of it",
            transfer::Error::Chunk { .. } => "`cask check` tells what is damaged",
            _ => "the stream is of no use but to be gone on with",
        };
        CliError::new(kind, format!("cannot send {}", self.located))
            .because(error)
            .hint(hint)
    }
}
