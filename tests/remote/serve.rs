//! Starts each engine that can run here, for all tests of a run, and prints a line `VARIABLE=ENDPOINT` for each.
//!
//! After the last, it closes its output. The engines end when it does: at `SIGTERM`, or when who started it is gone.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "it is a part of the tests"
)]

mod engines;

use std::io::Write as _;
use std::sync::mpsc;

use engines::{Engine, Kind};
use rustix::process::{Signal, set_parent_process_death_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() {
    let mut signals = Signals::new([SIGTERM, SIGINT]).unwrap();
    set_parent_process_death_signal(Some(Signal::TERM)).unwrap();
    let (sender, endpoints) = mpsc::channel();
    let threads: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| kind.missing().is_none())
        .map(|kind| {
            let sender = sender.clone();
            // An engine lives as long as the thread that started it.
            let (end, ended) = mpsc::channel::<()>();
            let thread = std::thread::spawn(move || {
                let engine = Engine::own(kind).unwrap();
                sender.send((kind, engine.endpoint.clone())).unwrap();
                drop(sender);
                // Until the other side is dropped.
                ended.recv().unwrap_err();
            });
            (end, thread)
        })
        .collect();
    drop(sender);
    let mut out = std::io::stdout();
    for (kind, endpoint) in endpoints {
        writeln!(out, "{}={endpoint}", kind.variable()).unwrap();
    }
    rustix::stdio::dup2_stdout(std::fs::File::open("/dev/null").unwrap()).unwrap();
    signals.forever().next();
    for (end, thread) in threads {
        drop(end);
        // One that panicked has said why; the others have directories to remove.
        drop(thread.join());
    }
}
