//! Volumes that go, that are down and that do not answer, and directories that are large.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::client::{Served, with_many_files};
use crate::support::{Bench, can_mount, wait_for};

#[test]
fn a_volume_that_goes_is_told_of() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let page = Served::of(&bench, &[]);
    page.get("/volumes/db/snapshots/s/tree/").says(200, &[]);
    bench.wait_until_closed("db");
    bench.run(&["rm", "-f", "db"]).succeeds();
    for path in [
        "",
        "/live.json",
        "/now/tree/",
        "/snapshots/s/tree/",
        "/now/file/f",
        "/now/tar/",
        "/diff",
    ] {
        page.get(&format!("/volumes/db{path}"))
            .says(404, &["no volume"]);
    }
    page.post("/volumes/db/do/snapshot", "")
        .says(404, &["no volume"]);
    page.get("/").says(200, &["There is no volume yet"]);
}

#[test]
fn a_snapshot_that_goes_is_told_of() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    let page = Served::of(&bench, &[]);
    for shape in ["tree", "file", "tar"] {
        page.get(&format!("/volumes/db/snapshots/s/{shape}/x"))
            .says(404, &["there is no snapshot"]);
    }
}

#[test]
fn a_server_that_died_for_good_is_told_of() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let page = Served::of(&bench, &[]);
    let supervisor = bench
        .run(&["inspect", "db", "--format", "{{.Server.Keeper}}"])
        .succeeds()
        .out;
    let supervisor = rustix::process::Pid::from_raw(supervisor.trim().parse().unwrap()).unwrap();
    let server = bench.server_of("db");
    // Nobody is left to start another.
    kill_process(supervisor, Signal::KILL).unwrap();
    kill_process(server, Signal::KILL).ok();
    wait_for("the server is gone", || {
        bench.run(&["ls", "--format", "{{.Status}}"]).out == "dead\n"
    });
    let since = Instant::now();
    page.get("/").says(200, &["dead"]);
    page.get("/volumes/db")
        .says(503, &["is down", "cask log db"]);
    assert!(page.get("/volumes/db/now/tree/").status >= 500);
    assert!(
        since.elapsed() < Duration::from_secs(25),
        "{:?}",
        since.elapsed()
    );
    bench.run(&["umount", "db"]);
}

#[test]
fn a_server_that_does_not_answer_holds_up_nobody_else() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["create", "other"]).succeeds();
    let page = Served::of(&bench, &[]);
    let server = bench.server_of("db");
    kill_process(server, Signal::STOP).unwrap();
    let since = Instant::now();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| page.get("/volumes/db/now/tree/").status))
            .collect();
        page.get("/volumes/other").says(200, &[]);
        assert!(
            since.elapsed() < Duration::from_secs(8),
            "{:?}",
            since.elapsed()
        );
        for status in waiting {
            assert_eq!(status.join().unwrap(), 503);
        }
    });
    kill_process(server, Signal::CONT).unwrap();
    wait_for("it answers again", || {
        page.get("/volumes/db/now/tree/").status == 200
    });
}

#[test]
fn who_says_nothing_keeps_nobody_out() {
    let bench = Bench::new();
    let page = Served::of(&bench, &[]);
    // More than are served at once; the half of a head is none.
    let silent: Vec<_> = (0..600)
        .map(|i| {
            let mut stream = TcpStream::connect(&page.address).unwrap();
            if i % 2 == 0 {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
            }
            stream
        })
        .collect();
    page.get("/").says(200, &["There is no volume yet"]);
    let mut first = &silent[0];
    first
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut said = Vec::new();
    first.read_to_end(&mut said).unwrap();
    drop(silent);
    assert_eq!(page.end(), 0);
}

#[test]
fn a_hundred_thousand_entries_stay_usable() {
    if !can_mount() {
        return;
    }
    let bench = with_many_files();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let page = Served::of(&bench, &[]);
    for state in ["now", "snapshots/s"] {
        for (query, words) in [
            ("", ["1\u{2013}1000 of 100000 entries", "file-001000"]),
            ("?page=99", ["99001\u{2013}100000 of 100000", "file-100000"]),
            (
                "?filter=77777",
                ["1\u{2013}1 of 1 entries that match", "file-077777"],
            ),
        ] {
            let since = Instant::now();
            page.get(&format!("/volumes/db/{state}/tree/many{query}"))
                .says(200, &words);
            let took = since.elapsed();
            eprintln!("{state}{query}: {took:?}");
            // Without optimization all of it takes ten times as long as in a release.
            assert!(took < Duration::from_secs(6), "{state}{query}: {took:?}");
        }
    }
}
