//! Others beside a push: hosts that push at the same time, a snapshot that is removed, the volume that goes.

use std::thread;
use std::time::Duration;

use crate::engines::Kind;
use crate::host::Store;
use crate::proxy::{Fault, When};
use crate::random::Random;
use crate::support::can_mount;

#[test]
fn hosts_push_at_the_same_time() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let hosts = [0, 1, 2].map(|_| store.host());
    hosts[0].create();
    let common = Random::new(5).bytes(3_000_000);
    for (number, host) in hosts.iter().enumerate() {
        if number > 0 {
            host.add(&["--key-file=key"]).succeeds();
        }
        let own = Random::new(number as u64).bytes(500_000);
        host.make_volume(&format!("v{number}"), &[("common", &common), ("own", &own)]);
    }
    thread::scope(|scope| {
        for (number, host) in hosts.iter().enumerate() {
            // Two of the same volume on each.
            for _ in 0..2 {
                scope.spawn(move || {
                    let pushed = host.run(&["push", &format!("v{number}")]);
                    // A volume that is not mounted is read by one at a time.
                    assert!(pushed.code == 0 || pushed.code == 5, "{pushed:?}");
                });
            }
        }
    });
    let there = store.host();
    there.add(&["--key-file=key"]).succeeds();
    there.verify();
    for number in 0..hosts.len() {
        let name = format!("v{number}");
        there.run(&["pull", &format!("r:{name}")]).succeeds();
        assert!(there.read(&name, "common") == common);
        assert!(there.read(&name, "own") == Random::new(number as u64).bytes(500_000));
    }
}

#[test]
fn of_those_that_add_one_name_one_wins() {
    let store = Store::dir();
    store.host().create();
    let other = Store::dir();
    other.host().create();
    let host = store.host();
    let urls = [&store, &other].map(|one| format!("file://{}", one.objects().display()));
    for _ in 0..3 {
        let added = thread::scope(|scope| {
            let adding = [0, 1, 2, 3].map(|number| {
                let (host, url) = (&host, &urls[number % 2]);
                let add = ["remote", "add", "same", url.as_str(), "--key-file=key"];
                scope.spawn(move || host.run(&add))
            });
            adding.map(|one| one.join().unwrap())
        });
        let won = added.iter().filter(|one| one.code == 0).count();
        assert_eq!(won, 1, "{added:?}");
        for lost in added.into_iter().filter(|one| one.code != 0) {
            lost.fails(4, &["remote \"same\" exists", "another name"]);
        }
        // The key is that of the address.
        host.run(&["remote", "check", "same"]).succeeds();
        host.run(&["remote", "rm", "same"]).succeeds();
    }
}

/// What a removed snapshot held goes bit by bit: no half of it may be published.
#[test]
fn a_snapshot_that_is_removed_is_not_pushed() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    let host = store.host_through(&proxy);
    host.create();
    let mnt = host.bench.path("mnt");
    host.run(&["mount", "--create", "db", mnt.to_str().unwrap()])
        .succeeds();
    for number in 0..40 {
        std::fs::write(
            mnt.join(number.to_string()),
            Random::new(number).bytes(1 << 20),
        )
        .unwrap();
    }
    host.run(&["snapshot", "db@one"]).succeeds();
    proxy.add(
        When::request("PUT", "/pack/"),
        Fault::Delay(Duration::from_millis(700)),
    );
    let pushed = thread::scope(|scope| {
        let push = scope.spawn(|| host.run(&["push", "db@one"]));
        while proxy.traffic().count_at("PUT", "/pack/") == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        for number in 0..40 {
            std::fs::remove_file(mnt.join(number.to_string())).unwrap();
        }
        host.run(&["snapshot", "rm", "db@one"]).succeeds();
        push.join().unwrap()
    });
    proxy.clear();
    host.verify();
    let there = store.host();
    there.add(&["--key-file=key"]).succeeds();
    let pulled = there.run(&["pull", "r:db@one"]);
    if pushed.code == 0 {
        pulled.succeeds();
        assert!(there.read("db", "39") == Random::new(39).bytes(1 << 20));
    } else {
        assert!(pushed.err.contains("; "), "no next step: {pushed:?}");
        pulled.fails(3, &["r:db"]);
    }
}

/// Whoever wants a volume that is pushed while nobody had it open need not wait for the end of the push.
#[test]
fn a_volume_can_be_mounted_while_it_is_pushed() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let host = store.host();
    host.create();
    host.make_volume("db", &[("file", &Random::new(1).bytes(30 << 20))]);
    thread::scope(|scope| {
        let push = scope.spawn(|| host.run(&["push", "db", "--limit=3M"]));
        thread::sleep(Duration::from_secs(1));
        let mnt = host.bench.text("mnt");
        host.run(&["mount", "db", &mnt]).succeeds();
        push.join().unwrap().succeeds();
    });
}
