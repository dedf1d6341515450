//! A push or a pull that is killed, or whose store fails: nothing is lost, nothing is half there, and the next try
//! succeeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::engines::Kind;
use crate::host::{Host, Store};
use crate::proxy::{Fault, Proxy, Request, When};
use crate::random::Random;

const BYTES: usize = 600_000;

/// A store, a proxy before it, and a host with a repository there.
struct Scene {
    store: Store,
    proxy: Proxy,
    host: Host,
    made: u64,
}

impl Scene {
    fn new() -> Option<Self> {
        let store = Store::bucket(Kind::SeaweedFs)?;
        let proxy = store.proxy();
        let host = store.host_through(&proxy);
        host.create();
        Some(Self {
            store,
            proxy,
            host,
            made: 0,
        })
    }

    /// A volume that has nothing in common with others, with a snapshot `s`; its name and content.
    fn fresh_volume(&mut self) -> (String, Vec<u8>) {
        self.made += 1;
        let name = format!("v{}", self.made);
        let bytes = Random::new(self.made).bytes(BYTES);
        self.host.make_volume(&name, &[("file", &bytes)]);
        self.host
            .run(&["snapshot", &format!("{name}@s")])
            .succeeds();
        (name, bytes)
    }

    /// The requests of a push of a fresh volume when nothing goes wrong.
    fn requests_of_a_push(&mut self) -> Vec<Request> {
        let (name, _) = self.fresh_volume();
        self.proxy.reset_traffic();
        self.host.push(&format!("{name}@s"));
        self.proxy.traffic().requests
    }

    /// Another host that has the repository, and asks without trouble.
    fn another(&self) -> Host {
        let there = self.store.host();
        there.add(&["--key-file=key"]).succeeds();
        there
    }

    #[track_caller]
    fn pulls(&self, there: &Host, name: &str, bytes: &[u8]) {
        there.run(&["pull", &format!("r:{name}@s")]).succeeds();
        assert!(there.read(name, "file") == bytes, "{name} is another");
    }
}

/// Does what a rule says to the `n`-th request, and to no other.
fn at_request(proxy: &Proxy, n: u64, mut what: impl FnMut() -> Option<Fault> + Send + 'static) {
    let seen = AtomicU64::new(0);
    proxy.add_rule(move |_| (seen.fetch_add(1, Ordering::Relaxed) + 1 == n).then(&mut what)?);
}

#[test]
fn a_push_that_is_killed_is_repeated() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let there = scene.another();
    let usual = scene.requests_of_a_push();
    // How many requests there are depends on what this host has seen of the index before.
    for n in 1.. {
        let (name, bytes) = scene.fresh_volume();
        let state = format!("{name}@s");
        if !was_killed_at(&scene, n, &["push", &state]) {
            assert!(n + 3 > usual.len() as u64, "it ended before request {n}");
            break;
        }
        scene.proxy.reset_traffic();
        scene.host.push(&state);
        let has_answered = usual
            .iter()
            .take(usize::try_from(n).unwrap() - 1)
            .any(|one| one.kind() == "PUT" && one.target.contains("/index/"));
        let traffic = scene.proxy.traffic();
        let most = if has_answered {
            BYTES / 10
        } else {
            BYTES + BYTES / 10
        };
        assert!(
            traffic.up < most as u64,
            "{} bytes after a kill at {n}",
            traffic.up
        );
        scene.pulls(&there, &name, &bytes);
    }
    scene.host.verify();
}

/// Runs a command that is killed at its `n`-th request: every other time the engine hears of it.
fn was_killed_at(scene: &Scene, n: u64, arguments: &[&str]) -> bool {
    let pid = Arc::new(AtomicI32::new(0));
    let known = Arc::clone(&pid);
    at_request(&scene.proxy, n, move || {
        while known.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(known.load(Ordering::Acquire)).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        n.is_multiple_of(2).then_some(Fault::Close)
    });
    let mut child = scene.host.spawn(arguments);
    pid.store(child.id().cast_signed(), Ordering::Release);
    let status = child.wait().unwrap();
    // What it has sent may still be on its way.
    std::thread::sleep(Duration::from_millis(50));
    scene.proxy.clear();
    !status.success()
}

