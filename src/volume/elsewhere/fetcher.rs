//! What is asked of the repository, by whom, and what came of it: equal requests are made once, and whoever waits does so
//! for a bounded time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::bounds::Bounds;
use super::brought::Brought;
use super::cached::Cached;
use super::origin::{Origin, Prefetch};
use super::readahead::{Plan, ReadAhead, StreamId};
use super::source::Source;
use crate::remote::{self, Place, WINDOW_BYTES};
use crate::types::{ChunkId, FarPlace};
use crate::volume::error::{Error, Result};

/// After a request that failed for now, before the same is asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// Chunks of one pack that are fetched together.
pub(super) type Window = Vec<(FarPlace, ChunkId)>;

/// The plaintext of each chunk of a window, or why there is none.
pub(super) type Came = std::result::Result<Vec<Arc<[u8]>>, Arc<remote::Error>>;

/// Bytes of plaintext that are fetched together: what compresses well is more than it takes in a pack.
const PLAIN_MAX: u64 = 8 * 1024 * 1024;

/// Whether a chunk comes with a window that shall take `bytes_max` in the pack at most.
pub(super) fn extends(window: &Window, place: &FarPlace, bytes_max: u64) -> bool {
    let ends = window.first().zip(window.last());
    let ends = ends.and_then(|((first, _), (last, _))| {
        let far = Place::of_far;
        Some((far(first)?, far(last)?, far(place)?))
    });
    let plain: u64 = window.iter().map(|(one, _)| u64::from(one.len)).sum();
    plain + u64::from(place.len) <= PLAIN_MAX
        && ends.is_some_and(|(first, last, place)| place.extends((&first, &last), bytes_max))
}

/// The chunks of a volume that are elsewhere, on their way.
#[derive(Debug)]
pub(in crate::volume) struct Fetcher {
    source: Source,
    /// Where what has come is kept; `None`: in the volume.
    cached: Option<Cached>,
    state: Mutex<State>,
    /// Something was asked for, has come, or failed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    brought: Brought,
    ahead: ReadAhead,
    queue: VecDeque<Window>,
    /// For whom it is to be looked what to fetch next.
    looks: VecDeque<(ChunkId, Plan)>,
    under_way: BTreeSet<FarPlace>,
    /// What could not be fetched when it was asked for last.
    failed: BTreeMap<FarPlace, Arc<remote::Error>>,
    closing: bool,
}

/// What a thread that fetches is to do.
pub(super) enum Task {
    /// Fetch these.
    Fetch(Window),
    /// Look what to fetch for a reader, from this row on.
    Look(ChunkId, Plan),
}

/// What has become of chunks that were asked for.
enum Outcome {
    /// Each has come, or may be asked for.
    Ready(BTreeSet<FarPlace>),
    Failed(Arc<remote::Error>),
    Closing,
    Late,
}

impl State {
    fn is_asked_for(&self, place: &FarPlace) -> bool {
        self.under_way.contains(place) || self.brought.has(place)
    }
}

