//! Long work for whoever is at the other end of a connection: how far it is, and what came of it, go there as they come,
//! and it ends when nobody is there any more.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::content::change;
use super::faults::closing;
use super::group_part::Opened;
use super::handle::{fault, handle};
use crate::control::{Answer, Op, Wire};
use crate::types::{SnapshotName, while_wanted};
use crate::volume::{self, Change, Depth, Error, Volume};

/// Changes in one answer.
const CHANGES_AT_ONCE: usize = 1000;
/// Between two words on how far it is.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of work.
enum Outcome {
    Answer(Answer),
    Changes(Vec<Change>),
}

/// Does `op`, and answers it. Work that nobody wants any more has no answer.
///
/// # Errors
/// When the connection fails.
pub(super) fn work(wire: &mut Wire, opened: &impl Opened, op: &Op) -> io::Result<()> {
    let asker = wire.stream().try_clone()?;
    let teller = Teller::over(wire);
    let done = while_wanted(
        move || wants_more(&asker),
        || opened.with(|volume| outcome(op, volume, &|bytes| teller.add(bytes))),
    );
    match done {
        Some(Ok(Outcome::Answer(answer))) => wire.send(&answer, None),
        // Nothing of the volume is held any more: whoever reads slowly is in nobody's way.
        Some(Ok(Outcome::Changes(changes))) => send_changes(wire, changes),
        Some(Err(Error::Unwanted)) => Ok(()),
        Some(Err(error)) => wire.send(&Answer::Fault(fault(&error)), None),
        None => wire.send(&Answer::Fault(closing()), None),
    }
}

fn outcome(op: &Op, volume: &Volume, watch: volume::Watch<'_>) -> volume::Result<Outcome> {
    let checked = |depth| volume.check_watched(depth, watch).map(Answer::Checked);
    let answer = match op {
        Op::Diff { from, to } => return diff(volume, from, to.as_ref()).map(Outcome::Changes),
        Op::CheckMetadata => checked(Depth::Metadata),
        Op::CheckData => checked(Depth::Data),
        Op::Collect => volume.collect_watched(watch).map(Answer::Collected),
        other => handle(other, volume),
    };
    answer.map(Outcome::Answer)
}

fn diff(
    volume: &Volume,
    from: &SnapshotName,
    to: Option<&SnapshotName>,
) -> volume::Result<Vec<Change>> {
    let from = volume.snapshot(from)?;
    let to = to.map(|to| volume.snapshot(to)).transpose()?;
    volume.diff(&from, to.as_ref())
}

fn send_changes(wire: &mut Wire, changes: Vec<Change>) -> io::Result<()> {
    let mut changes = changes.into_iter().map(change);
    loop {
        let list: Vec<_> = changes.by_ref().take(CHANGES_AT_ONCE).collect();
        if list.is_empty() {
            return wire.send(&Answer::Done, None);
        }
        wire.send(&Answer::Changes { list }, None)?;
    }
}

/// Whether whoever is at the other end still reads, and has not ended its half.
fn wants_more(stream: &UnixStream) -> bool {
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    !seen(stream, PollFlags::RDHUP).intersects(gone)
}

fn takes_more(stream: &UnixStream) -> bool {
    seen(stream, PollFlags::OUT).contains(PollFlags::OUT)
}

fn seen(stream: &UnixStream, wanted: PollFlags) -> PollFlags {
    let mut polled = [PollFd::new(stream, wanted)];
    match poll(&mut polled, Some(&Timespec::default())) {
        Ok(_) => polled[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

/// Tells how far work is.
struct Teller<'w> {
    wire: RefCell<&'w mut Wire>,
    done: Cell<u64>,
    last: Cell<Option<Instant>>,
}

impl<'w> Teller<'w> {
    const fn over(wire: &'w mut Wire) -> Self {
        Self {
            wire: RefCell::new(wire),
            done: Cell::new(0),
            last: Cell::new(None),
        }
    }

    /// So many bytes more are done.
    fn add(&self, bytes: u64) {
        self.done.set(self.done.get() + bytes);
        if self.last.get().is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        self.last.set(Some(Instant::now()));
        let mut wire = self.wire.borrow_mut();
        // Who reads slowly must not keep the work waiting for what the next word says as well.
        if takes_more(wire.stream()) {
            let done = self.done.get();
            // One that is gone is found out by the next look whether it is there.
            if let Err(e) = wire.send(&Answer::Progress { done }, None) {
                log::debug!("nobody hears how far it is: {e}");
            }
        }
    }
}
