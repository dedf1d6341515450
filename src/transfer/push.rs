//! A state to a repository: what is intended is stored first, and the snapshot last, when all packs, the index that tells
//! of them and the runs are there. A push that is killed leaves objects that nothing names, and the next one need not send
//! them again.
//!
//! Where an earlier snapshot is there, only rows go that are others. Its runs and packs stay for as long as the push is under
//! way: a collection that was not seen in the marks waits for the push, and by what names it at its end it stays.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use super::pulse::Pulse;
use super::sending::{Sending, Source, room_above};
use super::upload::Uploads;
use super::{Error, Result, State, Watch};
use crate::remote::{
    self, Index, ObjectId, PushState, PushedBase, PushedBases, RemoteSnapshot, Repository,
};
use crate::volume::NamedChunks;

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
    /// An earlier snapshot of the volume that this host has pushed and has still: only what changed since is sent, if it is
    /// there, and it pays.
    pub base: Option<&'a PushedBase>,
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
            let base = self.fit_base(&index)?;
            let uploads = Uploads::start(scope, self.repository);
            Sending::begin(self.source(), index, uploads)?.run(base)
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
        snapshot.state = PushState::Published;
        snapshot.inodes = sent.inodes;
        snapshot.bytes = sent.bytes;
        (snapshot.runs, snapshot.deltas) = (sent.runs, sent.deltas);
        snapshot.numbers = sent.numbers;
        self.look_at_marks(&snapshot, &sent.packs)?;
        self.repository.publish(&snapshot, &tag)?;
        let pushed = Pushed {
            inodes: sent.inodes,
            bytes: sent.bytes,
            sent: sent.progress.moved,
            objects: sent.progress.objects,
            packs: sent.progress.objects - sent.own_runs,
        };
        self.keep_base(snapshot, sent.packs);
        Ok(pushed)
    }
}

impl<'a> Push<'a> {
    const fn source(&self) -> Source<'a> {
        Source {
            repository: self.repository,
            state: self.state,
            chunks: self.chunks,
            watch: self.watch,
        }
    }

    /// The earlier snapshot, if all that it names stays at least until this push has ended.
    ///
    /// It is looked for after the marks were read: while it is published, no collection removes anything of it, and one
    /// that sees it no more has said before what it removes, or sees what this push intends, and waits.
    fn fit_base(&self, index: &Index) -> Result<Option<&'a PushedBase>> {
        let Some(base) = self.base.filter(|base| room_above(base).is_some()) else {
            return Ok(None);
        };
        let found = match self.repository.look_at(&base.snapshot) {
            Err(remote::Error::Damaged { .. } | remote::Error::Newer { .. }) => None,
            found => found?.map(|(found, _)| found),
        };
        if found.as_ref() != Some(&base.snapshot) {
            self.bases(&base.snapshot).forget(base);
            return Ok(None);
        }
        let mut runs = base.snapshot.all_runs();
        let stays = runs.all(|run| index.leaves_run(&run.id)) && index.has_packs(&base.packs);
        Ok(stays.then_some(base))
    }

    /// Where the store decides nothing a collection waits a day, and the push looks once more.
    fn look_at_marks(&self, snapshot: &RemoteSnapshot, packs: &BTreeSet<ObjectId>) -> Result<()> {
        if self.repository.keeps_tags() {
            return Ok(());
        }
        let condemned = self.repository.condemned()?;
        let there = self.repository.packs()?;
        let is_sure = |id: &&ObjectId| there.contains_key(id) && !condemned.packs.contains(id);
        let pack = packs.iter().find(|id| !is_sure(id));
        let mut runs = snapshot.all_runs();
        let run = runs.find(|run| condemned.runs.contains(&run.id));
        let pack = pack.map(|id| format!("pack {id}"));
        match pack.or_else(|| run.map(|run| format!("run {}", run.id))) {
            None => Ok(()),
            Some(object) => Err(Error::Remote(remote::Error::Changed { object })),
        }
    }

    /// The next push may build on this one. If it cannot be kept that is no error: the next one sends all rows.
    fn keep_base(&self, snapshot: RemoteSnapshot, packs: BTreeSet<ObjectId>) {
        let bases = self.bases(&snapshot);
        if let Err(error) = bases.keep(&PushedBase { snapshot, packs }) {
            log::debug!("the next push sends all rows: {error}");
        }
    }

    fn bases(&self, snapshot: &RemoteSnapshot) -> PushedBases {
        PushedBases::in_cache(self.cache, snapshot.volume)
    }
}