impl Fetcher {
    /// `dir` is the volume's.
    pub(in crate::volume) fn new(origin: Origin, dir: &Path) -> Self {
        Self {
            cached: Cached::of(&origin),
            source: Source::new(origin, dir),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) const fn source(&self) -> &Source {
        &self.source
    }

    /// Whether chunks come before they are needed.
    pub(super) fn prefetches(&self) -> bool {
        self.source.origin().prefetch == Prefetch::All
    }

    /// The cache that what has come is kept in; `None` where the volume keeps it.
    pub(super) const fn cached(&self) -> Option<&Cached> {
        self.cached.as_ref()
    }

    /// A chunk that has come a moment ago, or is in the cache.
    pub(super) fn here(&self, place: &FarPlace) -> Option<Arc<[u8]>> {
        let brought = self.state.lock().brought.get(place);
        if brought.is_some() {
            return brought;
        }
        let plain = self.cached()?.get(place)?;
        self.state.lock().brought.put(*place, Arc::clone(&plain));
        Some(plain)
    }

    /// Until when a read waits that begins now.
    pub(super) fn until(&self) -> Option<Instant> {
        let deadline = self.source.origin().deadline.time();
        deadline.map(|time| Instant::now() + time)
    }

    /// What to fetch for somebody who needs `chunk`.
    pub(super) fn plan(&self, chunk: ChunkId) -> Plan {
        self.state.lock().ahead.plan(chunk)
    }

    /// Somebody reads this chunk: what follows may be fetched before it is needed.
    pub(super) fn reached(&self, chunk: ChunkId) {
        let mut state = self.state.lock();
        if let Some(look) = state.ahead.reached(chunk) {
            state.looks.push_back(look);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Whether a chunk is under way, or has come.
    pub(super) fn is_asked_for(&self, place: &FarPlace) -> bool {
        self.state.lock().is_asked_for(place)
    }

    /// Has these fetched for a reader; what is under way or has come is not fetched twice.
    pub(super) fn ask(&self, stream: StreamId, windows: Vec<Window>) {
        let mut state = self.state.lock();
        state.ahead.looked(stream);
        for mut window in windows {
            window.retain(|(place, _)| !state.is_asked_for(place));
            let Some(((_, first), (_, last))) = window.first().zip(window.last()) else {
                continue;
            };
            let rows = (*first, ChunkId(last.0 + 1));
            state.ahead.asked(stream, rows);
            let places = window.iter().map(|(place, _)| *place);
            state.under_way.extend(places);
            state.queue.push_back(window);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until `wanted` have come; those that have to be asked for, if any.
    ///
    /// # Errors
    /// [`Error::Remote`] when the store does not answer in time, or not with what was stored.
    pub(super) fn wait(
        &self,
        wanted: &BTreeSet<FarPlace>,
        bounds: &Bounds<'_>,
    ) -> Result<BTreeSet<FarPlace>> {
        match self.outcome(wanted, bounds) {
            Outcome::Ready(missing) => Ok(missing),
            Outcome::Failed(error) => Err(Error::Remote(error)),
            Outcome::Closing => Err(self.late("nobody waits for it any more")),
            Outcome::Late => Err(self.late("it did not come in time")),
        }
    }

    fn outcome(&self, wanted: &BTreeSet<FarPlace>, bounds: &Bounds<'_>) -> Outcome {
        let until = bounds.until;
        let is_late = || until.is_some_and(|until| Instant::now() >= until);
        let mut state = self.state.lock();
        loop {
            if state.closing || !(bounds.goes_on)() {
                return Outcome::Closing;
            }
            if is_late() {
                return Outcome::Late;
            }
            if let Some((place, error)) = wanted
                .iter()
                .find_map(|one| Some((*one, Arc::clone(state.failed.get(one)?))))
            {
                if !error.is_passing() {
                    return Outcome::Failed(error);
                }
                // Nothing is remembered of a failure: the next one to ask tries again.
                self.changed.wait_for(&mut state, PAUSE);
                state.failed.remove(&place);
                continue;
            }
            let is_under_way = wanted.iter().any(|one| state.under_way.contains(one));
            if !is_under_way {
                return Outcome::Ready(state.brought.missing(wanted));
            }
            match until {
                Some(until) => drop(self.changed.wait_until(&mut state, until)),
                None => self.changed.wait(&mut state),
            }
        }
    }

    fn late(&self, why: &str) -> Error {
        let said = self.source.trouble().unwrap_or_else(|| why.to_owned());
        Error::Remote(Arc::new(remote::Error::Unreachable {
            op: "fetch from",
            object: self.source.origin().snapshot.clone(),
            source: said.into(),
        }))
    }

    /// Forgets that these could not be fetched.
    pub(super) fn retry(&self, wanted: &BTreeSet<FarPlace>) {
        let mut state = self.state.lock();
        for place in wanted {
            state.failed.remove(place);
        }
    }

    /// What to do next; `None` when the volume is being closed.
    pub(super) fn next(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.closing {
                return None;
            }
            // First: it takes no time, and has others work.
            if let Some((from, plan)) = state.looks.pop_front() {
                return Some(Task::Look(from, plan));
            }
            if let Some(window) = state.queue.pop_front() {
                return Some(Task::Fetch(window));
            }
            self.changed.wait(&mut state);
        }
    }

    /// Fetches what the cache does not have of a window that is under way, and tells those who wait.
    pub(super) fn fetch(&self, window: Window) -> Vec<(Window, Came)> {
        let windows = match self.cached() {
            Some(cached) => self.take(cached, window),
            None => vec![window],
        };
        let parts = windows.into_iter().map(|window| self.fetch_window(window));
        parts.flatten().collect()
    }

    /// Takes what is in the cache; what is left to fetch, what lies together in one window.
    fn take(&self, cached: &Cached, window: Window) -> Vec<Window> {
        let mut left: Vec<Window> = Vec::new();
        for (place, id) in window {
            if let Some(plain) = cached.get(&place) {
                self.conclude(&vec![(place, id)], &Ok(vec![plain]));
                continue;
            }
            match left.last_mut() {
                Some(last) if extends(last, &place, WINDOW_BYTES) => last.push((place, id)),
                _ => left.push(vec![(place, id)]),
            }
        }
        left
    }

    /// One that cannot be had whole comes in parts: what is damaged keeps nobody from its neighbours.
    fn fetch_window(&self, window: Window) -> Vec<(Window, Came)> {
        let came = self.try_fetch(&window);
        let is_to_part = matches!(&came, Err(error) if !error.is_passing()) && window.len() > 1;
        if !is_to_part {
            self.conclude(&window, &came);
            return vec![(window, came)];
        }
        let singly = window.into_iter().map(|one| {
            let part = vec![one];
            let came = self.try_fetch(&part);
            self.conclude(&part, &came);
            (part, came)
        });
        singly.collect()
    }

    fn try_fetch(&self, window: &Window) -> Came {
        let places: Option<Vec<_>> = window.iter().map(|(far, _)| Place::of_far(far)).collect();
        let fetched = places
            .ok_or_else(|| remote::Error::Bug("a chunk is in no pack".to_owned()))
            .and_then(|places| self.source.fetch(&places));
        // Copies: one chunk that is held for long would hold all that came with it.
        let copies = |fetched: remote::Fetched| {
            let plain = fetched.plain.iter();
            plain.map(|one| Arc::from(&one[..])).collect()
        };
        fetched.map(copies).map_err(Arc::new)
    }

    fn conclude(&self, window: &Window, came: &Came) {
        let mut state = self.state.lock();
        // From the last to the first, which is what somebody needs: it is let go of last.
        for (at, (place, _)) in window.iter().enumerate().rev() {
            let is_awaited = state.under_way.remove(place);
            match came {
                Ok(plain) => {
                    let plain = plain.get(at).cloned().unwrap_or_default();
                    state.brought.put(*place, plain);
                }
                Err(error) if is_awaited => {
                    state.failed.insert(*place, Arc::clone(error));
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether the volume is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    /// Waits so long, or until the volume is being closed.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.closing && !self.changed.wait_until(&mut state, until).timed_out() {}
    }

    /// Has those that wait look whether they go on.
    pub(in crate::volume) fn wake(&self) {
        // With the lock, so that none is between its look and its wait.
        let _state = self.state.lock();
        self.changed.notify_all();
    }

    /// Ends the threads that fetch, and whoever waits for them.
    pub(in crate::volume) fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
    }
}
