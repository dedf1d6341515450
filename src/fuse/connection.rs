//! A FUSE connection: the threads that serve it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};

use super::awaited::AwaitedHead;
use super::counts::Counts;
use super::crew::Crew;
use super::edge::Edge;
use super::gather::Gather;
use super::handshake::{InitRequest, SessionStart, meet};
use super::head::Head;
use super::later::Later;
use super::node::Snapshots;
use super::seeking::{Flush, Seeks};
use super::snapshot_view::SnapshotView;
use super::waits::Waits;
use super::wakeful::Wakeful;
use super::watched::{Watch, Watched};
use super::{in_flight, notify, read_buffer};
use crate::volume::{Awaited, Volume};

/// Threads that serve requests: what waits for the disk holds one for as long as that takes.
const THREADS: usize = 8;
/// Threads for a snapshot, of which there may be many mounted; nothing in it waits for a disk for long.
const SNAPSHOT_THREADS: usize = 2;
/// How often the kernel is asked for files without a name that it may have open, at first and in the end.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
const ASK_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// A FUSE connection whose handshake is done: requests queue until [`Connection::run`].
#[derive(Debug)]
pub struct Connection {
    kind: Kind,
    device: OwnedFd,
    start: SessionStart,
}

#[derive(Debug)]
enum Kind {
    Head(Session<Edge<Head>>, Arc<Volume>),
    Snapshots(Session<Edge<SnapshotView>>),
    Awaited(Session<Edge<AwaitedHead>>),
}

impl Connection {
    /// Serves `device`, a `/dev/fuse` descriptor over which something is mounted, to show the volume as it is. `watch` is
    /// told what becomes of requests that the kernel sends again; `flush` has it send what it holds of a file. `counts` has
    /// what is answered.
    ///
    /// # Errors
    /// Those of the volume; others when the handshake fails.
    pub fn to_head(
        device: OwnedFd,
        volume: Arc<Volume>,
        request: &InitRequest,
        start: SessionStart,
        (watch, counts): (Watch, Arc<Counts>),
        flush: Flush,
    ) -> io::Result<Self> {
        // Before the handshake: the first request must find it settled whether all lookups were counted.
        match start {
            SessionStart::First => volume.begin_connection(),
            SessionStart::Again => volume.inherit_connection(),
        }
        .map_err(io::Error::other)?;
        read_buffer::map_buffers();
        let seeks = Seeks::start(&volume, flush)?;
        let head = Head::new(Arc::clone(&volume));
        let gather = Arc::new(Gather::new(Arc::clone(&volume)));
        let later = Later::new(Arc::clone(&volume), seeks, Arc::clone(&gather));
        let wakeful = Wakeful::start(move || gather.look())?;
        // A second descriptor of the same open device, not a cloned one: those have queues of their own.
        let crew = Crew::new(device.try_clone()?, wakeful);
        let put_off = (Some(later), Waits::of(Arc::clone(&volume)));
        let edge = Edge::new(
            head,
            request.salt,
            (Watched::new(watch), counts),
            put_off,
            crew,
        );
        let kept = device.try_clone()?;
        let session = meet(edge, device, config(THREADS), request, start)?;
        Ok(Self {
            kind: Kind::Head(session, volume),
            device: kept,
            start,
        })
    }

    /// The same for a volume that has no tables yet; what would change something waits for the next server.
    ///
    /// # Errors
    /// As [`Connection::to_head`].
    pub fn to_awaited(
        device: OwnedFd,
        volume: Arc<Awaited>,
        request: &InitRequest,
        start: SessionStart,
        (watch, counts): (Watch, Arc<Counts>),
    ) -> io::Result<Self> {
        read_buffer::map_buffers();
        let head = AwaitedHead::new(volume);
        let crew = Crew::new(device.try_clone()?, Wakeful::start(|| ())?);
        let put_off = (None, Waits::woken_by(|| ()));
        let edge = Edge::new(
            head,
            request.salt,
            (Watched::new(watch), counts),
            put_off,
            crew,
        );
        let kept = device.try_clone()?;
        let session = meet(edge, device, config(THREADS), request, start)?;
        Ok(Self {
            kind: Kind::Awaited(session),
            device: kept,
            start,
        })
    }

