//! What dockerd 20.10 really called (`recorded-calls.txt`), again in random order, twice, and all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;

use crate::harness::{Random, seed, short_or_long};
use crate::host::Host;
use crate::wire::{Answer, call};

/// One call of the recording.
#[derive(Debug, Clone)]
struct Recorded {
    name: String,
    body: String,
    volume: String,
    id: String,
}

impl Recorded {
    fn send(&self, socket: &Path) -> Answer {
        call(socket, &self.name, &self.body)
    }
}

fn recording() -> Vec<Recorded> {
    let lines = include_str!("recorded-calls.txt").lines();
    let parse = |line: &str| {
        let (name, body) = line.split_once(' ').unwrap();
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        Recorded {
            name: name.to_owned(),
            body: body.to_owned(),
            volume: text("Name"),
            id: text("ID"),
        }
    };
    lines.map(parse).collect()
}

/// What there should be.
#[derive(Debug, Default)]
struct Model {
    volumes: BTreeSet<String>,
    counts: BTreeMap<(String, String), u64>,
}

impl Model {
    /// Whether the call must succeed; what it changes when it does.
    fn expects(&mut self, call: &Recorded) -> bool {
        let (exists, key) = (
            self.volumes.contains(&call.volume),
            (call.volume.clone(), call.id.clone()),
        );
        match call.name.as_str() {
            "Create" => drop(self.volumes.insert(call.volume.clone())),
            "Mount" if exists => *self.counts.entry(key).or_default() += 1,
            "Unmount" => {
                let count = self.counts.remove(&key).unwrap_or_default();
                if count > 1 {
                    self.counts.insert(key, count - 1);
                }
            }
            "Remove" if self.counts.keys().any(|(volume, _)| *volume == call.volume) => {
                return false;
            }
            "Remove" => drop(self.volumes.remove(&call.volume)),
            "Mount" | "Get" => return exists,
            _ => {}
        }
        true
    }
}

#[test]
fn calls_in_any_order_and_twice_are_answered_right() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let (calls, socket, mut random) = (recording(), host.docker_socket(), Random::new(seed()));
    let mut model = Model::default();
    for step in 0..short_or_long(400, 10_000) {
        let chosen = &calls[random.index(calls.len())];
        // What follows from a call often: a removal would leave little to do.
        if chosen.name == "Remove" && random.below(3) > 0 {
            continue;
        }
        for _ in 0..=random.below(2) {
            let (expected, answer) = (model.expects(chosen), chosen.send(&socket));
            let is_right = answer.status == if expected { 200 } else { 500 };
            assert!(is_right, "step {step}: {chosen:?}: {answer:?}; {model:?}");
        }
        if random.below(40) == 0 {
            // dockerd was restarted: what it had holds nothing.
            call(&socket, "Plugin.Activate", "").succeeds();
            model.counts.clear();
        }
        let held: BTreeSet<_> = model
            .counts
            .keys()
            .map(|(volume, _)| volume.clone())
            .collect();
        let mounted: BTreeSet<_> = host.mounted().into_iter().collect();
        assert!(
            held.is_subset(&mounted),
            "step {step}: {held:?} of {mounted:?}"
        );
    }
    let left: Vec<_> = model.counts.into_iter().collect();
    for ((volume, id), count) in left {
        let body = serde_json::json!({"Name": volume, "ID": id}).to_string();
        for _ in 0..count {
            call(&socket, "Unmount", &body).succeeds();
        }
    }
    host.wait_until_unmounted();
    for volume in model.volumes {
        host.wait_until_closed(&volume);
    }
}

#[test]
fn calls_that_come_all_at_once_all_succeed() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    let mut calls = recording();
    calls.retain(|call| call.name != "Remove");
    for call in calls.iter().filter(|call| call.name == "Create") {
        call.send(&socket).succeeds();
    }
    let (threads, rounds) = (8, short_or_long(3, 50));
    let seed = seed();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (calls, socket) = (&calls, &socket);
            scope.spawn(move || {
                let mut random = Random::new(seed + thread);
                for _ in 0..rounds * calls.len() {
                    calls[random.index(calls.len())].send(socket).succeeds();
                }
            });
        }
    });
    // An unmount too many is none, so any number of mounts may be left.
    for call in calls.iter().filter(|call| call.name == "Unmount") {
        for _ in 0..u64::try_from(rounds * calls.len()).unwrap() * threads / 8 {
            call.send(&socket).succeeds();
        }
    }
    host.wait_until_unmounted();
    for volume in host.volumes() {
        host.wait_until_closed(&volume);
    }
}
