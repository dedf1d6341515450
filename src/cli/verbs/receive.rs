//! `cask receive`.

use std::io::{self, BufReader, IsTerminal, Read};
use std::time::Instant;

use serde::Serialize;

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::progress::Told;
use crate::cli::source::with_rows;
use crate::cli::state_ref::StateRef;
use crate::cli::transferring::Transferring;
use crate::cli::verbs::snapshot::{self, name_by_time};
use crate::cli::{CliError, Kind, Result, output};
use crate::commands::mounted::refuse_used;
use crate::control::Op;
use crate::remote::{self, Base, Opening, StreamReader};
use crate::server::with_closed;
use crate::transfer::{self, Received, ResumeToken};
use crate::types::{SnapshotName, VolumeNameError};
use crate::volume::{Landing, Receiving, Seal};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Make a volume of what `cask send` writes, read from standard input, and print its name
///
/// The volume is all that was sent: inode numbers, hard links, holes, extended attributes and ACLs, times and
/// owners, and the snapshot by its name. Every byte is verified. It appears under its name when all of it is there; a
/// stream that was cut can be gone on with.
///
/// A stream that builds on an earlier snapshot (`cask send --from`) needs a volume that has that snapshot, is not
/// mounted, and has not changed since: the new state is its newest snapshot, and its files, at once.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume: a name, or a directory; otherwise what it is called where it comes from
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: Option<VolumeRef>,
    /// Also where the volume has changed since: what it holds now is kept as a snapshot, and the name of that printed
    #[arg(long)]
    force: bool,
    /// Print how far a stream came that was cut, for `cask send --resume`
    #[arg(long, requires = "volume", conflicts_with_all = ["force", "abort"])]
    token: bool,
    /// Remove what came of a stream that was cut
    #[arg(long, requires = "volume", conflicts_with = "force")]
    abort: bool,
    /// text, or json: an object a line, how far it is once a second, and at the end what was made
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = Told::parse)]
    format: Told,
}

/// What was made: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    volume: String,
    snapshot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
    inodes: u64,
    bytes: u64,
    received: u64,
    seconds: f64,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if let Some(volume) = &arguments.volume {
        if arguments.token {
            return tell_token(&target(volume, root));
        }
        if arguments.abort {
            return abort(&target(volume, root));
        }
    }
    if io::stdin().is_terminal() {
        return Err(CliError::new(Kind::Usage, "a stream is not typed in")
            .hint("pass it on with a pipe: cask send … | cask receive"));
    }
    let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
    let begun = StreamReader::begin(input);
    let (stream, opening) = begun.map_err(|e| refuse(e.into(), "cannot receive"))?;
    let volume = match &arguments.volume {
        Some(volume) => volume.clone(),
        None => named(&opening)?,
    };
    let accepting = Accepting {
        arguments,
        opening: &opening,
        located: target(&volume, root),
    };
    accepting.run(stream, root)
}

/// The volume, which need not be there.
fn target(volume: &VolumeRef, root: &Root) -> Located {
    let dir = root.dir_of(volume);
    // What takes the volume's place must not take that of a link to it.
    let found = dir.canonicalize().or_else(|_| std::path::absolute(&dir));
    let dir = found.unwrap_or(dir);
    Located {
        reference: volume.clone(),
        dir,
    }
}

fn named(opening: &Opening) -> Result<VolumeRef> {
    let parsed = opening.volume_name.parse().map(VolumeRef::Name);
    parsed.map_err(|error: VolumeNameError| {
        CliError::new(Kind::Usage, error.to_string()).hint("give the volume a name")
    })
}

fn tell_token(located: &Located) -> Result<()> {
    let kept = transfer::kept_of(&located.dir);
    match kept.map_err(|e| explain(e, located))? {
        Some(token) => output::line(&token.to_string()),
        None => Err(nothing_left(located)),
    }
}

fn abort(located: &Located) -> Result<()> {
    match Receiving::abort(&located.dir) {
        Ok(true) => Ok(()),
        Ok(false) => Err(nothing_left(located)),
        Err(error) => Err(explain(error.into(), located)),
    }
}

fn nothing_left(located: &Located) -> CliError {
    let message = format!("nothing is left of a stream for {located}");
    CliError::new(Kind::NotFound, message).hint("begin anew: cask send … | cask receive")
}

/// A stream that is accepted, or not.
struct Accepting<'a> {
    arguments: &'a Arguments,
    opening: &'a Opening,
    located: Located,
}

