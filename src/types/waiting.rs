//! Telling whoever lent a thread that it is about to wait: somebody else can take over what it was there for. Knows
//! neither who that is nor what is waited for.

use std::cell::OnceCell;

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
    // Not on a thread that is ending.
    NOTICE
        .try_with(|cell| {
            if let Some(notice) = cell.get() {
                notice();
            }
        })
        .unwrap_or(());
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
}
