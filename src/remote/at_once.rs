//! Requests for small objects, some at a time: what each of them takes is a round trip.

use super::Result;
use super::shelf::Shelf;
use crate::at_once;

/// Asks for each, as many at a time as the store takes well; the answers in the order of `all`. Behind an error that is
/// not about one object nobody is asked any more: it is the last answer that counts.
pub(super) fn ask_each<T: Sync, A: Send>(
    shelf: &dyn Shelf,
    all: &[T],
    ask: impl Fn(&T) -> Result<A> + Sync,
) -> Vec<Result<A>> {
    let is_last = |answer: &Result<A>| answer.as_ref().is_err_and(|e| !e.is_of_one_object());
    at_once::ask_each(shelf.at_once(), all, ask, is_last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{Bytes, Error, Key, Listed, Tag};
    use std::ops::Range;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    /// Takes so many requests at a time. Nothing is stored.
    #[derive(Debug)]
    struct Wide(usize);

    impl Shelf for Wide {
        fn put(&self, _: &Key, _: Bytes) -> Result<()> {
            Ok(())
        }
        fn create(&self, _: &Key, _: Bytes) -> Result<Tag> {
            Ok(Tag(String::new()))
        }
        fn replace(&self, _: &Key, _: Bytes, _: &Tag) -> Result<Tag> {
            Ok(Tag(String::new()))
        }
        fn get(&self, _: &Key) -> Result<(Vec<u8>, Tag)> {
            Ok((Vec::new(), Tag(String::new())))
        }
        fn get_range(&self, _: &Key, _: Range<u64>) -> Result<Vec<u8>> {
            Ok(Vec::new())
        }
        fn list(&self, _: &str) -> Result<Vec<Listed>> {
            Ok(Vec::new())
        }
        fn delete(&self, _: &Key) -> Result<()> {
            Ok(())
        }
        fn at_once(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn answers_come_in_order_and_requests_together() {
        let all: Vec<u32> = (0..40).collect();
        let trip = Duration::from_millis(30);
        let since = Instant::now();
        let answers = ask_each(&Wide(8), &all, |one| {
            thread::sleep(trip);
            Ok(*one)
        });
        assert!(since.elapsed() < trip * 20, "{:?}", since.elapsed());
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, all);
    }

    #[test]
    fn behind_an_error_that_is_about_all_nobody_is_asked() {
        let all: Vec<u32> = (0..1000).collect();
        for wide in [1, 8] {
            let asked = AtomicUsize::new(0);
            let answers = ask_each(&Wide(wide), &all, |one| {
                asked.fetch_add(1, Ordering::Relaxed);
                match one {
                    3 => Err(Error::damaged("one", "of many")),
                    20 => Err(Error::Unfit("it is away".to_owned())),
                    one => Ok(*one),
                }
            });
            assert!(asked.into_inner() < 20 + 2 * wide + 1, "{wide} at once");
            assert!(matches!(answers[3], Err(Error::Damaged { .. })));
            assert!(matches!(answers[20], Err(Error::Unfit(_))));
            assert_eq!(answers[..20].iter().filter(|one| one.is_ok()).count(), 19);
        }
    }
}
