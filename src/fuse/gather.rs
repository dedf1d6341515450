//! Small WRITEs of the page cache that come one after the other, written back in one transaction.
//!
//! The kernel sends up to `max_background` of them without waiting for an answer. While it has more, the thread that
//! reads them puts each aside; with the last, or before anything else is answered, all are written and answered. None is
//! acknowledged before it is stored (invariant 2), and no more than [`COUNT_MAX`] wait.

use std::sync::Arc;

use parking_lot::Mutex;

use super::answer::Answer;
use super::replies::Pending;
use crate::volume::{Result, Volume, WriteBack};

/// Larger ones are worth a transaction of their own.
pub(super) const BYTES_MAX: usize = 64 * 1024;
/// As many as the kernel sends at a time, or 1 MiB.
const COUNT_MAX: usize = 64;
const SUM_MAX: usize = 1024 * 1024;

/// What was put aside.
pub(super) struct Gather<P = Pending> {
    volume: Arc<Volume>,
    aside: Mutex<Aside<P>>,
}

struct Aside<P> {
    writes: Vec<WriteBack>,
    pending: Vec<P>,
    bytes: usize,
    /// How often something was taken from here.
    taken: u64,
    /// That number, at the last look that saw something: the same writes may not wait for two.
    seen: Option<u64>,
}

/// Whoever waits for a write.
pub(super) trait Writer {
    /// So many bytes were written.
    fn answer(self, written: Result<u64>);
}

impl Writer for Pending {
    fn answer(self, written: Result<u64>) {
        self.send(written.map(Answer::Written));
    }
}

impl<P: Writer> Gather<P> {
    pub(super) fn new(volume: Arc<Volume>) -> Self {
        Self {
            volume,
            aside: Mutex::new(Aside::after(0)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.aside.lock().writes.is_empty()
    }

    /// Puts a write aside, to be answered with the others: now, if there are enough or `has_next` says that none is there
    /// that would come after it.
    pub(super) fn put(&self, write: WriteBack, pending: P, has_next: impl FnOnce() -> bool) {
        let is_full = self.keep(write, pending);
        // Asked last. Any thread may read the next one, also a thread that reads its first: if it has by now, none may be
        // there any more, and if it does later, it writes this before it does anything else.
        if is_full || !has_next() {
            self.write_all();
        }
    }

    /// Whether there are enough.
    fn keep(&self, write: WriteBack, pending: P) -> bool {
        let mut aside = self.aside.lock();
        aside.bytes += write.data.len();
        aside.writes.push(write);
        aside.pending.push(pending);
        aside.writes.len() >= COUNT_MAX || aside.bytes >= SUM_MAX
    }

    /// Writes and answers what was put aside.
    pub(super) fn write_all(&self) {
        let mut aside = self.aside.lock();
        if aside.writes.is_empty() {
            return;
        }
        let Aside {
            writes, pending, ..
        } = aside.take();
        drop(aside);
        let done = self.volume.write_back(&writes);
        for ((write, pending), done) in writes.iter().zip(pending).zip(done) {
            pending.answer(done.map(|()| write.data.len() as u64));
        }
    }

    /// Writes what has waited since the last look: the request that was to come after it went away again, as one does
    /// whose caller is killed. To be called now and then while writes are put aside.
    pub(super) fn look(&self) {
        let mut aside = self.aside.lock();
        let seen = (!aside.writes.is_empty()).then_some(aside.taken);
        let have_waited = seen.is_some() && seen == aside.seen;
        aside.seen = seen;
        drop(aside);
        if have_waited {
            self.write_all();
        }
    }
}

impl<P> Aside<P> {
    /// Nothing, after so many times that something was taken.
    const fn after(taken: u64) -> Self {
        Self {
            writes: Vec::new(),
            pending: Vec::new(),
            bytes: 0,
            taken,
            seen: None,
        }
    }

    fn take(&mut self) -> Self {
        let next = Self::after(self.taken + 1);
        std::mem::replace(self, next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::super::scratch::{Scratch, ask, attr, make_file};
    use super::*;
    use crate::types::Ino;
    use std::sync::mpsc::{Receiver, Sender, channel};

    impl Writer for Sender<u64> {
        fn answer(self, written: Result<u64>) {
            self.send(written.unwrap()).unwrap();
        }
    }

    fn gather() -> (Scratch, Gather<Sender<u64>>, Ino) {
        let scratch = Scratch::new();
        let head = Head::new(Arc::clone(&scratch.volume));
        let ino = attr(ask(&head, Ino::ROOT, make_file("f"))).ino;
        let gather = Gather::new(Arc::clone(&scratch.volume));
        (scratch, gather, ino)
    }

    fn put(
        gather: &Gather<Sender<u64>>,
        ino: Ino,
        has_next: impl FnOnce() -> bool,
    ) -> Receiver<u64> {
        let (pending, answers) = channel();
        let data = vec![7; 100];
        let write = WriteBack {
            ino,
            offset: 0,
            data,
        };
        gather.put(write, pending, has_next);
        answers
    }

    #[test]
    fn a_write_waits_for_one_that_is_there_and_no_longer() {
        let (_scratch, gather, ino) = gather();
        let first = put(&gather, ino, || true);
        assert!(first.try_recv().is_err());
        let last = put(&gather, ino, || false);
        assert_eq!((first.try_recv(), last.try_recv()), (Ok(100), Ok(100)));
    }

    /// A thread that has not read before is not known to lead, and may read the next one at any moment.
    #[test]
    fn another_thread_that_reads_the_next_one_writes_what_is_aside() {
        let (_scratch, gather, ino) = gather();
        let answers = put(&gather, ino, || {
            gather.write_all();
            true
        });
        assert_eq!(answers.try_recv(), Ok(100));
    }

    #[test]
    fn so_many_wait_for_none() {
        let (_scratch, gather, ino) = gather();
        let answers: Vec<_> = (0..COUNT_MAX).map(|_| put(&gather, ino, || true)).collect();
        assert!(answers.iter().all(|one| one.try_recv() == Ok(100)));
    }
}
