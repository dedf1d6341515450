//! How much the kernel may hold of what is written, given what there is room for.
//!
//! The kernel takes bytes into its page cache without asking, and a refusal comes when nobody is left to hear it. So it
//! may hold less as room gets scarce, and near the end nothing: a write(2) then ends when its bytes are stored, and
//! says itself that there is no space.
//!
//! Says what should be; who can tell the kernel does it (`server/pressure.rs`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// Below this nothing is held; a small limit has a quarter of itself instead.
const THROUGH_BYTES: u64 = 4 * MIB;
/// What the host needs besides what is written: the database, its log, and others who write there.
pub(super) const HOST_BYTES: u64 = 16 * MIB;
/// The kernel may hold this part of what there is room for.
const PART: u64 = 4;
/// From here on the kernel's own bounds will do.
const AMPLE_BYTES: u64 = 256 * MIB;
const MIB: u64 = 1024 * 1024;

/// Whether the kernel may hold what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffering {
    /// It writes back when it likes.
    Back,
    /// It writes at once, and the caller hears what becomes of it.
    Through,
}

/// What the kernel may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Bytes that it may hold unwritten at most; `None`: what it likes.
    pub unwritten_bytes_max: Option<u64>,
    /// Whether it may hold any.
    pub buffering: Buffering,
}

impl Headroom {
    /// With so much room the kernel may do as it likes.
    pub const AMPLE: Self = Self {
        unwritten_bytes_max: None,
        buffering: Buffering::Back,
    };

    /// What follows from so many bytes of room, for a volume of `limit` bytes. `before` is what held so far: to go back
    /// to buffering takes twice the room that ended it.
    pub(super) fn of(room: u64, limit: Option<u64>, before: Self) -> Self {
        let through = limit.map_or(THROUGH_BYTES, |limit| THROUGH_BYTES.min(limit / PART));
        let (buffering, part) = match before.buffering {
            _ if room < through => (Buffering::Through, room / PART),
            Buffering::Through if room < 2 * through => (Buffering::Through, room / PART),
            _ => (Buffering::Back, room / PART),
        };
        // In steps of two, so that it changes seldom.
        let step = 1 << part.max(MIB).ilog2();
        Self {
            unwritten_bytes_max: (part < AMPLE_BYTES).then_some(step),
            buffering,
        }
    }
}

/// What was written since it was last looked at how much room there is.
#[derive(Debug, Default)]
pub struct Spending {
    spent: AtomicU64,
    /// At so much it is time to look again.
    due: AtomicU64,
    closing: AtomicBool,
    lock: Mutex<()>,
    called: Condvar,
}

impl Spending {
    /// So many bytes are about to be written.
    pub(in crate::volume) fn spend(&self, bytes: u64) {
        let spent = self.spent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if spent >= self.due.load(Ordering::Relaxed) {
            self.call();
        }
    }

    /// Waits until much was written, given what room there was, or for `idle`; whether to go on.
    pub fn wait(&self, idle: Duration) -> bool {
        let due = |()| {
            let spent = self.spent.load(Ordering::Relaxed);
            spent < self.due.load(Ordering::Relaxed) && !self.closing.load(Ordering::Acquire)
        };
        self.called
            .wait_while_for(&mut self.locked(), |()| due(()), idle);
        !self.closing.load(Ordering::Acquire)
    }

    /// It is not known what there is room for: time to look is when it is said, and else after a while.
    pub fn rest(&self) {
        self.due.store(u64::MAX, Ordering::Relaxed);
    }

    /// There is another limit, or somebody who is to be told: time to look at once.
    pub fn look_again(&self) {
        self.due.store(0, Ordering::Relaxed);
        self.call();
    }

    /// Ends the waiting for good.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.call();
    }

    /// There is so much room now.
    pub(super) fn begin(&self, room: u64) {
        self.due
            .store((room / (2 * PART)).max(MIB / 4), Ordering::Relaxed);
        self.spent.store(0, Ordering::Relaxed);
    }

    /// With the lock: whoever was about to wait hears it.
    fn call(&self) {
        let _guard = self.locked();
        self.called.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn who_knows_nothing_waits_until_it_is_time_to_look() {
        let spending = Spending::default();
        spending.rest();
        let (since, idle) = (Instant::now(), Duration::from_millis(50));
        assert!(spending.wait(idle));
        assert!(since.elapsed() >= idle);
        spending.look_again();
        assert!(spending.wait(Duration::from_secs(3600)));
        spending.begin(MIB);
        spending.spend(MIB);
        assert!(spending.wait(Duration::from_secs(3600)));
    }

    #[test]
    fn the_kernel_may_hold_less_as_room_gets_scarce_and_nothing_near_the_end() {
        let of = |room| Headroom::of(room, None, Headroom::AMPLE);
        assert_eq!(of(10 << 30), Headroom::AMPLE);
        assert_eq!(of(100 * MIB).unwritten_bytes_max, Some(16 * MIB));
        assert_eq!(of(5 * MIB).buffering, Buffering::Back);
        assert_eq!(of(5 * MIB).unwritten_bytes_max, Some(MIB));
        assert_eq!(of(3 * MIB).buffering, Buffering::Through);
        assert_eq!(of(0).unwritten_bytes_max, Some(MIB));
    }

    #[test]
    fn it_takes_more_room_to_go_back_than_it_took_to_stop() {
        let through = Headroom::of(0, None, Headroom::AMPLE);
        assert_eq!(
            Headroom::of(7 * MIB, None, through).buffering,
            Buffering::Through
        );
        assert_eq!(
            Headroom::of(8 * MIB, None, through).buffering,
            Buffering::Back
        );
    }

    #[test]
    fn a_small_volume_buffers_as_long_as_it_is_not_nearly_full() {
        let of = |room| Headroom::of(room, Some(2 * MIB), Headroom::AMPLE).buffering;
        assert_eq!(
            (of(MIB), of(MIB / 4)),
            (Buffering::Back, Buffering::Through)
        );
    }
}
