//! Questions about many things, some asked at a time by threads of their own. Knows nothing of what is asked.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What `ask` tells of each, `most` asked at a time; the answers in the order of `all`. Behind an answer of which
/// `is_last` says so nobody is asked any more.
pub fn ask_each<T: Sync, A: Send>(
    most: usize,
    all: &[T],
    ask: impl Fn(&T) -> A + Sync,
    is_last: impl Fn(&A) -> bool + Sync,
) -> Vec<A> {
    let (next, has_ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut answers = Vec::new();
        while !has_ended.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(at) else { break };
            let answer = ask(one);
            if is_last(&answer) {
                has_ended.store(true, Ordering::Relaxed);
            }
            answers.push((at, answer));
        }
        answers
    };
    let mut answers = match most.min(all.len()) {
        0 | 1 => work(),
        threads => thread::scope(|scope| {
            let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            // Where the system has no more threads, fewer do it.
            let others: Vec<_> = (1..threads).map_while(start).collect();
            let own = work();
            let ended = others.into_iter().map(thread::ScopedJoinHandle::join);
            ended
                .flat_map(|answers| answers.unwrap_or_else(|panic| resume_unwind(panic)))
                .chain(own)
                .collect()
        }),
    };
    // Whoever takes a number answers for it: there are no gaps.
    answers.sort_unstable_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn some_are_asked_at_once_and_told_in_order() {
        const MOST: usize = 4;
        let all: Vec<u32> = (0..16).collect();
        // Nobody goes on before so many are asked.
        let all_ask = Barrier::new(MOST);
        let ask = |one: &u32| {
            all_ask.wait();
            *one
        };
        assert_eq!(ask_each(MOST, &all, ask, |_| false), all);
    }
}
