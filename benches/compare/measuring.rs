//! How much is measured, by what clock, with which bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::table::Sample;

/// How much of everything.
pub(crate) struct Scale {
    pub(crate) stream_mib: usize,
    pub(crate) random_operations: usize,
    pub(crate) appends: usize,
    pub(crate) small_files: usize,
    pub(crate) tree_mib: u64,
    pub(crate) pgbench_scale: &'static str,
    pub(crate) pgbench_seconds: &'static str,
    pub(crate) transactions: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        stream_mib: 512,
        random_operations: 8000,
        appends: 2000,
        small_files: 20_000,
        tree_mib: 60,
        pgbench_scale: "10",
        pgbench_seconds: "10",
        transactions: 500,
    };
    pub(crate) const QUICK: Self = Self {
        stream_mib: 64,
        random_operations: 1000,
        appends: 300,
        small_files: 2000,
        tree_mib: 10,
        pgbench_scale: "2",
        pgbench_seconds: "3",
        transactions: 100,
    };
}

/// Lets other users in.
pub(crate) fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
}

/// Runs `act`; the sample is `amount` a second.
pub(crate) fn timed(row: &'static str, amount: usize, act: impl FnOnce()) -> Sample {
    let start = Instant::now();
    act();
    rate(row, amount, start.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
pub(crate) fn rate(row: &'static str, amount: usize, took: Duration) -> Sample {
    Sample {
        row,
        rate: amount as f64 / took.as_secs_f64(),
        latencies: None,
    }
}

/// A fast generator of bytes that neither compress nor repeat: xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let value = self.next().to_le_bytes();
            part.copy_from_slice(&value[..part.len()]);
        }
    }
}
