//! The life of a server: open, attached, ended.
//!
//! State | what is true
//! --- | ---
//! `Open` | the volume is open, its socket listens, nothing is mounted: somebody is about to mount, or reads out of it
//! `Serving` | FUSE connections are served; their descriptors can be handed out
//! `Closing` | nobody is left who mounts or reads; the volume is closed, then the process ends
//!
//! Only these steps exist: `Open -> Serving`, `Serving -> Open` while somebody reads, and from both to `Closing`. There
//! is a connection for each [`Showing`] that is mounted. A server that takes over from one that died begins in `Serving`.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use parking_lot::{Mutex, RwLock};

use rustix::fs::Mode;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::awaiting::fetch_tables;
use super::close_notice::CloseNotice;
use super::own_mount::Serving;
use super::pressure::{self, Beginning};
use super::requests::Asker;
use super::shared::{Event, Shared, State};
use super::supervisor::{Inheritance, Link};
use super::{Error, Result, requests, scheduler, tuning};
use crate::control::{self, Device, Fault, FaultKind, Tree};
use crate::fuse::SessionStart;
use crate::types::{Timestamp, with_causes};
use crate::volume::store::DirLock;
use crate::volume::{self, Awaited, Volume};

/// What a server has open.
enum Opened {
    Volume(Arc<Volume>),
    Awaited(Arc<Awaited>),
}

/// A volume's server, before it serves.
pub struct Server {
    shared: Arc<Shared>,
    beginning: Beginning,
    events: Receiver<Event>,
}

impl Server {
    /// Opens the volume in `dir` and listens on its socket.
    ///
    /// Changes the process's umask, and what its SIGTERM, SIGINT and SIGHUP do.
    ///
    /// # Errors
    /// Those of [`Volume::open`]; I/O errors.
    pub fn open(dir: &Path) -> Result<Self> {
        let tuning = tuning::of_environment()?;
        Self::of(dir, None, |dir| {
            let volume = Volume::open_with(dir, tuning)?;
            Ok(Opened::Volume(Arc::new(volume)))
        })
    }

