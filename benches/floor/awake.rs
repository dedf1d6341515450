//! Keeps processors awake while requests come fast, as cask does; not for longer: what else is measured would be faster.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How often requests are counted.
const LOOK: Duration = Duration::from_millis(4);
/// As many between two looks are fast.
const FAST: u64 = 8;

/// Counts requests, for as long as the process lives.
pub(crate) struct Awake(Arc<AtomicU64>);

impl Awake {
    pub(crate) fn start() -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        thread::spawn(move || watch(&counted));
        Self(count)
    }

    pub(crate) fn note_request(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn watch(count: &AtomicU64) {
    let mut seen = 0;
    let mut held = None;
    loop {
        thread::sleep(LOOK);
        let now = count.load(Ordering::Relaxed);
        if now - seen < FAST {
            held = None;
        } else if held.is_none() {
            held = Some(hold());
        }
        seen = now;
    }
}

/// Idle processors poll for as long as this is open (Linux, Documentation/power/pm_qos_interface.rst).
fn hold() -> File {
    let mut latency = File::options()
        .write(true)
        .open("/dev/cpu_dma_latency")
        .unwrap();
    latency.write_all(&0_i32.to_ne_bytes()).unwrap();
    latency
}
