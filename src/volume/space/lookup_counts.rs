//! Which inodes the kernel knows, and which of those have no name any more.
//!
//! The kernel counts how often it was told of an inode, and says in FORGET how many of those it gives
//! back. An orphan must live until all are: one FORGET can be older than the LOOKUP behind which the
//! file was unlinked, since the kernel queues them apart (Linux, fs/fuse/dev.c, `fuse_dev_do_read`).

use std::collections::HashSet;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::known_inodes::KnownInodes;
use crate::types::Ino;

/// The inodes that the kernel knows, and the orphans that wait for their end.
#[derive(Debug, Default)]
pub(in crate::volume) struct LookupCounts {
    inner: Mutex<Inner>,
    ready: Condvar,
    freeing: Mutex<()>,
    doubts: Condvar,
}

/// Whether it is known how often the kernel was told of an inode.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Counts {
    #[default]
    Whole,
    /// The server that told it before is dead, and what it counted with it.
    Lost,
}

/// Whether rows of removed snapshots wait to be freed, or those of copies to be written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::volume) enum Backlog {
    #[default]
    Nothing,
    Due,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    known: KnownInodes,
    orphans: HashSet<Ino>,
    /// Orphans of which only the kernel can say whether it knows them.
    doubtful: HashSet<Ino>,
    connected: bool,
    /// Orphans that nobody knows any more, to be freed.
    ended: Vec<Ino>,
    backlog: Backlog,
    closing: bool,
}

impl LookupCounts {
    /// The kernel is told of `ino` once more.
    pub(super) fn remember(&self, ino: Ino) {
        self.lock().known.add(ino);
    }

    /// The kernel gives back `count` of the times that it was told of `ino`.
    pub(super) fn forget(&self, ino: Ino, count: u64) {
        let mut inner = self.lock();
        // Of what another server told it of there is no count here: whether the kernel still knows it, only that can
        // say.
        if inner.known.give_back(ino, count) == Some(0) && inner.orphans.remove(&ino) {
            self.end(&mut inner, ino);
        }
    }

    /// `ino` has no name any more: it ends now, or once the kernel has forgotten it.
    pub(in crate::volume) fn orphan(&self, ino: Ino) {
        let mut inner = self.lock();
        if inner.counts == Counts::Lost {
            inner.doubtful.insert(ino);
            self.doubts.notify_all();
        } else if inner.known.has(ino) {
            inner.orphans.insert(ino);
        } else {
            self.end(&mut inner, ino);
        }
    }

    /// Whether `ino` has no name any more, and lives on because the kernel knows it. Where the counts are lost, none is
    /// said to.
    pub(in crate::volume) fn is_orphan(&self, ino: Ino) -> bool {
        self.lock().orphans.contains(&ino)
    }

    /// A connection begins, of which nothing is known yet.
    pub(super) fn connect(&self) {
        let mut inner = self.lock();
        (inner.counts, inner.connected) = (Counts::Whole, true);
    }

    /// A connection goes on that another server had: what the kernel knows of, it must be asked.
    pub(super) fn inherit(&self) {
        let mut inner = self.lock();
        (inner.counts, inner.connected) = (Counts::Lost, true);
    }

    /// The connection is gone, and with it all that the kernel knew.
    pub(super) fn forget_all(&self) {
        let mut inner = self.lock();
        inner.connected = false;
        inner.known.clear();
        let orphans = std::mem::take(&mut inner.orphans);
        for ino in orphans
            .into_iter()
            .chain(std::mem::take(&mut inner.doubtful))
        {
            self.end(&mut inner, ino);
        }
        self.doubts.notify_all();
    }

    /// Waits for orphans of which the kernel must be asked, and returns them; `None` once the connection is gone.
    pub(super) fn wait_for_doubts(&self) -> Option<Vec<Ino>> {
        let idle = |inner: &mut Inner| inner.connected && inner.doubtful.is_empty();
        let mut inner = self.lock();
        self.doubts.wait_while(&mut inner, idle);
        inner
            .connected
            .then(|| inner.doubtful.iter().copied().collect())
    }

    /// The kernel says that it does not know this one.
    pub(super) fn resolve(&self, ino: Ino) {
        let mut inner = self.lock();
        if inner.doubtful.remove(&ino) {
            self.end(&mut inner, ino);
        }
    }

    fn end(&self, inner: &mut Inner, ino: Ino) {
        debug_assert!(
            inner.counts == Counts::Lost || !inner.known.has(ino),
            "invariant 8: the kernel knows {ino}"
        );
        let is_first = inner.ended.is_empty();
        inner.ended.push(ino);
        // Whoever frees waits for a crowd behind the first: to be woken by each would cost as much as a removal.
        if is_first {
            self.ready.notify_one();
        }
    }