    /// The same, to show snapshots of the volume.
    ///
    /// # Errors
    /// As [`Connection::to_head`].
    pub fn to_snapshots(
        device: OwnedFd,
        volume: Arc<Volume>,
        which: Snapshots,
        request: &InitRequest,
        start: SessionStart,
        (watch, counts): (Watch, Arc<Counts>),
    ) -> io::Result<Self> {
        read_buffer::map_buffers();
        let view = SnapshotView::new(Arc::clone(&volume), which);
        let crew = Crew::new(device.try_clone()?, Wakeful::start(|| ())?);
        let put_off = (None, Waits::of(volume));
        let edge = Edge::new(
            view,
            request.salt,
            (Watched::new(watch), counts),
            put_off,
            crew,
        );
        let kept = device.try_clone()?;
        let session = meet(edge, device, config(SNAPSHOT_THREADS), request, start)?;
        Ok(Self {
            kind: Kind::Snapshots(session),
            device: kept,
            start,
        })
    }

    /// Serves requests until the last mount is gone (ENODEV), and returns then. `poke` has somebody else ask something
    /// of the mount.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(self, poke: impl FnOnce()) -> io::Result<()> {
        if self.start == SessionStart::Again {
            self.take_up(poke)?;
        }
        match self.kind {
            Kind::Snapshots(session) => session.run(),
            Kind::Awaited(session) => session.run(),
            Kind::Head(session, volume) => thread::scope(|scope| {
                let asking = scope.spawn(|| ask_for_orphans(&self.device, &volume));
                let result = session.run();
                // In this order: the thread that is woken looks whether the connection is over.
                volume.end_connection();
                asking.thread().unpark();
                result
            }),
        }
    }
}

impl Connection {
    /// Sees to the requests that another server read and did not answer.
    fn take_up(&self, poke: impl FnOnce()) -> io::Result<()> {
        let taken_up = match notify::resend(&self.device) {
            Err(e) if !is_end(&e) => {
                log::warn!(
                    "calls that were in flight fail: this kernel does not send them again ({e})"
                );
                poke();
                in_flight::fail_all(&self.device)
            }
            sent => sent,
        };
        match taken_up {
            // Whoever reads the device next finds out.
            Err(e) if is_end(&e) => Ok(()),
            taken_up => taken_up,
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENODEV)
}

/// Asks the kernel which files without a name it does not have open any more, until the connection is over; this thread
/// is unparked then.
fn ask_for_orphans(device: impl AsFd, volume: &Volume) {
    let (mut pause, mut before) = (ASK_INTERVAL, 0);
    while let Some(doubts) = volume.wait_for_doubts() {
        pause = next_pause(pause, before, doubts.len());
        before = doubts.len();
        for ino in doubts {
            if matches!(notify::is_known(&device, ino), Ok(false)) {
                volume.forgotten(ino);
            }
        }
        thread::park_timeout(pause);
    }
}

/// How long to wait after one question, when there were so many files before it and are so many now: twice as long each
/// time while nothing changes, for a file may stay open for months.
fn next_pause(last: Duration, before: usize, now: usize) -> Duration {
    if before == now {
        ASK_INTERVAL_MAX.min(last * 2)
    } else {
        ASK_INTERVAL
    }
}

fn config(threads: usize) -> Config {
    let mut config = Config::default();
    // The kernel checks who may do what (default_permissions); even its own requests come by here,
    // with ids that are nobody's.
    config.acl = SessionACL::All;
    config.n_threads = Some(threads);
    // Requests in flight on cloned descriptors are lost to a server that takes over.
    config.clone_fd = false;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_stays_open_is_asked_for_less_and_less() {
        let mut pauses = vec![next_pause(ASK_INTERVAL, 0, 3)];
        for _ in 0..9 {
            pauses.push(next_pause(pauses[pauses.len() - 1], 3, 3));
        }
        assert_eq!(pauses[..3], [1, 2, 4].map(|n| ASK_INTERVAL * n));
        assert_eq!(pauses.last(), Some(&ASK_INTERVAL_MAX));
        assert_eq!(next_pause(ASK_INTERVAL_MAX, 3, 2), ASK_INTERVAL);
    }
}