#[test]
fn a_pull_that_is_killed_leaves_no_volume() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (name, bytes) = scene.fresh_volume();
    scene.host.push(&format!("{name}@s"));
    let from = format!("r:{name}@s");
    scene.proxy.reset_traffic();
    scene.host.run(&["pull", &from, "first"]).succeeds();
    let usual = scene.proxy.traffic().requests.len() as u64;
    for n in 1..=usual {
        // All requests of the first time are made again.
        scene.host.forget_read_snapshots();
        let was_killed = was_killed_at(&scene, n, &["pull", &from, "back"]);
        assert!(was_killed, "it ended before request {n}");
        assert!(!scene.host.volumes().contains(&"back".to_owned()), "{n}");
    }
    scene.host.run(&["pull", &from, "back"]).succeeds();
    assert!(scene.host.read("back", "file") == bytes);
    assert_eq!(scene.host.left_over(), ["back", "first", &name]);
}

/// A fault that passes, at each request of a push and of a pull.
#[track_caller]
fn is_not_noticed(fault: Fault) {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let there = scene.store.host_through(&scene.proxy);
    there.add(&["--key-file=key"]).succeeds();
    let usual = scene.requests_of_a_push().len() as u64;
    for n in 1..=usual {
        let (name, bytes) = scene.fresh_volume();
        at_request(&scene.proxy, n, move || Some(fault));
        let pushed = scene.host.run(&["push", &format!("{name}@s")]);
        assert_eq!(pushed.code, 0, "{fault:?} at {n}: {pushed:?}");
        scene.proxy.clear();
        at_request(&scene.proxy, n, move || Some(fault));
        let pulled = there.run(&["pull", &format!("r:{name}@s")]);
        assert_eq!(pulled.code, 0, "{fault:?} at {n}: {pulled:?}");
        scene.proxy.clear();
        assert!(there.read(&name, "file") == bytes, "{name} is another");
    }
    scene.host.verify();
}

#[test]
fn a_lost_answer_is_not_noticed() {
    is_not_noticed(Fault::LoseAnswer);
}

#[test]
fn a_closed_connection_is_not_noticed() {
    is_not_noticed(Fault::Close);
}

#[test]
fn a_request_that_is_cut_is_not_noticed() {
    is_not_noticed(Fault::CutRequest(1000));
}

#[test]
fn half_an_answer_is_not_noticed() {
    is_not_noticed(Fault::HalfAnswer);
}

#[test]
fn a_store_that_is_slow_for_a_moment_is_not_noticed() {
    is_not_noticed(Fault::SLOW_DOWN);
}

#[test]
fn too_many_requests_are_not_noticed() {
    is_not_noticed(Fault::TOO_MANY_REQUESTS);
}

/// A store may be busy for some time.
#[test]
fn a_busy_store_is_asked_again() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (name, bytes) = scene.fresh_volume();
    scene.proxy.add(When::any().times(4), Fault::SLOW_DOWN);
    scene.proxy.add(
        When::request("PUT", "/pack/").times(3),
        Fault::TOO_MANY_REQUESTS,
    );
    scene
        .proxy
        .add(When::request("PUT", "/snap/").times(1), Fault::CONFLICT);
    scene.host.push(&format!("{name}@s"));
    let there = scene.another();
    scene.pulls(&there, &name, &bytes);
}

