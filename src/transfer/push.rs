//! A state to a repository: rows into runs, chunks that are not there yet into packs.
//!
//! What is intended is stored first, and the snapshot last, when all packs, the index that tells of them and the runs are
//! there. A push that is killed leaves objects that nothing names, and the next one need not send them again.

use std::collections::HashSet;
use std::mem::discriminant;
use std::path::Path;
use std::thread;

use super::pulse::Pulse;
use super::upload::Uploads;
use super::whither::Whither;
use super::{Error, Progress, Result, State, Watch};
use crate::remote::{
    self, Index, ObjectId, PackBuilder, Place, PlacedRow, PublishedRun, PushState, RemoteSnapshot,
    Repository, Row, RunWriter,
};
use crate::types::{ChunkHash, EntryRow, InodeRow, RowCursor, RowPage, StoredRow, XattrRow};
use crate::volume::NamedChunks;

/// How often extents are looked up again when their chunks were moved meanwhile.
const ATTEMPTS: usize = 8;

/// What is pushed, and where to.
#[derive(Clone, Copy)]
pub struct Push<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Where this host keeps what it knows of it.
    pub cache: &'a Path,
    /// The state.
    pub state: &'a dyn State,
    /// Its chunks.
    pub chunks: &'a NamedChunks,
    /// Who is told how far it is.
    pub watch: &'a dyn Watch,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Inodes of the state.
    pub inodes: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Objects that were.
    pub objects: u64,
    /// Those of them that hold chunks.
    pub packs: u64,
}

impl Push<'_> {
    /// Pushes the state as `snapshot`, whose counts and runs are filled in.
    ///
    /// # Errors
    /// [`Error::Chunk`] when a chunk of this host is damaged; see [`Error`]. Nothing can be pulled under its name then.
    pub fn run(&self, mut snapshot: RemoteSnapshot) -> Result<Pushed> {
        snapshot.state = PushState::Pending;
        // Before any chunk counts as there: who removes what nothing names sees that somebody may name it.
        let tag = self.repository.intend(&snapshot)?;
        let pulse = Pulse::of(snapshot.clone(), tag);
        let sent = thread::scope(|scope| {
            let _beating = pulse.start(scope, self.repository);
            let index = Index::load(self.repository, self.cache)?;
            let uploads = Uploads::start(scope, self.repository);
            Sending::begin(self, index, uploads)?.run()
        });
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) => {
                if let Err(left) = self.repository.withdraw(&snapshot) {
                    log::debug!("the push stays listed as one under way: {left}");
                }
                return Err(error);
            }
        };
        let (mut snapshot, tag) = pulse.end()?;
        self.look_at_marks(&sent)?;
        snapshot.state = PushState::Published;
        snapshot.inodes = sent.inodes;
        snapshot.bytes = sent.progress.total;
        let packs = sent.progress.objects - sent.runs.len() as u64;
        snapshot.runs = sent.runs;
        snapshot.numbers = sent.numbers;
        self.repository.publish(&snapshot, &tag)?;
        Ok(Pushed {
            inodes: sent.inodes,
            bytes: sent.progress.total,
            sent: sent.progress.moved,
            objects: sent.progress.objects,
            packs,
        })
    }
}

impl Push<'_> {
    /// Where the store decides nothing a collection waits a day, and the push looks once more.
    fn look_at_marks(&self, sent: &Sent) -> Result<()> {
        if self.repository.keeps_tags() {
            return Ok(());
        }
        let condemned = self.repository.condemned_packs()?;
        let there = self.repository.packs()?;
        let is_sure = |id: &&ObjectId| there.contains_key(id) && !condemned.contains(id);
        match sent.packs.iter().find(|id| !is_sure(id)) {
            None => Ok(()),
            Some(id) => Err(Error::Remote(remote::Error::Changed {
                object: format!("pack {id}"),
            })),
        }
    }
}

