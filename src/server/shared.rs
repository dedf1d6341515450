//! What the threads of a server share: the open volume, what of it is shown, and who is told.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::close_notice::CloseNotice;
use super::faults::{closing, failed, said};
use super::flusher::Flusher;
use super::group_part::Opened;
use super::handle::{fault, handle};
use super::poke;
use super::record::Record;
use super::supervisor::{Kept, Link, Showing, init_request_of, kept};
use super::{Error, Result};
use crate::control::{
    self, Answer, Device, Fault, FaultKind, Op, Phase, Program, ShownSnapshot, Status, Tree,
};
use crate::fuse::{Connection, Counts, InitRequest, SessionStart, Snapshots, Watch};
use crate::types::{Epoch, Timestamp, VolumeId};
use crate::volume::store::{self, DirLock};
use crate::volume::{self, Awaited, Life, Volume};
use parking_lot::{Mutex, MutexGuard, RwLock};

/// How long the kernel may take to send what it has ready when a mount is made.
const INIT_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long the end of a server waits for tables that are being fetched.
const LOADING_MAX: Duration = Duration::from_secs(2);

/// How long it waits for those who have the volume in hand, and how often it looks.
const LET_GO_MAX: Duration = Duration::from_secs(10);
const LET_GO_LOOK: Duration = Duration::from_millis(2);

/// What the thread that runs the server is told.
pub(super) enum Event {
    Attached(Showing, Box<Connection>),
    /// The last connection is over, or there will be none.
    Ended,
}

/// A FUSE connection that is served.
pub(super) struct ServedConnection {
    pub(super) what: Showing,
    pub(super) fuse: OwnedFd,
    pub(super) device: Device,
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) shown: Vec<ServedConnection>,
    /// What is about to be shown: the kernel's first word is waited for.
    pub(super) awaited: Vec<Showing>,
    /// Whether whoever started the server is about to mount.
    pub(super) mount_is_expected: bool,
    /// How many read out of the volume, or have it work: the server stays for them.
    pub(super) readers: usize,
    /// Whether the record in the volume's directory is of this server, and not of one that died before it.
    pub(super) has_record: bool,
}

impl State {
    /// Before anything is mounted.
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Open,
            shown: Vec::new(),
            awaited: Vec::new(),
            mount_is_expected: true,
            readers: 0,
            has_record: false,
        }
    }

    /// Whether there is no more reason to have the volume open.
    fn is_unused(&self) -> bool {
        self.phase == Phase::Open && !self.mount_is_expected && self.readers == 0
    }

    fn find(&self, what: &Showing) -> Option<&ServedConnection> {
        self.shown.iter().find(|shown| shown.what == *what)
    }

    fn device(&self, what: &Showing) -> Option<Device> {
        self.find(what).map(|shown| shown.device)
    }

    fn devices(&self) -> Vec<Device> {
        self.shown.iter().map(|shown| shown.device).collect()
    }

    fn snapshots(&self) -> Vec<ShownSnapshot> {
        let snapshots = self.shown.iter().filter_map(|shown| match &shown.what {
            Showing::Snapshot { name, .. } => Some(ShownSnapshot {
                name: name.clone(),
                device: shown.device,
            }),
            Showing::Head | Showing::Snapshots => None,
        });
        snapshots.collect()
    }
}