/// No byte that was changed on its way counts as one that was read.
#[test]
fn a_byte_that_changes_on_its_way_is_found() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (name, bytes) = scene.fresh_volume();
    scene.host.push(&format!("{name}@s"));
    let there = scene.store.host_through(&scene.proxy);
    there.add(&["--key-file=key"]).succeeds();
    scene.proxy.reset_traffic();
    let from = format!("r:{name}@s");
    there.run(&["pull", &from, "first"]).succeeds();
    let usual = scene.proxy.traffic().requests.len() as u64;
    let mut refused = 0;
    for n in 1..=usual {
        for at in [0, 30, 70, 200, 100_000] {
            // All requests of the first time are made again.
            there.forget_read_snapshots();
            at_request(&scene.proxy, n, move || Some(Fault::FlipByte(at)));
            let pulled = there.run(&["pull", &from, "back"]);
            scene.proxy.clear();
            if pulled.code == 0 {
                assert!(there.read("back", "file") == bytes, "{at} of {n}");
                there.run(&["check", "--read-data", "back"]).succeeds();
                there.run(&["rm", "--force", "back"]).succeeds();
                continue;
            }
            refused += 1;
            assert!(
                matches!(pulled.code, 1 | 3 | 6 | 7),
                "{at} of {n}: {pulled:?}"
            );
            assert!(pulled.err.contains("; "), "no next step: {pulled:?}");
            assert_eq!(there.left_over(), ["first"], "{at} of {n}");
        }
    }
    assert!(refused >= 10, "{refused} were refused");
}

#[test]
fn a_store_that_is_away_is_told_and_waited_for() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (name, bytes) = scene.fresh_volume();
    let state = format!("{name}@s");
    let time = Duration::from_secs(4);
    scene.host = scene.host.gives_up_after(time);
    scene.proxy.refuse();
    let since = Instant::now();
    let failed = scene.host.run(&["push", &state]);
    let took = since.elapsed();
    failed.fails(7, &["remote \"r\"", "does not answer", "try again later"]);
    assert!(took < Duration::from_secs(75), "it took {took:?}");
    assert!(took > time / 4, "it took {took:?}");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(3));
            scene.proxy.resume();
        });
        scene.host.run(&["push", &state, "--wait=120s"]).succeeds();
    });
    let there = scene.another();
    scene.pulls(&there, &name, &bytes);
    eprintln!("a store that refuses is given up after {took:?}");
}

/// Nobody has to say that a store may be away for some seconds.
#[test]
fn a_store_that_comes_back_soon_is_waited_for() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (name, bytes) = scene.fresh_volume();
    let state = format!("{name}@s");
    let stay = Duration::from_secs(8);
    let since = Instant::now();
    scene.proxy.refuse();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(stay);
            scene.proxy.resume();
        });
        scene.host.run(&["push", &state]).succeeds();
    });
    assert!(since.elapsed() >= stay);
    let there = scene.another();
    scene.pulls(&there, &name, &bytes);
}

/// What a store says of a request it says again.
#[test]
fn who_is_refused_does_not_wait() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    let (name, _) = scene.fresh_volume();
    let state = format!("{name}@s");
    for (status, code, exit) in [
        (401, "InvalidAccessKeyId", 1),
        (403, "AccessDenied", 1),
        (400, "InvalidRequest", 7),
    ] {
        scene
            .proxy
            .add(When::request("PUT", "/run/"), Fault::Answer(status, code));
        let since = Instant::now();
        let failed = scene.host.run(&["push", &state]);
        let took = since.elapsed();
        scene.proxy.clear();
        failed.fails(exit, &["remote \"r\"", code]);
        assert!(took < Duration::from_secs(10), "{status}: it took {took:?}");
    }
}

/// The store goes away in the middle: what was sent by then is not sent again.
#[test]
fn a_store_that_goes_away_loses_nothing() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let bytes = Random::new(99).bytes(40 << 20);
    scene.host.make_volume("large", &[("file", &bytes)]);
    scene.proxy.add(
        When::request("PUT", "/pack/").from(3),
        Fault::Answer(403, "AccessDenied"),
    );
    let failed = scene.host.run(&["push", "large"]);
    failed.fails(1, &["remote \"r\"", "does not allow", "credentials"]);
    scene.proxy.clear();
    let there = scene.another();
    there
        .run(&["pull", "r:large"])
        .fails(3, &["r:large", "remote ls r"]);
    scene.proxy.reset_traffic();
    scene.host.push("large");
    let up = scene.proxy.traffic().up;
    assert!(up < 30 << 20, "{up} bytes were sent again");
    there.run(&["pull", "r:large"]).succeeds();
    assert!(there.read("large", "file") == bytes);
}