/// A push under way.
struct Sending<'a> {
    push: &'a Push<'a>,
    index: Index,
    uploads: Uploads,
    pack: PackBuilder,
    run: RunWriter,
    runs: Vec<PublishedRun>,
    inodes: u64,
    /// Inodes without a name: nobody can reach them in the new place.
    unnamed: HashSet<u64>,
    /// Packs that its extents name.
    packs: HashSet<ObjectId>,
    whither: Whither,
    /// Beyond that of every inode and entry.
    numbers: u64,
    progress: Progress,
}

struct Sent {
    packs: HashSet<ObjectId>,
    numbers: u64,
    runs: Vec<PublishedRun>,
    inodes: u64,
    progress: Progress,
}

impl<'a> Sending<'a> {
    fn begin(push: &'a Push<'a>, index: Index, uploads: Uploads) -> Result<Self> {
        let master = push.repository.master();
        Ok(Self {
            push,
            index,
            uploads,
            pack: PackBuilder::begin(master)?,
            run: RunWriter::begin(master)?,
            runs: Vec::new(),
            inodes: 0,
            unnamed: HashSet::new(),
            packs: HashSet::new(),
            whither: Whither::default(),
            numbers: 0,
            progress: Progress::default(),
        })
    }

    fn run(mut self) -> Result<Sent> {
        if let Err(error) = self.send() {
            self.uploads.give_up(&mut self.index);
            return Err(error);
        }
        Ok(Sent {
            packs: self.packs,
            numbers: self.numbers,
            runs: self.runs,
            inodes: self.inodes,
            progress: self.progress,
        })
    }

    fn send(&mut self) -> Result<()> {
        // In this order: which inodes have no name is known first.
        self.send_table(RowCursor::Inodes(0))?;
        self.send_table(RowCursor::Entries(0, Vec::new()))?;
        self.send_table(RowCursor::Extents(0, 0))?;
        self.send_table(RowCursor::Xattrs(0, Vec::new()))?;
        self.end_pack()?;
        self.publish_index()?;
        self.index.merge(self.push.repository)?;
        self.end_run()
    }

    fn send_table(&mut self, first: RowCursor) -> Result<()> {
        let (mut after, mut attempt) = (first, 0);
        loop {
            let page = self.push.state.rows(&after).map_err(Error::State)?;
            let Some(end) = page.end() else {
                return Ok(());
            };
            if discriminant(&end) != discriminant(&after) {
                return Err(Error::Bug("other rows came than were asked for"));
            }
            let reached = match page {
                RowPage::Inodes(rows) => self.send_each(rows, Self::send_inode, end)?,
                RowPage::Entries(rows) => self.send_each(rows, Self::send_entry, end)?,
                RowPage::Xattrs(rows) => self.send_each(rows, Self::send_xattr, end)?,
                RowPage::Extents(rows) => self.send_extents(&rows, &after)?,
            };
            attempt = if reached == after { attempt + 1 } else { 0 };
            if attempt >= ATTEMPTS {
                return Err(Error::Bug("a chunk is moved again and again"));
            }
            after = reached;
        }
    }

    /// Sends all rows of a page, which ends there.
    fn send_each<T>(
        &mut self,
        rows: Vec<T>,
        send: impl Fn(&mut Self, T) -> Result<()>,
        end: RowCursor,
    ) -> Result<RowCursor> {
        rows.into_iter().try_for_each(|row| send(self, row))?;
        Ok(end)
    }

    fn send_inode(&mut self, row: InodeRow) -> Result<()> {
        if row.nlink == 0 {
            self.unnamed.insert(row.ino);
            return Ok(());
        }
        self.inodes += 1;
        self.numbers = self.numbers.max(row.ino + 1);
        self.progress.total += row.allocated;
        self.put(Row::Inode(row))
    }

