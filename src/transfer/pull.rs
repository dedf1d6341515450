//! A snapshot out of a repository: rows first, then the chunks that they name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::fetch::{Fetched, Fetches, Window};
use super::near::Near;
use super::{Error, Progress, Result, Watch};
use crate::remote::{self, Place, PushState, RemoteSnapshot, Repository, windows};
use crate::types::{ChunkBytes, FarPlace, RemoteName};
use crate::volume;
use crate::volume::{
    ArrivedSnapshot, Arriving, Awaited, ChunkSource, Config, Deadline, Origin, Prefetch, Rows,
};

/// Places that are looked at together.
const PLACES: u32 = 4096;

/// Makes the volume of a snapshot in `dir`, which must not exist. All of it is verified, and durable when this returns.
///
/// # Errors
/// [`Error::Pending`]; see [`Error`]. What was begun in `dir` is left there, and is no volume.
pub fn pull(
    repository: &Repository,
    snapshot: &RemoteSnapshot,
    made: (&Path, &Config),
    watch: &dyn Watch,
) -> Result<()> {
    pull_beside(&[], repository, snapshot, made, watch)
}

/// As [`pull`]; chunks that `near` has are not fetched.
///
/// # Errors
/// As [`pull`].
pub fn pull_beside(
    near: &[&dyn ChunkSource],
    repository: &Repository,
    snapshot: &RemoteSnapshot,
    (dir, config): (&Path, &Config),
    watch: &dyn Watch,
) -> Result<()> {
    if snapshot.state != PushState::Published {
        return Err(Error::Pending(snapshot.name.to_string()));
    }
    let mut pulling = Pulling::begin(repository, (dir, config), watch)?;
    pulling.take_rows(snapshot)?;
    pulling.take_chunks(near)?;
    Ok(pulling.arriving.finish(snapshot.numbers)?)
}

/// As [`pull_beside`], of several snapshots of one volume, the oldest first: each is a snapshot of the new volume, and
/// the last is its head. What is equal in them is fetched and stored once.
///
/// # Errors
/// As [`pull`]; [`Error::Volume`] when two have one name.
pub fn pull_all(
    near: &[&dyn ChunkSource],
    repository: &Repository,
    snapshots: &[RemoteSnapshot],
    (dir, config): (&Path, &Config),
    watch: &dyn Watch,
) -> Result<()> {
    let arriving = Arriving::begin_states(dir, config)?;
    let mut pulling = Pulling::into(repository, arriving, watch);
    for snapshot in snapshots {
        if snapshot.state != PushState::Published {
            return Err(Error::Pending(snapshot.name.to_string()));
        }
        pulling.take_rows(snapshot)?;
        pulling.arriving.end_state(&ArrivedSnapshot {
            name: snapshot.name.clone(),
            created: snapshot.created,
            label: snapshot.label.clone(),
            numbers: snapshot.numbers,
        })?;
    }
    pulling.take_chunks(near)?;
    Ok(pulling.arriving.finish_states()?)
}

/// What is said of where chunks are to be fetched from, once they are needed.
#[derive(Debug, Clone)]
pub struct LaterFrom {
    /// The root whose remote it is.
    pub root: PathBuf,
    /// The remote.
    pub remote: RemoteName,
    /// What is fetched before it is needed.
    pub prefetch: Prefetch,
    /// How long a read waits for the store.
    pub deadline: Deadline,
    /// Whether the volume may be used before it is known here what files it has.
    pub ahead: Ahead,
}

/// Whether a volume may be used before its tables are here: that takes a server that another can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// It may.
    Allowed,
    /// All that tells of files comes first.
    Refused,
}

/// From so many inodes on a volume is used before it is known here what files it has.
const MANY_INODES: u64 = 20_000;

/// As [`pull`], without the chunks: the volume fetches them when they are needed, and in the background. Where `ahead`
/// allows it, and there are many, so it does what tells of files.
///
/// # Errors
/// As [`pull`]; [`Error::Remote`] when the snapshot was forgotten meanwhile.
pub fn pull_rows(
    repository: &Repository,
    snapshot: &RemoteSnapshot,
    (dir, mut config, later): (&Path, Config, &LaterFrom),
) -> Result<()> {
    if snapshot.state != PushState::Published {
        return Err(Error::Pending(snapshot.name.to_string()));
    }
    let pin = repository.pin(snapshot)?;
    let made = (|| {
        // After it was pinned: what is collected from now on is not what it needs.
        if repository.look_at(snapshot)?.is_none() {
            let gone = format!("snapshot {}, it was forgotten", snapshot.name);
            return Err(remote::Error::NotThere(gone).into());
        }
        let waits = later.ahead == Ahead::Allowed && snapshot.inodes >= MANY_INODES;
        config.origin = Some(Origin {
            root: later.root.clone(),
            remote: later.remote.to_string(),
            repository: repository.id(),
            snapshot: format!(
                "{}:{}@{}",
                later.remote, snapshot.volume_name, snapshot.name
            ),
            pin,
            rows: if waits { Rows::Elsewhere } else { Rows::Here },
            prefetch: later.prefetch,
            deadline: later.deadline,
        });
        if waits {
            return Ok(Awaited::make(dir, &config)?);
        }
        let mut arriving = Arriving::begin(dir, &config)?;
        take_rows(&mut arriving, repository, snapshot)?;
        arriving.leave_chunks()?;
        Ok(arriving.finish(snapshot.numbers)?)
    })();
    if made.is_err()
        && let Err(error) = repository.unpin(&pin)
    {
        log::debug!("a pin stays for a day: {error}");
    }
    made
}

