//! Whether the long work of a thread is still wanted: whoever asked for it may be gone. Knows neither who that is nor
//! what the work is.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Between looks, which cost a system call.
const PAUSE: Duration = Duration::from_millis(20);

struct Asker {
    is_there: Box<dyn Fn() -> bool>,
    looked: Option<Instant>,
    is_gone: bool,
}

thread_local! {
    static ASKER: RefCell<Option<Asker>> = const { RefCell::new(None) };
}

/// Does `work` on this thread, for an asker of whom `is_there` tells. Not to be nested.
pub fn while_wanted<T>(is_there: impl Fn() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    /// Also when the work panics: the next of this thread has another asker.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            ASKER.with(|cell| drop(cell.take()));
        }
    }
    let asker = Asker {
        is_there: Box::new(is_there),
        looked: None,
        is_gone: false,
    };
    ASKER.with(|cell| cell.replace(Some(asker)));
    let _end = End;
    work()
}

/// Whether the work of this thread is to go on. To be asked again and again by what may take more than a second. Of a
/// thread that works for nobody in particular it is always so.
#[must_use]
pub fn is_wanted() -> bool {
    // A thread that is ending has nothing left to do.
    ASKER
        .try_with(|cell| cell.borrow_mut().as_mut().is_none_or(Asker::look))
        .unwrap_or(true)
}

impl Asker {
    fn look(&mut self) -> bool {
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= PAUSE);
        if !self.is_gone && is_due {
            self.is_gone = !(self.is_there)();
            self.looked = Some(Instant::now());
        }
        !self.is_gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_wanted_until_its_asker_is_gone_and_of_each_thread_by_itself() {
        assert!(is_wanted());
        while_wanted(
            || false,
            || {
                assert!(!is_wanted());
                assert!(std::thread::spawn(is_wanted).join().unwrap());
            },
        );
        while_wanted(|| true, || assert!(is_wanted()));
        assert!(is_wanted());
    }
}
