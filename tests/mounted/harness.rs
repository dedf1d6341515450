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
#[path = "../common/random.rs"]
mod random;
mod raw;
mod sandbox;
mod tree;
mod user;

pub(crate) use cleanup::kill_contained;
pub(crate) use mount::{Mount, VOLUME, binary};
pub(crate) use program::{Guard, run, run_ok, sh};
pub(crate) use random::{Random, seed};
pub(crate) use raw::{SharedMap, close, truncate, write_durably};
pub(crate) use sandbox::{
    Sandbox, docker_missing, drop_caches, lacks_program, mounts_below, no_loop_device, skip,
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