/// What a volume of a snapshot is like: a new one, with what the pushed one was made with.
///
/// # Errors
/// [`Error::Remote`] when there can be no such volume.
pub fn config_of(snapshot: &RemoteSnapshot) -> Result<Config> {
    let chunk_bytes = ChunkBytes::new(snapshot.facts.chunk_bytes);
    let chunk_bytes = chunk_bytes.ok_or_else(|| remote::Error::Damaged {
        object: format!("snapshot {}", snapshot.id),
        what: "its chunks have no possible length".to_owned(),
    })?;
    let mut config = Config::new(chunk_bytes, snapshot.facts.labels.clone());
    config.compression = snapshot.facts.compression;
    Ok(config)
}

struct Pulling<'a> {
    repository: &'a Repository,
    arriving: Arriving,
    progress: Progress,
    watch: &'a dyn Watch,
}

impl<'a> Pulling<'a> {
    fn begin(
        repository: &'a Repository,
        (dir, config): (&Path, &Config),
        watch: &'a dyn Watch,
    ) -> Result<Self> {
        Ok(Self::into(repository, Arriving::begin(dir, config)?, watch))
    }

    fn into(repository: &'a Repository, arriving: Arriving, watch: &'a dyn Watch) -> Self {
        Self {
            repository,
            arriving,
            progress: Progress::default(),
            watch,
        }
    }

    fn take_rows(&mut self, snapshot: &RemoteSnapshot) -> Result<()> {
        self.progress.objects += snapshot.all_runs().count() as u64;
        take_rows(&mut self.arriving, self.repository, snapshot)
    }

    fn take_chunks(&mut self, near: &[&dyn ChunkSource]) -> Result<()> {
        self.progress.total = self.arriving.place_count()?.1;
        let mut near = Near::of(self.repository, near, self.progress.total)?;
        thread::scope(|scope| {
            let mut fetches = Fetches::start(scope, self.repository);
            let mut after = None;
            loop {
                let places = self.arriving.places(after.as_ref(), PLACES)?;
                let Some((last, _)) = places.last() else {
                    break;
                };
                after = Some(*last);
                let wanted = places.iter().map(|(far, id)| Ok((place(far)?, *id)));
                let mut wanted = wanted.collect::<Result<Window>>()?;
                if let Some(near) = &mut near {
                    wanted = self.take_near(near, wanted)?;
                }
                for window in windows(wanted, |(place, _)| place) {
                    let fetched = fetches.ask(window)?;
                    self.keep(fetched)?;
                }
            }
            while let Some(fetched) = fetches.next()? {
                self.keep(Some(fetched))?;
            }
            Ok(())
        })
    }

    /// Takes what is near; the rest.
    fn take_near(&mut self, near: &mut Near<'_>, wanted: Window) -> Result<Window> {
        let all = stored_bytes(&wanted);
        let rest = near.take(wanted, |chunk| self.arriving.store(&[chunk]))?;
        self.progress.done += all - stored_bytes(&rest);
        self.watch.progress(&self.progress);
        Ok(rest)
    }

    fn keep(&mut self, fetched: Option<Fetched>) -> Result<()> {
        let Some(fetched) = fetched else {
            return Ok(());
        };
        self.arriving.store(&fetched.chunks)?;
        self.progress.done += fetched.bytes;
        self.progress.moved += fetched.bytes;
        self.progress.objects += 1;
        self.watch.progress(&self.progress);
        Ok(())
    }
}

fn take_rows(
    arriving: &mut Arriving,
    repository: &Repository,
    snapshot: &RemoteSnapshot,
) -> Result<()> {
    let taken = arriving.take_rows(repository, snapshot, || Ok(()));
    taken.map_err(of_repository)
}

fn stored_bytes(chunks: &Window) -> u64 {
    chunks.iter().map(|(at, _)| u64::from(at.stored_len)).sum()
}

fn place(far: &FarPlace) -> Result<Place> {
    Place::of_far(far).ok_or(Error::Bug("a place is in no pack"))
}

/// What the volume's side says of the repository is the repository's.
fn of_repository(error: volume::Error) -> Error {
    match error {
        volume::Error::Remote(error) => match Arc::try_unwrap(error) {
            Ok(error) => Error::Remote(error),
            Err(error) => Error::Volume(volume::Error::Remote(error)),
        },
        error => Error::Volume(error),
    }
}
