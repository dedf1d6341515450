//! Each engine answers signed requests, directly and through the proxy, which counts them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::engines::{Engine, Kind};
use crate::proxy::{Fault, Proxy, When};

/// More than an engine takes at once from a socket.
const LENGTH: usize = 1_000_003;

fn bytes() -> Vec<u8> {
    (0..LENGTH)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

#[track_caller]
fn keeps_what_passes_the_proxy(kind: Kind) {
    let Some(engine) = Engine::any(kind) else {
        return;
    };
    let proxy = Proxy::before(engine.endpoint.address);
    let endpoint = engine.endpoint.through(proxy.address());
    let bucket = endpoint.bucket();
    let (path, bytes) = (format!("/{bucket}/pack/one"), bytes());
    proxy.reset_traffic();

    let answer = endpoint.put(&path, &bytes);
    assert_eq!(answer.status, 200, "{answer}");
    let answer = endpoint.get(&path);
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.body == bytes, "another object came back");
    // Not by way of the proxy.
    assert!(engine.endpoint.get(&path).body == bytes);

    let traffic = proxy.traffic();
    assert_eq!(traffic.requests.len(), 2, "{:?}", traffic.requests);
    assert_eq!(traffic.count("PUT"), 1);
    assert_eq!(traffic.count_at("GET", "/pack/"), 1);
    let (least, most) = (LENGTH as u64, LENGTH as u64 + 8192);
    assert!((least..most).contains(&traffic.up), "{} up", traffic.up);
    assert!(
        (least..most).contains(&traffic.down),
        "{} down",
        traffic.down
    );
}

#[track_caller]
fn knows_its_own_keys(kind: Kind) {
    let Some(engine) = Engine::any(kind) else {
        return;
    };
    let bucket = engine.endpoint.bucket();
    let mut stranger = engine.endpoint.clone();
    stranger.secret_key.push('x');
    let answer = stranger.put(&format!("/{bucket}/object"), b"x");
    assert_eq!(answer.status, 403, "{answer}");
}

#[test]
fn seaweedfs_keeps_what_passes_the_proxy() {
    keeps_what_passes_the_proxy(Kind::SeaweedFs);
}

#[test]
fn ceph_keeps_what_passes_the_proxy() {
    keeps_what_passes_the_proxy(Kind::Ceph);
}

#[test]
fn rclone_keeps_what_passes_the_proxy() {
    keeps_what_passes_the_proxy(Kind::Rclone);
}

#[test]
fn garage_keeps_what_passes_the_proxy() {
    keeps_what_passes_the_proxy(Kind::Garage);
}

#[test]
fn s3rver_keeps_what_passes_the_proxy() {
    keeps_what_passes_the_proxy(Kind::S3rver);
}

#[test]
fn seaweedfs_and_ceph_know_their_keys() {
    knows_its_own_keys(Kind::SeaweedFs);
    knows_its_own_keys(Kind::Ceph);
}

#[test]
fn garage_knows_its_keys() {
    knows_its_own_keys(Kind::Garage);
}

/// Faults meet a real engine as they meet the small one of the proxy's own tests.
#[test]
fn an_engine_has_what_it_answered_in_vain() {
    let Some(engine) = Engine::any(Kind::SeaweedFs) else {
        return;
    };
    let proxy = Proxy::before(engine.endpoint.address);
    let endpoint = engine.endpoint.through(proxy.address());
    let bucket = endpoint.bucket();
    proxy.add(When::request("PUT", "/lost"), Fault::LoseAnswer);
    proxy.add(When::request("PUT", "/cut"), Fault::CutRequest(10));
    proxy.add(When::request("PUT", "/busy").nth(1), Fault::SLOW_DOWN);

    let put = |name: &str| endpoint.request("PUT", &format!("/{bucket}/{name}"), &bytes());
    let is_there = |name: &str| engine.endpoint.get(&format!("/{bucket}/{name}")).status == 200;
    assert!(put("lost").is_none());
    assert!(is_there("lost"));
    assert!(put("cut").is_none());
    // The engine takes some time to see that there is no more.
    std::thread::sleep(Duration::from_millis(200));
    assert!(!is_there("cut"));
    let answer = put("busy").unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.to_string().contains("<Code>SlowDown</Code>"));
    assert_eq!(put("busy").unwrap().status, 200);
}

/// A client with a pool of connections and retries of its own.
#[test]
fn a_real_client_gets_through_trouble() {
    let Some(engine) = Engine::any(Kind::SeaweedFs) else {
        return;
    };
    let Some(rclone) = Engine::program("rclone") else {
        assert!(Engine::any(Kind::Rclone).is_none());
        return;
    };
    let proxy = Proxy::before(engine.endpoint.address);
    let endpoint = engine.endpoint.through(proxy.address());
    let target = format!(":s3:{}", endpoint.bucket());
    proxy.add(When::any(), Fault::Delay(Duration::from_millis(2)));
    proxy.add(When::request("PUT", "/7").times(2), Fault::SLOW_DOWN);
    proxy.add(When::request("PUT", "/8").nth(1), Fault::LoseAnswer);
    proxy.add(When::request("PUT", "/9").nth(1), Fault::CutRequest(1000));
    proxy.add(When::request("GET", "/7").nth(1), Fault::CutAnswer(1000));

    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = bytes();
    for number in 0..100 {
        let length = 20_000 + number;
        std::fs::write(from.path().join(number.to_string()), &bytes[..length]).unwrap();
    }
    let copy = |from: &Path, to: &Path| {
        let mut command = Command::new(&rclone);
        command.args(["copy", "--config", "/dev/null", "--transfers=8"]);
        command.args(["--s3-provider=SeaweedFS", "--s3-no-check-bucket"]);
        command.arg(format!("--s3-region={}", endpoint.region));
        command.arg(format!("--s3-endpoint={}", endpoint.url()));
        command.arg(format!("--s3-access-key-id={}", endpoint.access_key));
        command.arg(format!("--s3-secret-access-key={}", endpoint.secret_key));
        let output = command.arg(from).arg(to).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
    };
    copy(from.path(), Path::new(&target));
    copy(Path::new(&target), to.path());
    for number in 0..100 {
        let copied = std::fs::read(to.path().join(number.to_string())).unwrap();
        assert!(copied == bytes[..20_000 + number], "{number}");
    }
    // What was not acknowledged is sent again.
    assert!(
        proxy.traffic().count("PUT") >= 104,
        "{}",
        proxy.traffic().count("PUT")
    );
}