/// What the threads of a server share.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) uuid: VolumeId,
    pub(super) life: Life,
    /// Read-locked during requests, so that closing waits for those under way.
    pub(super) volume: RwLock<Option<Arc<Volume>>>,
    /// In its place while it has no tables: another server follows when it has.
    pub(super) awaited: RwLock<Option<Arc<Awaited>>>,
    pub(super) state: Mutex<State>,
    pub(super) was_mounted: AtomicBool,
    pub(super) events: Sender<Event>,
    pub(super) close_notice: CloseNotice,
    pub(super) started: Timestamp,
    /// Of all connections.
    pub(super) counts: Arc<Counts>,
    /// To the supervisor; a server that runs in the process of a command has none.
    pub(super) link: Option<Arc<Link>>,
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        let state = self.state();
        Status {
            pid: std::process::id(),
            uuid: self.uuid,
            phase: state.phase,
            device: state.device(&Showing::Head),
            snapshots: state.device(&Showing::Snapshots),
            shown: self.shows_single_snapshots().then(|| state.snapshots()),
            supervisor: self.link.as_ref().and_then(|link| link.supervisor()),
            program: Program::this(),
            stopped: self
                .volume()
                .and_then(|volume| volume.stopped_by().map(str::to_owned)),
            readers: Some(state.readers),
            logical_bytes: self
                .volume()
                .and_then(|volume| volume.known_logical_bytes()),
        }
    }

    /// What a supervisor of an earlier cask could not hand over must not be mounted.
    fn shows_single_snapshots(&self) -> bool {
        let link = self.link.as_ref();
        link.is_none_or(|link| link.keeps_single_snapshots())
    }

    /// What `tree` stands for just now.
    fn showing(&self, tree: &Tree) -> std::result::Result<Showing, Fault> {
        let name = match tree {
            Tree::Head => return Ok(Showing::Head),
            Tree::Snapshots => return Ok(Showing::Snapshots),
            Tree::Snapshot(name) => name,
        };
        if !self.shows_single_snapshots() {
            return Err(said(FaultKind::Refused, "its keeper is of an earlier cask"));
        }
        let volume = self.volume().ok_or_else(|| self.none())?;
        let snapshot = volume.snapshot(name).map_err(|e| fault(&e))?;
        Ok(Showing::Snapshot {
            epoch: snapshot.epoch.0,
            name: name.clone(),
        })
    }

    pub(super) fn attach(
        &self,
        tree: &Tree,
        fuse: OwnedFd,
        device: Device,
    ) -> std::result::Result<(), Fault> {
        let what = self.showing(tree)?;
        self.expect(&what)?;
        // Whoever asks for the state meanwhile does not wait for the kernel, nor for what is no FUSE device.
        let heard = InitRequest::hear(&fuse, INIT_WAIT_MAX);
        let mut state = self.state();
        state.awaited.retain(|awaited| *awaited != what);
        if state.phase == Phase::Closing {
            return Err(closing());
        }
        let request = heard.map_err(|e| failed("the kernel says nothing", &e))?;
        let mut devices = state.devices();
        devices.push(device);
        // Before it is served: of a server that is killed from here on, whoever mounts next knows what it left.
        Record::store(&self.dir, devices).map_err(|e| failed("cannot note the mount", &e))?;
        let kept = kept(what, device, &request);
        self.show(&mut state, &kept, fuse, SessionStart::First)
    }

    /// Notes that a connection is about to show this, if none does.
    fn expect(&self, what: &Showing) -> std::result::Result<(), Fault> {
        let mut state = self.state();
        if state.phase == Phase::Closing {
            return Err(closing());
        }
        if state.find(what).is_some() || state.awaited.contains(what) {
            return Err(said(FaultKind::Attached, "there is a mount already"));
        }
        state.awaited.push(what.clone());
        Ok(())
    }

    /// Begins to serve a connection, whose requests wait until [`Server::run`].
    pub(super) fn show(
        &self,
        state: &mut State,
        kept: &Kept,
        fuse: OwnedFd,
        start: SessionStart,
    ) -> std::result::Result<(), Fault> {
        state.has_record = true;
        let own = fuse
            .try_clone()
            .map_err(|e| failed("cannot keep /dev/fuse", &e))?;
        let request = init_request_of(kept);
        let watch = Link::watch(self.link.as_ref(), kept.salt);
        let observed = (watch, Arc::clone(&self.counts));
        let awaited = self.awaited.read().clone();
        let started = match (&kept.tree, awaited) {
            (Showing::Head, Some(awaited)) => {
                Connection::to_awaited(fuse, awaited, &request, start, observed)
            }
            (tree, _) => self.connect(tree, fuse, &own, (&request, start, observed))?,
        };

        let connection = started.map_err(|e| failed("the kernel's FUSE handshake failed", &e))?;
        // Not before: a connection whose handshake failed is nothing to go on with.
        if start == SessionStart::First {
            self.report(|link| self.have_kept(link, kept, own.as_fd()));
        }
        state.shown.push(ServedConnection {
            what: kept.tree.clone(),
            fuse: own,
            device: kept.device,
        });
        state.phase = Phase::Serving;
        state.mount_is_expected = false;
        if kept.tree == Showing::Head {
            self.was_mounted.store(true, Ordering::Relaxed);
            self.with(|volume| volume.spending().look_again());
        }
        // The receiver lives as long as `Server::run`, which nothing but this ends.
        self.events
            .send(Event::Attached(kept.tree.clone(), Box::new(connection)))
            .map_err(|e| failed("the server is not running", &e))
    }

    /// Meets the kernel for a volume that is open.
    fn connect(
        &self,
        tree: &Showing,
        fuse: OwnedFd,
        own: &OwnedFd,
        (request, start, observed): (&InitRequest, SessionStart, (Watch, Arc<Counts>)),
    ) -> std::result::Result<io::Result<Connection>, Fault> {
        let volume = self.volume().ok_or_else(|| self.none())?;
        Ok(match tree {
            Showing::Head => {
                let flusher = own.try_clone().map(Flusher::new);
                let flusher = flusher.map_err(|e| failed("cannot keep /dev/fuse", &e))?;
                let flush = Box::new(move |ino| flusher.flush(ino));
                Connection::to_head(fuse, volume, request, start, observed, flush)
            }
            Showing::Snapshots => {
                Connection::to_snapshots(fuse, volume, Snapshots::All, request, start, observed)
            }
            Showing::Snapshot { epoch, .. } => {
                let one = Snapshots::One(Epoch(*epoch));
                Connection::to_snapshots(fuse, volume, one, request, start, observed)
            }
        })
    }

    /// Why there is no open volume.
    pub(super) fn none(&self) -> Fault {
        match &*self.awaited.read() {
            Some(awaited) => {
                let from = awaited.snapshot();
                let what = format!("what files it has is being fetched from {from}; try again");
                said(FaultKind::Failed, &what)
            }
            None => closing(),
        }
    }

    fn have_kept(&self, link: &Link, kept: &Kept, fuse: BorrowedFd<'_>) -> io::Result<()> {
        if let Some(volume) = self.volume() {
            // In this order: no connection is kept without the lock (invariant 11).
            link.locked(volume.lock())?;
        }
        if let Some(awaited) = &*self.awaited.read() {
            link.locked(awaited.lock()?.as_fd())?;
        }
        link.connected(kept.clone(), fuse)
    }

    pub(super) fn head_device(&self) -> Option<Device> {
        self.state().device(&Showing::Head)
    }

    pub(super) fn head_descriptor(&self) -> Option<io::Result<OwnedFd>> {
        let state = self.state();
        let head = state.find(&Showing::Head);
        head.map(|shown| shown.fuse.as_fd().try_clone_to_owned())
    }

    /// Tells the supervisor something, if there is one. A server whose supervisor is gone goes on alone.
    pub(super) fn report(&self, tell: impl FnOnce(&Link) -> io::Result<()>) {
        if let Some(link) = &self.link
            && let Err(e) = tell(link)
        {
            log::error!("the keeper is gone, and nobody would follow this server: {e}");
        }
    }

    /// Has another process ask something of the mounts of `what`: this one must never wait for itself.
    pub(super) fn poke(&self, what: &Showing) {
        let device = self.state().device(what);
        if let Some(device) = device
            && let Err(e) = poke::poke(device)
        {
            log::warn!("cannot ask anything of the mounts: {e}");
        }
    }

    /// Makes everything safe, and has `program` take over. Returns only when that fails.
    pub(super) fn replace(&self, program: BorrowedFd<'_>) -> Fault {
        let Some(link) = &self.link else {
            return said(
                FaultKind::Failed,
                "it is mounted with --foreground, and has no keeper",
            );
        };
        if let Err(fault) = self.perform(&Op::Sync) {
            return fault;
        }
        match link.replace(program) {
            Ok(()) => said(FaultKind::Failed, "the keeper does not end this server"),
            Err(e) => failed("its keeper is gone", &e),
        }
    }

    /// The last mount that shows `what` is gone.
    pub(super) fn ended(&self, what: &Showing) {
        self.report(|link| link.disconnected(what.clone()));
        let mut state = self.state();
        state.shown.retain(|shown| shown.what != *what);
        if !state.devices().is_empty() {
            if let Err(e) = Record::store(&self.dir, state.devices()) {
                log::warn!("cannot note the end of a mount: {e}");
            }
            return;
        }
        state.phase = Phase::Open;
        self.close_if_unused(&mut state);
        if state.phase == Phase::Open {
            self.forget_mounts(&mut state);
        }
    }

    /// Nothing is mounted any more, and the server goes on for who reads: there is nothing to detach after its death.
    fn forget_mounts(&self, state: &mut State) {
        if self.goes_with_its_mounts() {
            return;
        }
        match Record::remove(&self.dir) {
            Ok(()) => state.has_record = false,
            Err(e) => log::warn!("cannot note the end of a mount: {e}"),
        }
    }

    /// Begins the end of the server if nothing is mounted, nobody is about to mount and nobody reads.
    fn close_if_unused(&self, state: &mut State) {
        if !state.is_unused() {
            return;
        }
        state.phase = Phase::Closing;
        // The receiver is gone once it was told.
        if self.events.send(Event::Ended).is_err() {
            log::debug!("the end came after the end");
        }
    }

    /// Counts one more who reads out of the volume: until that is dropped, the server stays.
    pub(super) fn enter(&self) -> std::result::Result<Reader<'_>, Fault> {
        let mut state = self.state();
        if state.phase == Phase::Closing {
            return Err(closing());
        }
        state.readers += 1;
        Ok(Reader { shared: self })
    }

    pub(super) fn descriptor(&self, tree: &Tree) -> std::result::Result<OwnedFd, Fault> {
        let (phase, mount_is_expected) = {
            let state = self.state();
            (state.phase, state.mount_is_expected)
        };
        match phase {
            Phase::Closing => return Err(closing()),
            Phase::Open if mount_is_expected => {
                return Err(said(FaultKind::NotMounted, "there is no mount yet"));
            }
            Phase::Open | Phase::Serving => {}
        }
        let what = self.showing(tree)?;
        let state = self.state();
        // Looked at again: a snapshot is looked up with the state free, and the last mount may have gone meanwhile.
        match (state.phase, state.find(&what)) {
            (Phase::Closing, _) => Err(closing()),
            (_, None) => Err(said(FaultKind::NotShown, "no mount shows this")),
            (_, Some(shown)) => {
                let copied = shown.fuse.as_fd().try_clone_to_owned();
                copied.map_err(|e| {
                    let message = format!("cannot hand out /dev/fuse: {e}");
                    said(FaultKind::Failed, &message)
                })
            }
        }
    }

    pub(super) fn perform(&self, op: &Op) -> std::result::Result<Answer, Fault> {
        if self.awaited.read().is_some() {
            // Nothing was written that could be lost.
            return match op {
                Op::Sync | Op::Drain => Ok(Answer::Done),
                _ => Err(self.none()),
            };
        }
        let done = self.with(|volume| handle(op, volume).map_err(|e| fault(&e)));
        done.unwrap_or_else(|| Err(closing()))
    }

    /// Whoever started the server does not mount, or is gone: it ends, unless there is a mount or somebody reads.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.mount_is_expected = false;
        self.close_if_unused(&mut state);
    }

    /// A service manager ends processes before it unmounts: so a signal makes everything safe, and
    /// the mounts go on working.
    pub(super) fn signalled(&self, signal: i32) {
        log::info!("signal {signal}: flushing; the server ends when the last mount is gone");
        if let Err(fault) = self.perform(&Op::Sync) {
            log::error!("cannot flush: {fault}");
        }
        self.abandon();
    }

    pub(super) fn close(&self) -> Result<()> {
        // First: whoever asks from now on is told to wait for the end.
        self.state().phase = Phase::Closing;
        if let Some(awaited) = self.awaited.write().take() {
            // What was begun of the tables is begun anew, by whoever has the lock then. One that waits for a store keeps it
            // to the end of this process, and the next server finds what this one leaves.
            if awaited.close(LOADING_MAX) {
                self.clear_away();
            }
            return Ok(());
        }
        self.with(|volume| {
            volume.spending().close();
            // Whoever reads out of it may wait for a store, and holds the volume.
            volume.stop_fetching();
        });
        // The lock is free again while they are waited for: they may ask for it.
        let held = self.volume.write().take();
        let closed = match held.and_then(alone) {
            Some(volume) => volume.close().map_err(Error::Volume),
            None => Err(Error::io(
                "the volume is still in use by the server itself",
                std::io::ErrorKind::ResourceBusy.into(),
            )),
        };
        self.clear_away();
        closed
    }

    /// Removes a volume that was not to outlive its mounts. One that another process has opened meanwhile stays.
    pub(super) fn end_life(&self) -> Result<()> {
        if !self.goes_with_its_mounts() {
            return Ok(());
        }
        log::info!("{} was ephemeral: removing it", self.dir.display());
        match store::remove_at(&self.dir) {
            Err(volume::Error::InUse { .. }) => Ok(()),
            removed => removed.map_err(Error::Volume),
        }
    }

    fn goes_with_its_mounts(&self) -> bool {
        self.life == Life::Ephemeral && self.was_mounted.load(Ordering::Relaxed)
    }

    /// Removes what only a running server needs; of a volume that is to go the record stays, by which one that could not
    /// is known. The lock, taken again, keeps a next server's files
    /// from being taken for ours.
    fn clear_away(&self) {
        let Ok(_lock) = DirLock::take(&self.dir) else {
            return;
        };
        let socket = fs::remove_file(self.dir.join(control::SOCKET));
        // By that of a server that died, what it left mounted is found.
        let record = if self.goes_with_its_mounts() || !self.state().has_record {
            Ok(())
        } else {
            Record::remove(&self.dir)
        };
        if let Err(e) = socket.and(record) {
            log::warn!("cannot clear away the server's files: {e}");
        }
    }

    pub(super) fn volume(&self) -> Option<Arc<Volume>> {
        self.volume.read().clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Somebody who reads out of the volume, as the server counts them.
pub(super) struct Reader<'s> {
    shared: &'s Shared,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.readers -= 1;
        self.shared.close_if_unused(&mut state);
    }
}

impl Opened for Shared {
    fn with<T>(&self, work: impl FnOnce(&Volume) -> T) -> Option<T> {
        let volume = self.volume.read();
        volume.as_deref().map(work)
    }
}

/// The volume, once nobody else has it: who answers a question about it, or does some work of the background, is soon done.
fn alone(mut volume: Arc<Volume>) -> Option<Volume> {
    let since = Instant::now();
    loop {
        volume = match Arc::try_unwrap(volume) {
            Ok(volume) => return Some(volume),
            Err(_) if since.elapsed() > LET_GO_MAX => return None,
            Err(shared) => shared,
        };
        thread::sleep(LET_GO_LOOK);
    }
}
