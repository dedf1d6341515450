//! The `cask` program as its users meet it: exit codes, output, mounts.
//!
//! Every test has a root and mountpoints of its own in a temporary directory, and takes its mounts down
//! when it ends, also when it fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod archives;
mod around_snapshots;
mod bad_input;
mod beside_reading;
mod collecting;
mod copying_out;
mod cuts;
mod ephemeral;
mod full_disk;
mod helper;
mod killed;
#[path = "../common/killing.rs"]
mod killing;
mod lifecycle;
mod listing;
mod logs;
mod long_work;
mod metrics;
mod mounting;
mod overlapping;
mod pruning;
mod reading_out;
mod reference;
mod removing;
mod restoring;
mod rootless;
mod schedules;
mod snapshot_mounts;
mod snapshots;
mod space;
mod support;
mod surroundings;
#[path = "../common/tar.rs"]
mod tar;
mod tar_forms;
mod trash;
#[path = "../common/tuning.rs"]
mod tuning;
mod unmounting;
