//! What every suite stands on: a sandbox directory, a mounted volume in it, programs with a time limit.
//!
//! Owns the cleaning up: when a [`Mount`] or [`Sandbox`] is dropped, also by a panic, its mounts, servers
//! and files go. What a killed run left behind is found by the next one.

#![allow(
    dead_code,
    unused_imports,
    reason = "tests/docker has it too, and neither binary uses all"
)]

mod cleanup;
mod mount;
mod program;
mod raw;
mod sandbox;
mod tree;
mod user;

pub(crate) use cleanup::kill_contained;
pub(crate) use mount::{Mount, VOLUME, binary};
pub(crate) use program::{Guard, run, run_ok, sh};
pub(crate) use raw::{SharedMap, close, truncate};
pub(crate) use sandbox::{
    Sandbox, docker_missing, drop_caches, lacks_program, mounts_below, no_loop_device,
};
pub(crate) use tree::{assert_same_tree, snapshot, timed_snapshot};
pub(crate) use user::{NOBODY, as_user};

use std::time::Duration;

/// Whether the long versions were asked for.
pub(crate) fn is_long() -> bool {
    std::env::var_os("CASK_TEST_LONG").is_some_and(|value| value == "1")
}

/// How much time (or work) a suite may spend: the short amount, or the long one.
pub(crate) fn short_or_long<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// The time budget of a suite.
pub(crate) fn budget_secs(short: u64, long: u64) -> Duration {
    Duration::from_secs(short_or_long(short, long))
}

/// The seed of this run: `CASK_TEST_SEED`, or a fixed one, so that a failure repeats.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("CASK_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(20_260_101);
    eprintln!("seed {seed} (CASK_TEST_SEED)");
    seed
}

/// A small generator of numbers that are random enough for tests: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }

    /// An index below `limit`.
    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// `len` bytes that do not repeat.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
