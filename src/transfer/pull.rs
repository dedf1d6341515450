//! A snapshot out of a repository: rows first, then the chunks that they name.

use std::collections::HashMap;
use std::path::Path;
use std::thread;

use super::fetch::{Fetched, Fetches, Window, windows};
use super::{Error, Progress, Result, Watch};
use crate::remote::{
    self, ObjectId, Packing, Place, PlacedRow, PushState, RemoteSnapshot, Repository, Row,
    RunReader,
};
use crate::types::{ChunkBytes, Ino};
use crate::volume::{Arriving, Config, FarExtent, FarPlace};

/// Places that are looked at together.
const PLACES: u32 = 4096;

/// Makes the volume of a snapshot in `dir`, which must not exist. All of it is verified, and durable when this returns.
///
/// # Errors
/// [`Error::Pending`]; see [`Error`]. What was begun in `dir` is left there, and is no volume.
pub fn pull(
    repository: &Repository,
    snapshot: &RemoteSnapshot,
    (dir, config): (&Path, &Config),
    watch: &dyn Watch,
) -> Result<()> {
    if snapshot.state != PushState::Published {
        return Err(Error::Pending(snapshot.name.to_string()));
    }
    let mut pulling = Pulling {
        repository,
        arriving: Arriving::begin(dir, config)?,
        packs: Packs::default(),
        progress: Progress::default(),
        watch,
    };
    for run in &snapshot.runs {
        pulling.take_run(&run.id)?;
    }
    pulling.take_chunks()?;
    Ok(pulling.arriving.finish(snapshot.numbers)?)
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
    packs: Packs,
    progress: Progress,
    watch: &'a dyn Watch,
}

/// Packs, by the numbers that rows in the making have for them.
#[derive(Debug, Default)]
struct Packs {
    ids: Vec<ObjectId>,
    numbers: HashMap<ObjectId, u32>,
}

impl Packs {
    fn number(&mut self, id: &ObjectId) -> Result<u32> {
        if let Some(number) = self.numbers.get(id) {
            return Ok(*number);
        }
        let number = u32::try_from(self.ids.len());
        let number = number.map_err(|_| Error::Bug("there are too many packs"))?;
        self.ids.push(*id);
        self.numbers.insert(*id, number);
        Ok(number)
    }

    fn place(&self, far: &FarPlace) -> Result<Place> {
        let pack = self.ids.get(far.pack as usize).copied();
        let packing = Packing::from_raw(far.packing);
        let (pack, packing) = pack
            .zip(packing)
            .ok_or(Error::Bug("a place is not its own"))?;
        Ok(Place {
            pack,
            piece: far.piece,
            offset: far.offset,
            stored_len: far.stored_len,
            len: far.len,
            packing,
        })
    }
}

impl Pulling<'_> {
    fn take_run(&mut self, id: &ObjectId) -> Result<()> {
        let (shelf, master) = (self.repository.shelf(), self.repository.master());
        let run = RunReader::open(shelf, master, id)?;
        for number in 0..run.blocks() {
            for row in run.block(number)? {
                self.take_row(&row)
                    .map_err(|error| name_run(error, id, number))?;
            }
        }
        self.progress.objects += 1;
        Ok(())
    }

    fn take_row(&mut self, row: &Row) -> Result<()> {
        match row {
            Row::Inode(row) => Ok(self.arriving.inode(row)?),
            Row::Entry(row) => Ok(self.arriving.entry(row)?),
            Row::Xattr(row) => Ok(self.arriving.xattr(row)?),
            Row::Extent(row) => {
                let extent = self.far(row)?;
                Ok(self.arriving.extent(&extent)?)
            }
        }
    }

    fn far(&mut self, row: &PlacedRow) -> Result<FarExtent> {
        let place = &row.place;
        Ok(FarExtent {
            ino: Ino::from_raw(row.ino),
            off: row.off,
            len: row.len,
            chunk_off: row.chunk_off,
            place: FarPlace {
                pack: self.packs.number(&place.pack)?,
                piece: place.piece,
                offset: place.offset,
                stored_len: place.stored_len,
                len: place.len,
                packing: place.packing.to_raw(),
            },
        })
    }

    fn take_chunks(&mut self) -> Result<()> {
        self.progress.total = self.arriving.place_count()?.1;
        thread::scope(|scope| {
            let mut fetches = Fetches::start(scope, self.repository);
            let mut after = None;
            loop {
                let places = self.arriving.places(after.as_ref(), PLACES)?;
                let Some((last, _)) = places.last() else {
                    break;
                };
                after = Some(*last);
                let places = places.iter();
                let wanted = places.map(|(far, id)| Ok((self.packs.place(far)?, *id)));
                for window in windows(wanted.collect::<Result<Window>>()?) {
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

/// A row that makes no sense is damage of the repository, and none of the volume that is being made.
fn name_run(error: Error, id: &ObjectId, block: usize) -> Error {
    match error {
        Error::Volume(crate::volume::Error::Corrupt(what)) => {
            Error::Remote(remote::Error::Damaged {
                object: format!("run {id}"),
                what: format!("block {block}: {what}"),
            })
        }
        error => error,
    }
}
