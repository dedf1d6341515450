//! Which of the threads that serve a connection reads the next request: leader and followers (D. C. Schmidt et al.,
//! "Leader/Followers", 2000).
//!
//! The kernel wakes the longest waiter of those that read(2) the device, so threads that all read take turns, each with
//! cold caches. Here one leads: it reads, and answers what is quick by itself. Before it may wait it hands the lead to
//! another, the last that parked. A thread that has answered while another leads parks inside of its callback, when its
//! reply is sent already: fuser's loop knows nothing of this. Where requests queue, more than one leads.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, Thread};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::wakeful::Wakeful;
use crate::types::on_waiting;

const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The threads of one connection.
#[derive(Debug)]
pub(super) struct Crew {
    device: OwnedFd,
    /// How many may lead at a time.
    leaders_max: usize,
    wakeful: Wakeful,
    roster: Mutex<Roster>,
}

#[derive(Debug, Default)]
struct Roster {
    /// Threads that read, or answer something quick. Those that have not read a first request are not counted.
    leading: usize,
    /// The last that parked is woken first: its caches are the warmest.
    parked: Vec<Arc<Seat>>,
    /// A thread has left: the connection is over, and all go to see that.
    is_over: bool,
}

/// A thread of the crew.
#[derive(Debug)]
struct Seat {
    crew: Arc<Crew>,
    thread: Thread,
    role: Mutex<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Leading,
    /// Handed the lead on, and is at work.
    Following,
    Parked,
}

/// A request that this thread answers, until this is dropped: after its reply was sent.
#[derive(Debug)]
pub(super) struct Turn {
    seat: Arc<Seat>,
    afterwards: Cell<Afterwards>,
}

/// What a thread does once it has answered while another leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// Reads the next of those that queue, and parks where none does.
    ServeQueue,
    /// Parks: the one that leads can do more with all that queue.
    LeaveQueue,
    /// Reads on: it may have more of what it read.
    Read,
}

/// The seat of a thread of fuser's, which is given up when the thread ends.
struct Seated(Arc<Seat>);

thread_local! {
    static SEAT: RefCell<Option<Seated>> = const { RefCell::new(None) };
}

impl Crew {
    /// A crew that reads `device`.
    pub(super) fn new(device: OwnedFd, wakeful: Wakeful) -> Arc<Self> {
        let leaders_max = thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            device,
            leaders_max,
            wakeful,
            roster: Mutex::default(),
        })
    }

    /// This thread has read a request, which it answers now.
    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        let seat = SEAT.with(|cell| {
            let mut seat = cell.borrow_mut();
            let seated = seat.get_or_insert_with(|| Seated(Seat::take(self)));
            Arc::clone(&seated.0)
        });
        self.wakeful.note_request();
        Turn {
            seat,
            afterwards: Cell::new(Afterwards::ServeQueue),
        }
    }

    /// Whether requests come fast, as [`Wakeful::is_fast`], and another is there already, which this thread will read next
    /// unless one does that has not read any yet.
    pub(super) fn has_next(&self) -> bool {
        self.wakeful.is_fast() && self.roster.lock().leading == 1 && self.is_queued()
    }

    /// Wakes another leader while requests queue behind the one that was read.
    pub(super) fn call_more(&self) {
        let may_call = |roster: &Roster| {
            !roster.parked.is_empty() && roster.leading < self.leaders_max && !roster.is_over
        };
        if !may_call(&self.roster.lock()) || !self.is_queued() {
            return;
        }
        let mut roster = self.roster.lock();
        if may_call(&roster) {
            roster.promote();
        }
    }

    /// Whether a read(2) of the device would return at once.
    fn is_queued(&self) -> bool {
        let mut device = [PollFd::new(&self.device, PollFlags::IN)];
        matches!(poll(&mut device, Some(&AT_ONCE)), Ok(ready) if ready > 0)
    }
}

impl Roster {
    /// Makes a leader of the thread that parked last.
    fn promote(&mut self) {
        if let Some(seat) = self.parked.pop() {
            self.leading += 1;
            seat.wake_as(Role::Leading);
        }
    }
}

impl Seat {
    /// The seat of this thread, which leads: it has just read.
    fn take(crew: &Arc<Crew>) -> Arc<Self> {
        crew.roster.lock().leading += 1;
        let seat = Arc::new(Self {
            crew: Arc::clone(crew),
            thread: thread::current(),
            role: Mutex::new(Role::Leading),
        });
        let waits = Arc::downgrade(&seat);
        on_waiting(move || {
            if let Some(seat) = waits.upgrade() {
                seat.hand_on();
            }
        });
        seat
    }

    fn wake_as(&self, role: Role) {
        *self.role.lock() = role;
        self.thread.unpark();
    }

    /// Has another lead, before this thread waits. If all wait, whoever is through first leads.
    fn hand_on(&self) {
        let mut role = self.role.lock();
        if *role != Role::Leading {
            return;
        }
        *role = Role::Following;
        drop(role);
        let mut roster = self.crew.roster.lock();
        roster.leading -= 1;
        if roster.leading == 0 {
            roster.promote();
        }
    }

    /// The reply is sent: reads on as a leader, or parks.
    fn end_turn(self: &Arc<Self>, afterwards: Afterwards) {
        let are_many = self.crew.roster.lock().leading > 1;
        let serves_queue = afterwards == Afterwards::ServeQueue && are_many;
        let is_needed = serves_queue && self.crew.is_queued();
        let mut roster = self.crew.roster.lock();
        let mut role = self.role.lock();
        let others = match *role {
            Role::Following => roster.leading,
            Role::Leading | Role::Parked => roster.leading.saturating_sub(1),
        };
        let is_needed = is_needed && others < self.crew.leaders_max;
        // Where processors sleep, threads that take turns are by chance on the caller's.
        let take_turns = !self.crew.wakeful.may_hold();
        let must_read = afterwards == Afterwards::Read || roster.is_over;
        if others == 0 || is_needed || take_turns || must_read {
            roster.leading = others + 1;
            *role = Role::Leading;
            return;
        }
        roster.leading = others;
        *role = Role::Parked;
        roster.parked.push(Arc::clone(self));
        drop(role);
        drop(roster);
        while *self.role.lock() == Role::Parked {
            thread::park();
        }
    }
}

impl Turn {
    /// Has the thread go on like this, rather than serve what queues.
    pub(super) fn end_by(&self, afterwards: Afterwards) {
        self.afterwards.set(afterwards);
    }
}

impl Drop for Turn {
    /// Never by a panic, which ends the process (`server/spawn.rs`): this may park.
    fn drop(&mut self) {
        debug_assert!(!thread::panicking(), "a panic ends a server");
        self.seat.end_turn(self.afterwards.get());
    }
}

impl Drop for Seated {
    /// A thread ends when the device says so: the others are woken to find that out, too.
    fn drop(&mut self) {
        let mut roster = self.0.crew.roster.lock();
        roster.is_over = true;
        while !roster.parked.is_empty() {
            roster.promote();
        }
    }
}
