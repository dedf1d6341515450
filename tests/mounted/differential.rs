//! Random system calls on a mount and on a plain directory: any difference is a bug.
//!
//! After each call the results are compared, from time to time the whole trees, at the end of a sequence
//! the mounted tree with itself after a remount.

mod calls;
mod world;

use std::time::Instant;

use crate::harness::{Mount, Random, assert_same_tree, budget_secs, seed, snapshot};
use calls::Call;
use world::World;

const CALLS_IN_A_SEQUENCE: usize = 1500;
const CALLS_BETWEEN_COMPARISONS: usize = 150;

#[test]
fn random_system_calls_do_the_same_on_a_mount_and_on_a_plain_directory() {
    let Some(mount) = Mount::new() else { return };
    let mut random = Random::new(seed());
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < budget_secs(20, 900) {
        let seed = random.next();
        calls += run_sequence(&mount, seed, start);
    }
    eprintln!(
        "differential: {calls} calls in {:?}, no difference",
        start.elapsed()
    );
}

/// One sequence in new directories. Returns how many calls it made.
#[track_caller]
fn run_sequence(mount: &Mount, seed: u64, start: Instant) -> usize {
    let name = format!("sequence-{seed:x}");
    let dirs = [mount.plain().join(&name), mount.path().join(&name)];
    let [mut plain, mut cask] = [World::new(&dirs[0]), World::new(&dirs[1])];
    let mut random = Random::new(seed);
    let mut trace: Vec<String> = Vec::new();
    for number in 0..CALLS_IN_A_SEQUENCE {
        let call = Call::random(&mut random);
        let expected = plain.perform(&call);
        trace.push(format!("{number}: {call:?} -> {expected}"));
        let found = cask.perform(&call);
        assert_eq!(
            expected,
            found,
            "plain directory, then mount, differ at the last of\n{}",
            tail(&trace)
        );
        if number % CALLS_BETWEEN_COMPARISONS == 0 {
            let context = format!("plain, mount, after\n{}", tail(&trace));
            assert_same_tree(&snapshot(&dirs[0]), &snapshot(&dirs[1]), &context);
        }
        if start.elapsed() > budget_secs(30, 1000) {
            break;
        }
    }
    drop(cask);
    let (before, context) = (
        snapshot(&dirs[1]),
        format!("plain, mount, after\n{}", tail(&trace)),
    );
    assert_same_tree(&snapshot(&dirs[0]), &before, &context);
    mount.remount();
    let context = format!("mount, mount after a remount, after\n{}", tail(&trace));
    assert_same_tree(&before, &snapshot(&dirs[1]), &context);
    for dir in &dirs {
        std::fs::remove_dir_all(dir).unwrap();
    }
    trace.len()
}

/// The calls that led to a failure. All of them repeat with the seed; the last ones are for the eye.
fn tail(trace: &[String]) -> String {
    trace[trace.len().saturating_sub(100)..].join("\n")
}
