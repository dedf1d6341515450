//! Pushes, pulls and mounts by cask beside what the engine itself gives, and beside other programs where they are
//! (`peers.rs`): `cargo bench --bench remote -- [OPTIONS]`. Everything in one run goes to the same `SeaweedFS`, in
//! turns.
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
mod peers;
#[allow(dead_code, reason = "a benchmark needs not all of it")]
mod proxy;
mod table;
mod writing;

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Parser;

use engines::{Endpoint, Engine, Kind};
use host::{Host, drop_caches, timed};
use peers::Peer;
use proxy::{Fault, Proxy, When};
use table::Table;
use writing::{change_pages, fill, many_files};

/// Compares pushes, pulls and mounts with what the engine itself gives, and with other programs.
#[derive(Parser)]
struct Options {
    /// Bytes of new data, in MiB; 0: none.
    #[arg(long, default_value_t = 512)]
    mib: u64,
    /// Files of the volume of which only one is read; 0: none.
    #[arg(long, default_value_t = 1_000_000)]
    files: u32,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// Without other programs.
    #[arg(long)]
    alone: bool,
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
        if options.mib > 0 {
            new_data(&engine, &options, round, &mut table);
        }
        changes(&engine, &proxy, &options, round, &mut table);
    }
    if options.files > 0 {
        many(&engine, &proxy, options.files, &mut table);
    }
    table.print();
}

impl Options {
    fn peers(&self, endpoint: &Endpoint, prefix: &str, dir: &Path) -> Vec<Box<dyn Peer>> {
        if self.alone {
            return Vec::new();
        }
        peers::all(endpoint, prefix, dir)
    }
}

/// New data: there and back, and read while it lies there.
fn new_data(engine: &Engine, options: &Options, round: u32, table: &mut Table) {
    let name = format!("new-{round}");
    let host = Host::new(&engine.endpoint, &name);
    let peers = options.peers(&engine.endpoint, &name, &host.dir);
    let bytes = options.mib << 20;
    let files = host.dir.join("files");
    fs::create_dir(&files).unwrap();
    fill(&files.join("file"), bytes, u64::from(round) + 1);
    host.cask(&["remote", "add", "r", &host.url(), "--create"]);
    host.cask(&["import", "v", files.to_str().unwrap()]);
    drop_caches();
    table.rate("push", "raw PUT", bytes, host.raw_put(bytes));
    drop_caches();
    table.rate("push", "cask", bytes, timed(|| host.cask(&["push", "v"])));
    for peer in &peers {
        drop_caches();
        let took = timed(|| peer.store(&files));
        table.rate("push", peer.name(), bytes, took);
    }
    back(&host, &peers, bytes, table);
    read_there(&host, &peers, bytes, table);
}

/// On another host.
fn back(host: &Host, peers: &[Box<dyn Peer>], bytes: u64, table: &mut Table) {
    table.rate("pull", "raw GET", bytes, host.raw_get(bytes));
    let to_files = host.raw_get_to_files(bytes);
    table.rate("pull", "raw GET to files", bytes, to_files);
    let other = host.another();
    drop_caches();
    let took = timed(|| other.cask(&["pull", "r:v"]));
    table.rate("pull", "cask", bytes, took);
    for peer in peers {
        let to = other.dir.join(peer.name());
        fs::create_dir(&to).unwrap();
        drop_caches();
        let took = timed(|| peer.get(&to));
        table.rate("pull", peer.name(), bytes, took);
    }
}

fn read_there(host: &Host, peers: &[Box<dyn Peer>], bytes: u64, table: &mut Table) {
    let row = "read a mount";
    table.rate(row, "raw GET", bytes, host.raw_get(bytes));
    let lazy = host.another();
    let mnt = lazy.dir.join("mnt");
    let place = mnt.to_str().unwrap();
    let mount = ["mount", "lazy", "--from", "r:v", "--prefetch", "metadata"];
    lazy.cask(&[&mount[..], &[place]].concat());
    let read = |mnt: &Path| timed(|| host::read_all(&mnt.join("file")));
    table.rate(row, "cask", bytes, read(&mnt));
    lazy.cask(&["umount", "lazy"]);
    for peer in peers {
        peer.mounted(&mut |mnt| table.rate(row, peer.name(), bytes, read(mnt)));
    }
}

/// A file that was pushed, and changes.
fn changes(engine: &Engine, proxy: &Proxy, options: &Options, round: u32, table: &mut Table) {
    let name = format!("changes-{round}");
    let host = Host::new(&engine.endpoint.through(proxy.address()), &name);
    let mnt = host.dir.join("mnt");
    host.cask(&["remote", "add", "r", &host.url(), "--create"]);
    host.cask(&["mount", "--create", "v", mnt.to_str().unwrap()]);
    let push = || host.cask(&["push", "v"]);
    let collect = || {
        host.cask(&["remote", "forget", "r:v", "--keep-last", "1"]);
        host.cask(&["remote", "gc", "r"]);
        true
    };
    changes_of("cask", (&mnt, &push, &collect), proxy, table);
    host.cask(&["umount", "v"]);
    let endpoint = engine.endpoint.through(proxy.address());
    for peer in options.peers(&endpoint, &name, &host.dir) {
        let files = host.dir.join("files").join(peer.name());
        fs::create_dir_all(&files).unwrap();
        let (store, collect) = (|| peer.store(&files), || peer.collect());
        changes_of(
            peer.name(),
            (&peer.live(&files), &store, &collect),
            proxy,
            table,
        );
        fs::remove_dir_all(&files).unwrap();
    }
}

/// Where somebody has files, what stores them, and what forgets all but the last time.
type Keeper<'a> = (&'a Path, &'a dyn Fn(), &'a dyn Fn() -> bool);

/// 1 000 pages of 256 MiB, nothing at all, and what is left of 1 %.
fn changes_of(who: &str, (files, store, collect): Keeper<'_>, proxy: &Proxy, table: &mut Table) {
    let file = files.join("file");
    fill(&file, 256 << 20, 7);
    store();
    proxy.reset_traffic();
    change_pages(&file, 1000, 1);
    store();
    table.traffic("1 000 pages of 256 MiB", who, &proxy.traffic());
    proxy.reset_traffic();
    store();
    table.traffic("nothing changed", who, &proxy.traffic());
    change_pages(&file, 655, 2);
    store();
    proxy.reset_traffic();
    if collect() {
        table.traffic("forget and gc after 1 %", who, &proxy.traffic());
    }
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