    fn send_entry(&mut self, row: EntryRow) -> Result<()> {
        self.numbers = self.numbers.max(row.cookie + 1);
        self.put(Row::Entry(row))
    }

    fn send_xattr(&mut self, row: XattrRow) -> Result<()> {
        if self.unnamed.contains(&row.ino) {
            return Ok(());
        }
        self.put(Row::Xattr(row))
    }

    /// Sends extents up to one whose chunk was moved since; behind the last that was sent.
    fn send_extents(&mut self, rows: &[StoredRow], after: &RowCursor) -> Result<RowCursor> {
        let mut reached = after.clone();
        for row in rows {
            if !self.unnamed.contains(&row.ino) {
                let Some(place) = self.place(row)? else {
                    return Ok(reached);
                };
                self.progress.done += row.len;
                self.packs.insert(place.pack);
                self.put(Row::Extent(PlacedRow {
                    ino: row.ino,
                    off: row.off,
                    len: row.len,
                    chunk_off: row.chunk_off,
                    place,
                }))?;
            }
            reached = RowCursor::Extents(row.ino, row.off);
        }
        Ok(reached)
    }

    /// Where a chunk is in the repository, or will be; `None` when it is no longer where the row says.
    fn place(&mut self, row: &StoredRow) -> Result<Option<Place>> {
        if let Some(place) = self.place_there(row)? {
            return Ok(Some(place));
        }
        let hash = row.chunk.hash();
        if let Some(place) = self.index.find(&hash)? {
            return Ok(Some(place));
        }
        let plain = self
            .push
            .chunks
            .read(&row.chunk)
            .map_err(|source| Error::Chunk {
                ino: row.ino,
                off: row.off,
                source,
            })?;
        let Some(plain) = plain else {
            return Ok(None);
        };
        // What was in a repository until now had a stand-in for a name, by which nothing is found.
        let hash = match row.chunk.far() {
            Some(_) => ChunkHash::of(&plain),
            None => hash,
        };
        if row.chunk.far().is_some()
            && let Some(place) = self.index.find(&hash)?
        {
            return Ok(Some(place));
        }
        let place = self.pack.push(hash, plain)?;
        self.index.add(hash, place);
        if self.pack.is_full() {
            self.end_pack()?;
            if self.index.is_full() {
                self.publish_index()?;
            }
        }
        Ok(Some(place))
    }

    /// Where a chunk is that the volume itself has from this repository still.
    fn place_there(&mut self, row: &StoredRow) -> Result<Option<Place>> {
        let is_here = self.push.chunks.repository() == Some(self.push.repository.id());
        let far = row.chunk.far().filter(|_| is_here);
        let Some(place) = far.and_then(|far| Place::of_far(&far)) else {
            return Ok(None);
        };
        let index = &self.index;
        self.whither
            .find(self.push.repository, place, |pack| index.has_pack(pack))
    }

    fn put(&mut self, row: Row) -> Result<()> {
        self.run.push(row)?;
        if self.run.is_full() {
            self.end_run()?;
        }
        Ok(())
    }

    fn end_pack(&mut self) -> Result<()> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let fresh = PackBuilder::begin(self.push.repository.master())?;
        let pack = std::mem::replace(&mut self.pack, fresh).finish()?;
        self.count(pack.bytes.len());
        self.uploads.send(pack, &mut self.index)
    }

    fn publish_index(&mut self) -> Result<()> {
        self.uploads.finish(&mut self.index)?;
        Ok(self.index.publish(self.push.repository)?)
    }

    fn end_run(&mut self) -> Result<()> {
        let fresh = RunWriter::begin(self.push.repository.master())?;
        let (id, bytes) = std::mem::replace(&mut self.run, fresh).finish()?;
        self.count(bytes.len());
        self.runs.push(self.push.repository.put_run(id, bytes)?);
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        self.progress.moved += bytes as u64;
        self.progress.objects += 1;
        self.push.watch.progress(&self.progress);
    }
}