impl Accepting<'_> {
    fn run<R: Read>(&self, mut stream: StreamReader<R>, root: &Root) -> Result<()> {
        let started = Instant::now();
        self.look(root)?;
        let (opening, located) = (self.opening, &self.located);
        let begun = transfer::begin_receive(&located.dir, opening, opening.facts.compression);
        let mut receiving = begun.map_err(|e| explain(e, located))?;
        let watch = Transferring::start(self.arguments.format, "receiving");
        let received = transfer::receive(&mut stream, &mut receiving, &watch);
        let token = ResumeToken::of(opening, receiving.kept());
        let received =
            received.map_err(|error| explain(error, located).hint(go_on(located, &token)))?;
        let kept = self.land(receiving, &received, &token)?;
        let name = located.reference.typed();
        let view = View {
            volume: name.clone(),
            snapshot: format!("{name}@{}", opening.name),
            kept: kept.as_ref().map(|kept| format!("{name}@{kept}")),
            inodes: received.inodes,
            bytes: received.bytes,
            received: received.moved,
            seconds: started.elapsed().as_secs_f64(),
        };
        let printed = view.kept.clone().unwrap_or(name);
        watch.end(&printed, &view)
    }

    /// Refuses early what could not be done at the end.
    fn look(&self, root: &Root) -> Result<()> {
        let located = &self.located;
        let Some(base) = &self.opening.base else {
            let taken = std::fs::read_dir(&located.dir).map(|mut entries| entries.next().is_some());
            return match taken {
                Ok(true) => Err(located.explain_volume(crate::volume::Error::Exists)),
                Ok(false) | Err(_) => Ok(()),
            };
        };
        let (found, config) = root.open(&located.reference)?;
        if config.seal == Seal::Sealed {
            return Err(located.explain_volume(crate::volume::Error::ReadOnly));
        }
        refuse_used(&found)?;
        let list = snapshot::list(&found, &Op::Snapshots)?;
        if list.iter().any(|one| one.name == self.opening.name) {
            let message = format!("{found} has a snapshot \"{}\" already", self.opening.name);
            return Err(CliError::new(Kind::Exists, message).hint("it may be there already"));
        }
        self.look_at_base(&found, base)
    }

    /// Whether the volume has the very state that the stream builds on, and nothing else.
    fn look_at_base(&self, found: &Located, base: &Base) -> Result<()> {
        let state = StateRef {
            volume: found.reference.clone(),
            snapshot: Some(base.name.clone()),
        };
        let digest = with_rows(found, (&state, &base.name), |state| {
            transfer::state_digest(state).map_err(|e| explain(e, found))
        })?;
        if digest != base.digest {
            let message = format!(
                "snapshot \"{}\" of {found} is another than the stream builds on",
                base.name
            );
            return Err(CliError::new(Kind::Failed, message)
                .hint("send from a snapshot that both have, or all of it under a new name"));
        }
        let changes = with_closed(&found.dir, |volume| {
            volume.diff(&volume.snapshot(&base.name)?, None)
        });
        let changes = changes.map_err(|e| found.explain(e))?;
        if !changes.is_empty() && !self.arguments.force {
            return Err(self.changed(&base.name));
        }
        Ok(())
    }

    fn changed(&self, base: &SnapshotName) -> CliError {
        let located = &self.located;
        let message = format!("{located} has changed since snapshot \"{base}\"");
        CliError::new(Kind::Failed, message).hint(format!(
            "`cask diff {}@{base}` shows how; with --force what it holds now is kept as a snapshot",
            located.reference.typed()
        ))
    }

    /// Puts in place what came; the snapshot of what the volume held before, where that was to be kept.
    fn land(
        &self,
        receiving: Receiving,
        received: &Received,
        token: &ResumeToken,
    ) -> Result<Option<SnapshotName>> {
        let (opening, located) = (self.opening, &self.located);
        let failed =
            |e: crate::volume::Error| explain(e.into(), located).hint(go_on(located, token));
        let snapshot = received.snapshot(opening);
        let Some(base) = &opening.base else {
            let config = transfer::received_config(opening);
            let config = config.map_err(|e| explain(e, located))?;
            receiving.finish(&config, &snapshot).map_err(failed)?;
            return Ok(None);
        };
        let safety = self
            .arguments
            .force
            .then(|| name_by_time("before-receive-"));
        let landing = receiving.join(&base.name, safety.as_ref(), &snapshot);
        match landing.map_err(failed)? {
            Landing::Joined => {}
            Landing::Changed => return Err(self.changed(&base.name)),
        }
        // Taken only where there was something to keep.
        let list = snapshot::list(located, &Op::Snapshots)?;
        Ok(safety.filter(|name| list.iter().any(|one| one.name == *name)))
    }
}

fn go_on(located: &Located, token: &ResumeToken) -> String {
    let name = located.reference.typed();
    if token.chunks() == 0 {
        return "send it again".to_owned();
    }
    format!(
        "what came is kept: go on with `cask send … --resume {token}`, or remove it with `cask receive --abort {name}`"
    )
}

fn explain(error: transfer::Error, located: &Located) -> CliError {
    match error {
        transfer::Error::Volume(error) => located.explain_volume(error),
        error => refuse(error, &format!("cannot receive {located}")),
    }
}

fn refuse(error: transfer::Error, message: &str) -> CliError {
    let hint = match &error {
        transfer::Error::Remote(remote::Error::NoStream) => "read what `cask send` writes",
        transfer::Error::Remote(remote::Error::Newer { .. }) => "use a newer cask",
        transfer::Error::Lacking => "wait until all has come: `cask inspect` tells what it lacks",
        transfer::Error::Unfit(_) => "send it without --resume",
        _ => "no volume was made or changed; send it again",
    };
    CliError::new(Kind::Failed, message)
        .because(error)
        .hint(hint)
}
