//! Keeps idle processors awake while requests come one after the other.
//!
//! Each request wakes the server, and each answer the caller; the scheduler gives either an idle processor, and one that
//! sleeps takes 5 to 50 us to wake, more than most answers take. So while requests come fast the server asks the
//! kernel for processors that are there at once: `/dev/cpu_dma_latency` (Linux, Documentation/power/
//! pm_qos_interface.rst), for as long as it is held open. That costs energy, and only then; who is not root, or has no
//! such device, does without.
//!
//! Knows nothing of what requests are. Whoever relies on more of them to come is called to look, now and then.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const DEVICE: &str = "/dev/cpu_dma_latency";
/// `off` here leaves processors as they are: for an operator who would rather save energy.
const SETTING: &str = "CASK_CPU_LATENCY";
/// No latency at all, in microseconds.
const AT_ONCE: i32 = 0;
/// So many requests within [`FAST`] are a caller who waits for one after the other.
const BURST: u64 = 16;
const FAST: Duration = Duration::from_millis(8);
/// How often it is looked whether they still come.
const LOOK: Duration = Duration::from_millis(5);
/// At least so many from one look to the next.
const STEADY: u64 = 8;

/// Counts requests, with a thread that acts by their rate and ends with this.
#[derive(Debug)]
pub(super) struct Wakeful {
    pace: Arc<Pace>,
    may_hold: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Pace {
    requests: AtomicU64,
    /// Since when the current [`BURST`] is counted.
    since: Mutex<Instant>,
    is_fast: AtomicBool,
    is_over: AtomicBool,
}

impl Wakeful {
    /// Starts to watch the rate. `look` is called every now and then while it is fast, and twice afterwards.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(look: impl Fn() + Send + 'static) -> io::Result<Self> {
        let pace = Arc::new(Pace::new());
        let watched = Arc::clone(&pace);
        let may_hold = std::env::var_os(SETTING).is_none_or(|value| value != "off")
            && hold().inspect_err(|e| log::debug!("{DEVICE}: {e}")).is_ok();
        let thread = thread::Builder::new().name("wakeful".to_owned());
        let thread = thread.spawn(move || watch(&watched, may_hold, &look))?;
        Ok(Self {
            pace,
            may_hold,
            thread: Some(thread),
        })
    }

    /// Whether processors are kept awake when requests come fast.
    pub(super) const fn may_hold(&self) -> bool {
        self.may_hold
    }

    /// Whether requests come fast. What was done before this said so is seen by the next two looks.
    pub(super) fn is_fast(&self) -> bool {
        self.pace.is_fast.load(Ordering::SeqCst)
    }

    /// A request was read.
    pub(super) fn note_request(&self) {
        if let Some(thread) = &self.thread
            && self.pace.becomes_fast()
        {
            thread.thread().unpark();
        }
    }
}

impl Drop for Wakeful {
    fn drop(&mut self) {
        self.pace.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                log::error!("the thread that keeps processors awake panicked");
            }
        }
    }
}

impl Pace {
    fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            since: Mutex::new(Instant::now()),
            is_fast: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    /// Counts a request; whether that is the one from which on they come fast.
    fn becomes_fast(&self) -> bool {
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if !count.is_multiple_of(BURST) || self.is_fast.load(Ordering::Relaxed) {
            return false;
        }
        let now = Instant::now();
        let since = std::mem::replace(&mut *self.since.lock(), now);
        now.duration_since(since) < FAST && !self.is_fast.swap(true, Ordering::SeqCst)
    }

    /// Returns once requests come fast; `false` when the connection is over.
    fn wait_for_burst(&self) -> bool {
        while !self.is_over.load(Ordering::Acquire) {
            if self.is_fast.load(Ordering::Acquire) {
                return true;
            }
            thread::park();
        }
        false
    }

    /// Returns once they do no longer, with a `look` at each check and two after the last.
    fn wait_for_lull(&self, look: &impl Fn()) {
        let mut before = self.requests.load(Ordering::Relaxed);
        while !self.is_over.load(Ordering::Acquire) {
            thread::sleep(LOOK);
            look();
            let now = self.requests.load(Ordering::Relaxed);
            if now - before < STEADY {
                break;
            }
            before = now;
        }
        self.is_fast.store(false, Ordering::SeqCst);
        // Twice: what came between the last look and this line is seen by the first, and due at the second.
        look();
        look();
    }
}

fn watch(pace: &Pace, may_hold: bool, look: &impl Fn()) {
    while pace.wait_for_burst() {
        let held = may_hold.then(hold).and_then(Result::ok);
        pace.wait_for_lull(look);
        drop(held);
    }
}

/// Asks for processors that do not sleep, for as long as what is returned is open.
fn hold() -> io::Result<File> {
    let mut device = File::options().write(true).open(DEVICE)?;
    device.write_all(&AT_ONCE.to_ne_bytes())?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_that_follow_each_other_are_fast() {
        let pace = Pace::new();
        assert!((1..BURST).all(|_| !pace.becomes_fast()));
        thread::sleep(FAST);
        assert!(!pace.becomes_fast(), "they took too long");
        let fast: Vec<_> = (0..BURST).map(|_| pace.becomes_fast()).collect();
        assert!(fast.last() == Some(&true) && fast.first() == Some(&false));
        assert!((0..100).all(|_| !pace.becomes_fast()), "told once");
        pace.wait_for_lull(&|| ());
        let again = (0..2 * BURST).filter(|_| pace.becomes_fast()).count();
        assert_eq!(again, 1, "and again after a lull");
    }
}
