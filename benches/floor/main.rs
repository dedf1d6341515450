//! The least that a filesystem in user space can do, as a bound of what `benches/compare` measures:
//! `cargo bench --bench floor -- MOUNTPOINT LOG [--database FILE.db]`, until it is unmounted.
//!
//! Names, attributes and contents lie in memory; what is written is appended to LOG, once and without sums, and an fsync
//! flushes that alone: names are never durable, nothing is shared, verified or compressed. One thread answers, and
//! processors are kept awake while requests come fast. What it takes is what the kernel, FUSE and one flush take.
//! With a database each change is a transaction of SQLite, too, and an fsync flushes its log beside the other: what any
//! filesystem takes whose metadata is rows.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is one flush of the host's filesystem"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "offsets and numbers that are far below the limits of their types"
)]

mod answers;
mod awake;
mod rows;
mod tree;

use std::fs::File;
use std::path::PathBuf;

use answers::Floor;
use clap::Parser;
use fuser::{Config, MountOption, SessionACL};
use rows::Rows;

#[derive(Parser)]
struct Arguments {
    mountpoint: PathBuf,
    log: PathBuf,
    #[arg(long)]
    database: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("floor".to_owned()),
        MountOption::DefaultPermissions,
    ];
    config.acl = SessionACL::All;
    let log = File::create(&arguments.log).unwrap();
    let rows = arguments.database.as_deref().map(Rows::create);
    fuser::mount(Floor::new(log, rows), &arguments.mountpoint, &config).unwrap();
    std::fs::remove_file(&arguments.log).unwrap();
}
