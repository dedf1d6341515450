//! Pushes, pulls and mounts by cask beside what the engine itself gives, and beside restic and rclone where they are:
//! `cargo bench --bench remote -- [OPTIONS]`. Everything in one run goes to the same `SeaweedFS`, in turns.
//!
//! Needs root (it mounts and drops caches), `weed` (`./test.sh` installs it) and an otherwise idle machine.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is the result"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "scratch files need not be durable"
)]

mod engines;
mod host;
#[allow(dead_code, reason = "a benchmark needs not all of it")]
mod proxy;
mod table;
mod writing;

use std::fs;
use std::time::Duration;

use clap::Parser;

use engines::{Engine, Kind};
use host::{Host, drop_caches, timed};
use proxy::{Fault, Proxy, When};
use table::Table;
use writing::{change_pages, fill, many_files};

/// Compares pushes, pulls and mounts with what the engine itself gives, and with other programs.
#[derive(Parser)]
struct Options {
    /// Bytes of new data, in MiB.
    #[arg(long, default_value_t = 512)]
    mib: u64,
    /// Files of the volume of which only one is read.
    #[arg(long, default_value_t = 1_000_000)]
    files: u32,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let Some(engine) = Engine::own(Kind::SeaweedFs) else {
        return;
    };
    let proxy = Proxy::before(engine.endpoint.address);
    let mut table = Table::default();
    for round in 0..options.repeats {
        eprintln!("round {} of {}", round + 1, options.repeats);
        new_data(&engine, options.mib, round, &mut table);
        changes(&engine, &proxy, round, &mut table);
    }
    many(&engine, &proxy, options.files, &mut table);
    table.print();
}

/// New data: there and back, and read while it lies there.
fn new_data(engine: &Engine, mib: u64, round: u32, table: &mut Table) {
    let host = Host::new(&engine.endpoint, &format!("new-{round}"));
    let bytes = mib << 20;
    let files = host.dir.join("files");
    fs::create_dir(&files).unwrap();
    fill(&files.join("file"), bytes, u64::from(round) + 1);
    host.cask(&["remote", "add", "r", &host.url(), "--create"]);
    host.cask(&["import", "v", files.to_str().unwrap()]);
    drop_caches();
    table.rate("push", "raw PUT", bytes, host.raw_put(bytes));
    drop_caches();
    table.rate("push", "cask", bytes, timed(|| host.cask(&["push", "v"])));
    drop_caches();
    if let Some(took) = host.restic_backup(&files) {
        table.rate("push", "restic", bytes, took);
    }
    drop_caches();
    if let Some(took) = host.rclone_copy(&files) {
        table.rate("push", "rclone", bytes, took);
    }
    table.rate("pull", "raw GET", bytes, host.raw_get(bytes));
    let other = host.another();
    drop_caches();
    table.rate(
        "pull",
        "cask",
        bytes,
        timed(|| other.cask(&["pull", "r:v"])),
    );
    drop_caches();
    if let Some(took) = host.restic_restore() {
        table.rate("pull", "restic", bytes, took);
    }
    table.rate("read a mount", "raw GET", bytes, host.raw_get(bytes));
    let lazy = host.another();
    let mnt = lazy.dir.join("mnt");
    let place = mnt.to_str().unwrap();
    lazy.cask(&[
        "mount",
        "lazy",
        "--from",
        "r:v",
        "--prefetch",
        "metadata",
        place,
    ]);
    table.rate(
        "read a mount",
        "cask",
        bytes,
        timed(|| host::read_all(&mnt.join("file"))),
    );
    lazy.cask(&["umount", "lazy"]);
}

/// 1 000 pages of a file that was pushed, and nothing at all.
fn changes(engine: &Engine, proxy: &Proxy, round: u32, table: &mut Table) {
    let name = format!("changes-{round}");
    let host = Host::new(&engine.endpoint.through(proxy.address()), &name);
    let mnt = host.dir.join("mnt");
    let place = mnt.to_str().unwrap();
    host.cask(&["remote", "add", "r", &host.url(), "--create"]);
    host.cask(&["mount", "--create", "v", place]);
    let file = mnt.join("file");
    fill(&file, 256 << 20, 7);
    host.cask(&["push", "v"]);
    host.restic_backup(&mnt);
    change_pages(&file, 1000, u64::from(round));
    proxy.reset_traffic();
    host.cask(&["push", "v"]);
    table.traffic("1 000 pages of 256 MiB", "cask", &proxy.traffic());
    proxy.reset_traffic();
    if host.restic_backup(&mnt).is_some() {
        table.traffic("1 000 pages of 256 MiB", "restic", &proxy.traffic());
    }
    proxy.reset_traffic();
    host.cask(&["push", "v"]);
    table.traffic("nothing changed", "cask", &proxy.traffic());
    proxy.reset_traffic();
    host.cask(&["remote", "forget", "r:v", "--keep-last", "1"]);
    host.cask(&["remote", "gc", "r"]);
    table.traffic("forget and gc", "cask", &proxy.traffic());
    host.cask(&["umount", "v"]);
}

/// A volume of very many files, 50 ms away.
fn many(engine: &Engine, proxy: &Proxy, files: u32, table: &mut Table) {
    let host = Host::new(&engine.endpoint.through(proxy.address()), "many");
    host.cask(&["remote", "add", "r", &host.url(), "--create"]);
    let archive = host.dir.join("files.tar");
    many_files(&archive, files);
    host.cask(&["import", "v", archive.to_str().unwrap()]);
    fs::remove_file(&archive).unwrap();
    let said = format!("{files} files: ");
    table.time(&format!("{said}push"), timed(|| host.cask(&["push", "v"])));
    let other = host.another();
    table.time(
        &format!("{said}pull"),
        timed(|| other.cask(&["pull", "r:v"])),
    );
    let lazy = host.another();
    let mnt = lazy.dir.join("mnt");
    let place = mnt.to_str().unwrap();
    proxy.add(When::any(), Fault::Delay(Duration::from_millis(50)));
    let mounted = timed(|| lazy.cask(&["mount", "lazy", "--from", "r:v", place]));
    table.time(&format!("{said}mount, 50 ms away"), mounted);
    let some = mnt.join(format!("{}/{}", files / 2000, files % 1000));
    table.time(
        &format!("{said}then a file"),
        timed(|| host::read_all(&some)),
    );
    let fresh = mnt.join("fresh");
    let changed = timed(|| fs::write(&fresh, b"fresh").unwrap());
    table.time(&format!("{said}then a change"), changed);
    proxy.clear();
    lazy.cask(&["umount", "lazy"]);
}
