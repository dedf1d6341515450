//! What a push sends, what the repository lacks, and little more; and what it takes here.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::proxy::{Fault, When};
use crate::random::{Random, seed};
use crate::support::can_mount;

const MIB: u64 = 1 << 20;
const FILE_BYTES: u64 = 256 * MIB;
/// In a second: the kernel tells processor time by these.
const TICKS: u32 = 100;

#[test]
fn a_push_sends_what_is_new() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    let mut random = Random::new(seed());
    let here = store.host_through(&proxy).untuned();
    here.create();
    let bytes = random.bytes(usize::try_from(FILE_BYTES).unwrap());
    here.make_volume("db", &[("table", &bytes)]);
    drop(bytes);
    here.push("db");

    let mnt = here.bench.path("mnt");
    here.run(&["mount", "db", mnt.to_str().unwrap()]).succeeds();
    let file = OpenOptions::new()
        .write(true)
        .open(mnt.join("table"))
        .unwrap();
    for _ in 0..1000 {
        let page = random.below(FILE_BYTES / 4096) * 4096;
        file.write_all_at(&random.bytes(4096), page).unwrap();
    }
    file.sync_all().unwrap();
    drop(file);
    proxy.reset_traffic();
    here.push("db");
    let traffic = proxy.traffic();
    assert!(traffic.up <= 6 * MIB, "{} bytes are sent", traffic.up);
    assert!(traffic.requests.len() <= 12, "{:#?}", traffic.requests);

    here.run(&["umount", mnt.to_str().unwrap()]).succeeds();
    here.bench.wait_until_closed("db");
    proxy.reset_traffic();
    here.push("db");
    let traffic = proxy.traffic();
    assert_eq!(traffic.count_at("PUT", "/pack/"), 0);
    assert_eq!(traffic.count_at("PUT", "/index/"), 0);
    assert!(traffic.requests.len() <= 6, "{:#?}", traffic.requests);

    // Another volume with the same data, from this host and from another.
    here.run(&["clone", "db", "twofold"]).succeeds();
    proxy.reset_traffic();
    here.push("twofold");
    let traffic = proxy.traffic();
    assert!(
        traffic.up < FILE_BYTES / 100,
        "{} bytes are sent",
        traffic.up
    );
    assert_eq!(traffic.count_at("PUT", "/pack/"), 0);

    let there = store.host_through(&proxy).untuned();
    there.add(&["--key-file=key"]).succeeds();
    there.run(&["pull", "r:db", "db"]).succeeds();
    there.run(&["check", "--read-data", "db"]).succeeds();
    proxy.reset_traffic();
    there.push("db");
    let traffic = proxy.traffic();
    assert!(
        traffic.up < FILE_BYTES / 100,
        "{} bytes are sent",
        traffic.up
    );
    there.verify();
}

/// Of a volume that nobody has mounted, too, which a server is started for.
#[test]
fn a_push_that_waits_for_the_store_leaves_the_processors_to_others() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    let here = store.host_through(&proxy).untuned();
    here.create();
    here.make_volume("db", &[("file", b"little")]);
    proxy.add(When::any(), Fault::Delay(Duration::from_secs(1)));
    let since = Instant::now();
    let mut push = here.spawn(&["push", "db"]);
    let mut worked = Duration::ZERO;
    while push.try_wait().unwrap().is_none() {
        worked = worked.max(processor_time(&here));
        thread::sleep(Duration::from_millis(20));
    }
    let took = since.elapsed();
    assert!(took > Duration::from_secs(5), "{took:?}");
    assert!(worked < took / 2, "{worked:?} of {took:?}");
}

/// What the host's commands and servers have taken that run now (`/proc/PID/stat` of proc(5), fields 14 and 15).
fn processor_time(host: &Host) -> Duration {
    let root = host.bench.path("root").display().to_string();
    let of_host = |dir: &fs::DirEntry| {
        let said = ["environ", "cmdline"].map(|name| fs::read(dir.path().join(name)));
        let said = said.into_iter().map(Result::unwrap_or_default);
        said.into_iter()
            .any(|said| String::from_utf8_lossy(&said).contains(&root))
    };
    let ticks = |dir: fs::DirEntry| -> Option<u64> {
        let stat = fs::read_to_string(dir.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    };
    let all = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let of_all: u64 = all.filter(of_host).filter_map(ticks).sum();
    Duration::from_secs(1) * u32::try_from(of_all).unwrap() / TICKS
}