    /// Orphans that failed to be freed, to be tried again.
    pub(super) fn put_back(&self, inos: Vec<Ino>) {
        let mut inner = self.lock();
        inner.ended.extend(inos);
        // Not by the next one that ends: that is not the first.
        self.ready.notify_one();
    }

    /// One at a time frees: whoever comes second finds freed what the first took.
    pub(super) fn begin_freeing(&self) -> MutexGuard<'_, ()> {
        self.freeing.lock()
    }

    /// What is to be freed, without waiting.
    pub(super) fn take_ended(&self) -> Vec<Ino> {
        std::mem::take(&mut self.lock().ended)
    }

    /// Rows of a removed snapshot are to be freed, or those of a copy to be written.
    pub(in crate::volume) fn call_backlog(&self) {
        self.lock().backlog = Backlog::Due;
        self.ready.notify_one();
    }

    /// Waits until something is to be done; `None` once the volume closes.
    pub(in crate::volume) fn wait_for_work(&self) -> Option<Backlog> {
        let mut inner = self.lock();
        let idle = |inner: &mut Inner| {
            inner.ended.is_empty() && inner.backlog == Backlog::Nothing && !inner.closing
        };
        self.ready.wait_while(&mut inner, idle);
        if inner.closing {
            return None;
        }
        // Files are removed in crowds: a moment later there is more to free in one transaction.
        let crowd = Duration::from_millis(100);
        self.ready
            .wait_while_for(&mut inner, |inner| !inner.closing, crowd);
        // The backlog is in the tables, and whoever closes frees what has ended.
        (!inner.closing).then(|| std::mem::take(&mut inner.backlog))
    }

    pub(in crate::volume) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Ends the waiting for good.
    pub(in crate::volume) fn close(&self) {
        self.lock().closing = true;
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_forget_does_not_end_an_orphan_that_was_looked_up_again() {
        let counts = LookupCounts::default();
        let ino = Ino::from_raw(7);
        counts.remember(ino);
        counts.remember(ino);
        counts.orphan(ino);
        counts.forget(ino, 1);
        assert_eq!(counts.take_ended(), []);
        counts.forget(ino, 1);
        assert_eq!(counts.take_ended(), [ino]);
    }

    #[test]
    fn after_another_server_nothing_ends_before_the_kernel_says_so() {
        let counts = LookupCounts::default();
        counts.inherit();
        let ino = Ino::from_raw(9);
        counts.orphan(ino);
        counts.forget(ino, 3);
        assert_eq!(counts.take_ended(), []);
        assert_eq!(counts.wait_for_doubts(), Some(vec![ino]));
        counts.resolve(ino);
        assert_eq!(counts.take_ended(), [ino]);
        counts.forget_all();
        assert_eq!(counts.wait_for_doubts(), None);
    }

    #[test]
    fn an_inode_that_the_kernel_does_not_know_ends_with_its_name() {
        let counts = LookupCounts::default();
        counts.orphan(Ino::from_raw(8));
        assert_eq!(counts.take_ended(), [Ino::from_raw(8)]);
    }

    /// How often this thread has waited so far.
    fn waits() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.unwrap().trim().parse().unwrap()
    }

    #[test]
    fn what_could_not_be_freed_is_tried_again() {
        let counts = LookupCounts::default();
        std::thread::scope(|scope| {
            let freeing = scope.spawn(|| counts.wait_for_work());
            // As one who frees meanwhile, and fails.
            std::thread::sleep(Duration::from_millis(20));
            counts.put_back(vec![Ino::from_raw(7)]);
            counts.orphan(Ino::from_raw(8));
            let until = std::time::Instant::now() + Duration::from_secs(10);
            while !freeing.is_finished() && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
            let was_woken = freeing.is_finished();
            counts.close();
            assert!(was_woken, "nobody was told");
        });
    }

    #[test]
    fn a_crowd_wakes_once_whoever_frees_it() {
        const CROWD: u64 = 200;
        let counts = LookupCounts::default();
        let waited = std::thread::scope(|scope| {
            let freeing = scope.spawn(|| {
                let before = waits();
                counts.wait_for_work().unwrap();
                waits() - before
            });
            std::thread::sleep(Duration::from_millis(20));
            for ino in 100..100 + CROWD {
                counts.orphan(Ino::from_raw(ino));
                std::thread::sleep(Duration::from_micros(50));
            }
            freeing.join().unwrap()
        });
        assert!(waited < CROWD / 10, "waited {waited} times");
    }
}
