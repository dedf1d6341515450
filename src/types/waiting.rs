//! Telling whoever lent a thread that it is about to wait: somebody else can take over what it was there for. Knows
//! neither who that is nor what is waited for.

use std::cell::OnceCell;

use parking_lot::{Mutex, MutexGuard};

thread_local! {
    static NOTICE: OnceCell<Box<dyn Fn()>> = const { OnceCell::new() };
}

/// Has `notice` run on this thread each time that it is about to wait. Only the first of a thread counts.
pub fn on_waiting(notice: impl Fn() + 'static) {
    NOTICE.with(|cell| drop(cell.set(Box::new(notice))));
}

/// To be called before anything that may take longer than a request in memory does: the disk, or another thread that
/// waits for it. Costs next to nothing on a thread for which nobody cares.
pub fn about_to_wait() {
    // A thread that is ending has told that already.
    NOTICE
        .try_with(|cell| {
            if let Some(notice) = cell.get() {
                notice();
            }
        })
        .unwrap_or(());
}

/// Takes a lock that may be held over I/O: calls [`about_to_wait`] where somebody has it.
pub fn wait_for_lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.try_lock().unwrap_or_else(|| {
        about_to_wait();
        lock.lock()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn a_notice_is_its_own_threads() {
        let heard = Rc::new(Cell::new(0));
        let hears = Rc::clone(&heard);
        on_waiting(move || hears.set(hears.get() + 1));
        about_to_wait();
        std::thread::scope(|scope| drop(scope.spawn(about_to_wait)));
        assert_eq!(heard.get(), 1);
    }

    #[test]
    fn a_lock_is_waited_for_only_where_somebody_has_it() {
        let (tell, told) = std::sync::mpsc::channel();
        let lock = Mutex::new(1);
        let held = lock.lock();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                on_waiting(move || tell.send(()).unwrap());
                *wait_for_lock(&lock) += 1;
                *wait_for_lock(&lock) += 1;
            });
            told.recv().unwrap();
            drop(held);
            waiting.join().unwrap();
        });
        assert_eq!(told.iter().count(), 0, "the second time it was free");
        assert_eq!(*lock.lock(), 3);
    }
}
