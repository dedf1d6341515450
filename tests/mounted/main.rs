//! Tests of a mounted volume through the kernel, with real programs and real processes.
//!
//! One binary, one module a suite. `CASK_BIN` names another `cask` to test. Everything here needs root
//! and `/dev/fuse`; without them a test says what is missing and passes, but under `CI` it fails.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails the test that called it"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(
    clippy::print_stderr,
    reason = "what a test measured goes to its output"
)]
mod apps;
mod copying;
mod cuts;
mod differential;
mod direct;
mod disk_gone;
mod docker;
mod durability;
mod failover;
mod fsx;
mod full_disk;
mod handles;
mod harness;
mod helper;
mod host_refuses;
#[path = "../common/killing.rs"]
mod killing;
mod limits;
mod persistence;
mod pjdfstest;
mod posix;
mod quota;
mod readdir;
mod reflink;
mod refused;
mod requests;
mod security;
mod sharing;
mod snapshots;
mod syncing;
