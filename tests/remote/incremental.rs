//! What a push sends: what the repository lacks, and little more.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use crate::engines::Kind;
use crate::host::Store;
use crate::random::{Random, seed};
use crate::support::can_mount;

const MIB: u64 = 1 << 20;
const FILE_BYTES: u64 = 256 * MIB;

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
