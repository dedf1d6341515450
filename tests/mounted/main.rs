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
#![allow(
    dead_code,
    unused_imports,
    reason = "suites that use the rest of the harness are on their way"
)]

mod apps;
mod differential;
mod docker;
mod fsx;
mod harness;
mod helper;
mod pjdfstest;
mod sharing;
