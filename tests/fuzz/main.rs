//! Bytes and calls that no cask makes: whatever comes is an answer or an error, never a crash.
//!
//! Each target runs for `CASK_FUZZ_SECONDS`: 60 in CI, with one seed, and 5 otherwise, with another each time.
//! `CASK_TEST_SEED` repeats a run.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test that called it"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(clippy::print_stderr, reason = "a report of what was tried")]

mod archives;
#[path = "../common/volume.rs"]
mod common;
mod control;
mod operations;
mod plugin;
mod segments;
#[path = "../common/tar.rs"]
mod tar;
#[path = "../common/tuning.rs"]
mod tuning;

use std::time::{Duration, Instant};

/// A generator that `CASK_TEST_SEED` begins: xorshift64*.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("CASK_TEST_SEED").ok();
        let seed = seed.and_then(|text| text.parse().ok());
        // In CI one that another run can repeat; elsewhere each run tries something else.
        let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        let otherwise = if is_ci {
            20_261_124
        } else {
            std::process::id().into()
        };
        let seed: u64 = seed.unwrap_or(otherwise);
        eprintln!("seed {seed} (CASK_TEST_SEED)");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from((self.next() >> 11) % (limit.max(1) as u64)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn pick<'t, T>(&mut self, choices: &'t [T]) -> &'t T {
        &choices[self.below(choices.len())]
    }
}

/// Numbers at which programs go wrong.
const EDGES: &[u64] = &[
    0,
    1,
    2,
    4095,
    4096,
    4097,
    131_071,
    131_072,
    131_073,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 62) - 1,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// Changes `bytes` in a few places: flips, overwrites, cuts, repeats, inserts.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.byte(),
            2 => bytes.truncate(at),
            3 => {
                let len = random.below(64).min(bytes.len() - at);
                let piece = bytes[at..at + len].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            4 => {
                let edge = random.pick(EDGES).to_le_bytes();
                let end = (at + 8).min(bytes.len());
                let len = end - at;
                bytes[at..end].copy_from_slice(&edge[..len]);
            }
            5 => {
                let edge = random.pick(EDGES).to_string();
                bytes.splice(at..at, edge.into_bytes());
            }
            _ => {
                let new = random.byte();
                bytes.insert(at, new);
            }
        }
    }
}

/// Calls `attempt` until the time is over; returns how often.
fn for_a_while(mut attempt: impl FnMut()) -> u64 {
    let seconds = std::env::var("CASK_FUZZ_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok());
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let seconds = seconds.unwrap_or(if is_ci { 60 } else { 5 });
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        attempt();
        count += 1;
    }
    count
}

/// A panic in whatever thread fails the test.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Memory that a few bytes must not make a program take.
fn limit_memory() {
    let limit = rustix::process::Rlimit {
        current: Some(3 << 30),
        maximum: Some(3 << 30),
    };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
}
