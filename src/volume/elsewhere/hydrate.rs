//! Fetching what nobody has asked for yet, until all is here.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use super::fetcher::{Fetcher, Window, extends};
use super::keep::keep;
use crate::meta::FarCount;
use crate::remote::WINDOW_BYTES;
use crate::types::ChunkId;
use crate::volume::config::edit;
use crate::volume::core::Core;
use crate::volume::error::Result;
use crate::volume::metadata::Space;

/// Rows that are looked through at a time.
const SPAN: u32 = 4096;
/// Requests at once.
const AT_ONCE: usize = 4;
/// After a round in which something could not be fetched, or kept.
const RETRY: Duration = Duration::from_secs(5);

/// The same where what is left is damaged: somebody may mend it.
const RETRY_DAMAGED: Duration = Duration::from_secs(600);

/// How much is elsewhere.
pub(in crate::volume) fn count(core: &Core) -> Result<FarCount> {
    if core.fetcher().is_none() {
        return Ok(FarCount::default());
    }
    Ok(core.database().read_beside()?.far_count()?)
}

/// Fetches all, and forgets the repository then.
pub(in crate::volume) fn hydrate(core: &Core) {
    let Some(fetcher) = core.fetcher() else {
        return;
    };
    while !fetcher.is_closing() {
        keep_pinned(fetcher);
        if !fetcher.prefetches() {
            fetcher.pause(Duration::from_secs(600));
            continue;
        }
        match round(core, fetcher) {
            Ok(Round::Whole) => return conclude(core, fetcher),
            Ok(Round::Fetched) => {}
            Ok(Round::Damaged) => fetcher.pause(RETRY_DAMAGED),
            Ok(Round::Stopped) => fetcher.pause(RETRY),
            Err(error) => {
                log::warn!("cannot look what is still to be fetched: {error}");
                fetcher.pause(RETRY);
            }
        }
    }
}

/// How a look through all rows ended.
enum Round {
    /// Nothing is elsewhere any more.
    Whole,
    /// What was found has come.
    Fetched,
    /// What is left is damaged, or gone.
    Damaged,
    /// The store does not answer, there is no room, or the volume is being closed.
    Stopped,
}

/// Looks through all rows once, and fetches what is found.
fn round(core: &Core, fetcher: &Fetcher) -> Result<Round> {
    let mut from = ChunkId(0);
    let mut round = Round::Whole;
    loop {
        let Some(found) = core.database().read_beside()?.far_chunks(from, SPAN)? else {
            return Ok(round);
        };
        from = ChunkId(from.0 + i64::from(SPAN));
        let mut windows = grouped(found).into_iter().peekable();
        while windows.peek().is_some() {
            keep_pinned(fetcher);
            let some: Vec<_> = windows.by_ref().take(AT_ONCE).collect();
            round = worse(fetch(core, fetcher, some), round);
            if matches!(round, Round::Stopped) {
                return Ok(round);
            }
        }
    }
}

fn keep_pinned(fetcher: &Fetcher) {
    if let Err(error) = fetcher.source().keep_pinned() {
        log::warn!("it is not said that the snapshot is needed still: {error}");
    }
}

/// Fetches some windows at once, and keeps what comes.
fn fetch(core: &Core, fetcher: &Fetcher, windows: Vec<Window>) -> Round {
    // What could not be kept would be fetched again and again.
    if fetcher.is_closing() || core.metadata().check_open(Space::Needs).is_err() {
        return Round::Stopped;
    }
    let rounds: Vec<_> = thread::scope(|scope| {
        let fetch = |window: Window| {
            let parts = fetcher.fetch(window).into_iter();
            let rounds = parts.map(|(part, came)| match came {
                Ok(plain) if keep(core, &part, &plain) => Round::Fetched,
                Err(error) if !error.is_passing() => Round::Damaged,
                Ok(_) | Err(_) => Round::Stopped,
            });
            rounds.fold(Round::Fetched, worse)
        };
        let threads = windows
            .into_iter()
            .map(|window| scope.spawn(move || fetch(window)));
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect()
    });
    let rounds = rounds.into_iter().map(|one| one.unwrap_or(Round::Stopped));
    rounds.fold(Round::Fetched, worse)
}

fn worse(one: Round, other: Round) -> Round {
    match (one, other) {
        (Round::Stopped, _) | (_, Round::Stopped) => Round::Stopped,
        (Round::Damaged, _) | (_, Round::Damaged) => Round::Damaged,
        (_, _) => Round::Fetched,
    }
}

/// Chunks by their packs, those together that lie together.
fn grouped(mut found: Window) -> Vec<Window> {
    found.sort_unstable();
    let mut windows: VecDeque<Window> = VecDeque::new();
    for (place, id) in found {
        match windows.back_mut() {
            Some(window) if extends(window, &place, WINDOW_BYTES) => window.push((place, id)),
            _ => windows.push_back(vec![(place, id)]),
        }
    }
    windows.into()
}

/// All is here: durable first, then the volume no longer says where it came from.
fn conclude(core: &Core, fetcher: &Fetcher) {
    let forgotten = core
        .disk()
        .sync()
        .and_then(|()| edit(core.dir(), |config| config.origin = None));
    match forgotten {
        // What keeps it from being collected ends by itself: clones may need it still.
        Ok(()) => log::info!("all of {} is here", fetcher.source().origin().snapshot),
        Err(error) => log::warn!("all is here, and it cannot be noted: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::FarPlace;

    #[test]
    fn neighbours_come_together_in_whatever_order_rows_name_them() {
        let place = |pack, offset| FarPlace {
            pack: [pack; 32],
            piece: offset,
            offset,
            stored_len: 984,
            len: 984,
            codec: 0,
        };
        let found = [(1, 64), (0, 1064), (0, 64), (1, 4_000_000), (1, 1064)];
        let found = found.map(|(pack, offset)| (place(pack, offset), ChunkId(1)));
        let windows = grouped(found.to_vec());
        let counts: Vec<_> = windows.iter().map(Vec::len).collect();
        assert_eq!(counts, [2, 2, 1]);
    }
}