    /// Opens the volume in `dir` as [`Self::open`] does, and serves what a server before it served.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn take_over(dir: &Path, link: &Arc<Link>, given: Inheritance) -> Result<Self> {
        let tuning = tuning::of_environment()?;
        let open = |dir: &Path| {
            let lock = given.lock.map(DirLock::from);
            if Awaited::is_in(dir)? {
                let awaited = Awaited::open(dir, lock)?;
                return Ok(Opened::Awaited(Arc::new(awaited)));
            }
            let volume = match lock {
                // Only a server that follows another one gets the lock, and the supervisor may have that one's program still.
                Some(lock) => {
                    Volume::open_held(dir, lock, tuning, |format| link.no_way_back(format))
                }
                None => Volume::open_with(dir, tuning),
            };
            volume.map(|volume| Opened::Volume(Arc::new(volume)))
        };
        let mut server = Self::of(dir, Some(Arc::clone(link)), open)?;
        // Before a connection goes on: no write may be taken where an earlier server has lost some (invariant 6).
        server.pass_on_stops(given.is_stopped);
        let goes_on = !given.connections.is_empty();
        for (kept, fuse) in given.connections {
            let shared = &server.shared;
            shared
                .show(&mut shared.state(), &kept, fuse, SessionStart::Again)
                .map_err(Error::Fault)?;
        }
        if goes_on {
            server.beginning = Beginning::Unknown;
            server.shared.report(Link::serving);
        }
        Ok(server)
    }

    /// Has the supervisor know when writing stops, for the next server; one before this may have been stopped already.
    fn pass_on_stops(&self, is_stopped: bool) {
        let Some(volume) = self.shared.volume() else {
            return;
        };
        let shared = Arc::downgrade(&self.shared);
        volume.when_stopped(move || {
            if let Some(shared) = shared.upgrade() {
                shared.report(Link::stopped);
            }
        });
        if is_stopped {
            volume.stop_writing();
        }
    }

    fn of(
        dir: &Path,
        link: Option<Arc<Link>>,
        open: impl FnOnce(&Path) -> volume::Result<Opened>,
    ) -> Result<Self> {
        // Before anything is opened: SQLite makes its files by it.
        rustix::process::umask(Mode::from_raw_mode(0o077));
        let opened = open(dir)?;
        let listener = control::bind(dir)
            .map_err(|e| Error::io(format!("cannot listen in {}", dir.display()), e))?;
        let (sender, events) = mpsc::channel();
        let (uuid, life) = match &opened {
            Opened::Volume(volume) => (volume.config().uuid, volume.config().life),
            Opened::Awaited(awaited) => (awaited.config().uuid, awaited.config().life),
        };
        let (volume, awaited) = match opened {
            Opened::Volume(volume) => (Some(volume), None),
            Opened::Awaited(awaited) => (None, Some(awaited)),
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            uuid,
            life,
            volume: RwLock::new(volume),
            awaited: RwLock::new(awaited),
            state: Mutex::new(State::new()),
            was_mounted: AtomicBool::new(false),
            events: sender,
            close_notice: CloseNotice::default(),
            started: Timestamp::now(),
            counts: Arc::default(),
            link,
        });
        watch_signals(&shared)?;
        if let Some(awaited) = shared.awaited.read().clone() {
            let shared = Arc::downgrade(&shared);
            thread::spawn(move || fetch_tables(awaited, &shared));
        }
        let accepting = Arc::clone(&shared);
        thread::spawn(move || requests::accept(&listener, &accepting));
        Ok(Self {
            shared,
            beginning: Beginning::Fresh,
            events,
        })
    }

    /// Serves requests of the process that started this one. When it goes away before it attached a
    /// mount, the server ends, unless somebody reads out of the volume.
    pub(super) fn adopt(&self, starter: UnixStream) {
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            requests::serve(starter, &shared, Asker::Starter);
            shared.abandon();
        });
    }

    /// Serves the mount behind `fuse`, of the volume as it is; returns when the handshake is done.
    ///
    /// # Errors
    /// When the handshake fails, or there is a mount already.
    pub fn attach(&self, fuse: OwnedFd, device: Device) -> Result<()> {
        let attached = self.shared.attach(&Tree::Head, fuse, device);
        attached.map_err(Error::Fault)
    }

    /// Closes the volume; what was attached must be unmounted.
    pub(super) fn give_up(self) {
        self.shared.abandon();
        if let Err(error) = self.run() {
            log::error!("{}", with_causes(&error));
        }
    }

    /// Serves until the last mount is gone and nobody reads any more, then closes the volume.
    ///
    /// # Errors
    /// When the volume could not be closed in order; [`Error::Tuning`].
    pub fn run(self) -> Result<()> {
        let again = tuning::of_environment()?.schedules.again();
        let _serving = Serving::begin();
        pressure::watch(Arc::clone(&self.shared), self.beginning);
        scheduler::watch(&self.shared, again);
        while let Ok(Event::Attached(tree, connection)) = self.events.recv() {
            let shared = Arc::clone(&self.shared);
            thread::spawn(move || {
                if let Err(e) = connection.run(|| shared.poke(&tree)) {
                    log::error!("the FUSE connection failed: {e}");
                }
                shared.ended(&tree);
            });
        }
        let closed = self.shared.close().and_then(|()| self.shared.end_life());
        let failure = closed.as_ref().err().map(|error| Fault {
            kind: FaultKind::Failed,
            message: with_causes(error),
        });
        // Last: who unmounted calls the data safe once it hears this.
        self.shared.close_notice.announce(failure);
        closed
    }
}

fn watch_signals(shared: &Arc<Shared>) -> Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|e| Error::io("cannot watch for signals", e))?;
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for signal in signals.forever() {
            shared.signalled(signal);
        }
    });
    Ok(())
}
