//! Mistakes: each is refused with a word about what, why and what next, and changes nothing. Secrets stay secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::engines::Kind;
use crate::host::{BUCKET, Host, KEY, Store};
use crate::proxy::Fault;
use crate::support::{Outcome, can_mount};

/// It was refused in one line that says what to do next.
#[track_caller]
fn refused(done: Outcome, code: i32, words: &[&str]) {
    let done = done.fails(code, words);
    assert_eq!(done.err.trim_end().lines().count(), 1, "{done:?}");
    assert!(done.err.contains("; "), "no next step in {done:?}");
    assert!(!done.err.contains("panicked"), "{done:?}");
}

/// A repository with the snapshot `db@one`, and its host.
fn repository() -> (Store, Host) {
    let store = Store::dir();
    let host = store.host();
    host.create();
    host.make_volume("db", &[("file", b"content")]);
    host.run(&["snapshot", "db@one"]).succeeds();
    host.push("db@one");
    (store, host)
}

#[test]
fn what_opens_nothing_is_refused() {
    let (store, _host) = repository();
    let there = store.host();
    there.write_secret("wrong", &[7; 32]);
    there.write_secret("short", b"short");
    there.write_secret("empty", b"\n");
    let add = |file: &str| there.add(&[file]);
    let not_ours = &["remote \"r\"", "not a key of this repository"][..];
    refused(add("--key-file=wrong"), 1, not_ours);
    refused(add("--passphrase-file=wrong"), 1, not_ours);
    refused(add("--passphrase-file=key"), 1, not_ours);
    refused(add("--key-file=short"), 2, &["key file", "32 bytes"]);
    refused(add("--passphrase-file=empty"), 2, &["passphrase is empty"]);
    refused(add("--key-file=none"), 1, &["none", "No such file"]);
    refused(add("--key-file=mnt"), 1, &["mnt", "directory"]);
    refused(there.add(&[]), 2, &["key is needed", "/dev/urandom"]);
    assert_eq!(
        there.run(&["remote", "ls", "--format", "{{.Name}}"]).out,
        ""
    );
    // After all of that it can be added still.
    add("--key-file=key").succeeds();
}

/// A device is no key file, and nobody waits for its end.
#[test]
fn a_key_file_without_an_end_is_refused() {
    let (store, _host) = repository();
    let since = Instant::now();
    refused(
        store.host().add(&["--key-file=/dev/zero"]),
        2,
        &["/dev/zero"],
    );
    assert!(since.elapsed() < Duration::from_secs(20));
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let (store, host) = repository();
    let there = store.host();
    let open = |path: &std::path::Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    };
    open(&there.bench.path("key"));
    let added = there.add(&["--key-file=key"]);
    assert!(added.err.contains("others can read"), "{added:?}");
    open(&host.bench.path("root/remotes/r/key"));
    refused(
        host.run(&["push", "db@one"]),
        2,
        &["others can read", "remotes/r/key", "chmod 600"],
    );
}

#[test]
fn places_that_are_none_are_refused() {
    let store = Store::dir();
    let host = store.host();
    refused(
        host.add(&["--key-file=key"]),
        3,
        &["remote \"r\"", "repository"],
    );
    fs::create_dir(store.objects()).unwrap();
    refused(
        host.add(&["--key-file=key"]),
        3,
        &["no repository", "file:///", "--create"],
    );
    for url in [
        "nonsense",
        "http://x",
        "s3://",
        "file://relative",
        "s3://b/../c",
        "",
    ] {
        let added = host.run(&["remote", "add", "x", url, "--key-file=key"]);
        assert_eq!(added.code, 2, "{url}: {added:?}");
    }
    let file = format!("file://{}", host.bench.path("key").display());
    let added = host.run(&["remote", "add", "x", &file, "--key-file=key", "--create"]);
    assert!(matches!(added.code, 1 | 2), "{added:?}");
    host.create();
    refused(
        host.add(&["--key-file=key"]),
        4,
        &["\"r\"", "exists", "another name"],
    );
    let url = format!("file://{}", store.objects().display());
    let again = host.run(&["remote", "add", "again", &url, "--key-file=key", "--create"]);
    refused(
        again,
        4,
        &[
            "remote \"again\"",
            "repository already",
            "leave out --create",
        ],
    );
    assert_eq!(
        host.run(&["remote", "ls", "--format", "{{.Name}}"]).out,
        "r\n"
    );
}

#[test]
fn endpoints_that_are_none_are_refused() {
    let host = Store::dir().host();
    for endpoint in [
        "nonsense",
        "http://",
        "ftp://127.0.0.1",
        "",
        "http://u:pw@h",
    ] {
        let endpoint = format!("--endpoint={endpoint}");
        let mut command = host.command(&["remote", "add", "x", "s3://bucket", "--key-file=key"]);
        command.arg(&endpoint).env("AWS_ACCESS_KEY_ID", "a");
        command.env("AWS_SECRET_ACCESS_KEY", "b");
        let since = Instant::now();
        let added = crate::host::finish(&mut command);
        assert!(!added.err.contains("pw"), "{added:?}");
        refused(added, 2, &["endpoint"]);
        assert!(since.elapsed() < Duration::from_secs(5), "{endpoint}");
    }
    let elsewhere = host.add(&["--key-file=key", "--create", "--endpoint=http://u:pw@h"]);
    refused(elsewhere, 2, &["endpoint", "environment"]);
}

/// Nothing is known that the store could be asked with.
#[test]
fn missing_credentials_are_told() {
    let host = Store::dir().host();
    let arguments = ["remote", "add", "x", "s3://bucket", "--key-file=key"];
    let mut command = host.command(&arguments);
    command.arg("--endpoint=http://127.0.0.1:9");
    // In place of the metadata service, which some hosts have: nobody answers.
    command.env("HTTP_PROXY", "http://127.0.0.1:9");
    command.env("http_proxy", "http://127.0.0.1:9");
    refused(
        crate::host::finish(&mut command),
        1,
        &["no credentials", "AWS_ACCESS_KEY_ID"],
    );
}

/// SeaweedFS would make the bucket.
#[test]
fn a_bucket_that_is_none_is_refused() {
    let Some(store) = Store::bucket(Kind::Ceph) else {
        return;
    };
    let Store::Bucket { endpoint, .. } = &store else {
        return;
    };
    let host = store.host();
    let url = endpoint.url();
    let add = |bucket: &str, secret: &str| {
        let place = format!("s3://{bucket}/p");
        let mut command = host.command(&[
            "remote",
            "add",
            "x",
            &place,
            "--key-file=key",
            "--create",
            "--endpoint",
            &url,
        ]);
        command.env("AWS_SECRET_ACCESS_KEY", secret);
        crate::host::finish(&mut command)
    };
    refused(
        add("no-such-bucket", &endpoint.secret_key),
        3,
        &["no-such-bucket"],
    );
    let denied = add(BUCKET, "wrong");
    assert!(!denied.err.contains("wrong"), "{denied:?}");
    refused(
        denied,
        1,
        &["remote \"x\"", "does not allow", "AWS_SECRET_ACCESS_KEY"],
    );
    assert_eq!(host.run(&["remote", "ls", "--format", "{{.Name}}"]).out, "");
}

#[test]
fn a_repository_of_a_newer_format_is_refused() {
    let (store, host) = repository();
    let mark = store.objects().join("cask.json");
    let text = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let newer = &["cask.json", "format 2", "newer cask"][..];
    refused(host.run(&["push", "db@one"]), 1, newer);
    refused(host.run(&["pull", "r:db", "back"]), 1, newer);
    refused(host.run(&["remote", "check"]), 1, newer);
    refused(store.host().add(&["--key-file=key"]), 1, newer);
    fs::write(&mark, text).unwrap();
    host.verify();
}

#[test]
fn what_is_not_there_is_told() {
    let (_store, host) = repository();
    let there = |arguments: &[&str]| host.run(arguments);
    refused(there(&["pull", "r:db@one", "db"]), 4, &["db", "exists"]);
    refused(
        there(&["pull", "r:db@two", "new"]),
        3,
        &["r:db@two", "remote ls r"],
    );
    refused(
        there(&["pull", "r:other", "new"]),
        3,
        &["r:other", "remote ls r"],
    );
    refused(
        there(&["pull", "s3:db", "new"]),
        3,
        &["no remote \"s3\"", "remote ls"],
    );
    refused(there(&["push", "db@two"]), 3, &["\"two\"", "\"db\""]);
    refused(there(&["push", "other"]), 3, &["other"]);
    refused(there(&["push", "db", "s3"]), 3, &["no remote \"s3\""]);
    refused(there(&["remote", "rm", "s3"]), 3, &["no remote \"s3\""]);
    refused(
        there(&["remote", "inspect", "s3"]),
        3,
        &["no remote \"s3\""],
    );
    refused(there(&["remote", "check", "s3"]), 3, &["no remote \"s3\""]);
    refused(
        there(&["remote", "set", "s3", "region=x"]),
        3,
        &["no remote \"s3\""],
    );
    for bad in [
        &["pull", "db"][..],
        &["pull", "r:"],
        &["pull", "r:a/b"],
        &["remote", "set", "r", "x=y"],
        &["remote", "set", "r", "limit-up=x"],
        &["remote", "set", "r"],
        &["push", "db", "--limit=0"],
        &["push", "db", "--wait=x"],
        &["remote", "set", "r", "limit-up=0"],
        &["remote", "add", "../x", "file:///x"],
    ] {
        let done = host.run(bad);
        assert_eq!(done.code, 2, "{bad:?}: {done:?}");
    }
    assert_eq!(host.left_over(), ["db"]);
}

/// AWS S3 sends a request for another region elsewhere; asking again later would not help.
#[test]
fn a_region_that_is_another_is_refused() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    proxy.add(
        crate::proxy::When::any(),
        Fault::Answer(301, "PermanentRedirect"),
    );
    refused(
        store
            .host_through(&proxy)
            .add(&["--create", "--key-file=key"]),
        2,
        &["the region is wrong", "--region", "remote set"],
    );
}

#[test]
fn garage_says_which_region_it_is_in() {
    let Some(store) = Store::bucket(Kind::Garage) else {
        return;
    };
    let host = store.host();
    host.create();
    host.make_volume("db", &[("file", b"content")]);
    host.run(&["remote", "set", "r", "region=elsewhere"])
        .succeeds();
    refused(
        host.run(&["push", "db"]),
        2,
        &["the region is wrong", "/elsewhere/s3", "'", "/garage/s3"],
    );
    host.run(&["remote", "set", "r", "region=garage"])
        .succeeds();
    host.push("db");
}

/// The push of it has not ended: there is nothing to pull, and a push begins again.
#[test]
fn a_snapshot_whose_push_has_not_ended_is_refused() {
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let proxy = store.proxy();
    let host = store.host_through(&proxy);
    host.create();
    host.make_volume("db", &[("file", b"content")]);
    host.run(&["snapshot", "db@one"]).succeeds();
    proxy.add(
        crate::proxy::When::request("PUT", "/run/"),
        Fault::Answer(403, "AccessDenied"),
    );
    proxy.add(
        crate::proxy::When::request("DELETE", ""),
        Fault::Answer(403, "AccessDenied"),
    );
    // DeleteObjects.
    proxy.add(
        crate::proxy::When::request("POST", ""),
        Fault::Answer(403, "AccessDenied"),
    );
    refused(
        host.run(&["push", "db@one"]),
        1,
        &["does not allow", "run/"],
    );
    proxy.clear();
    refused(
        host.run(&["pull", "r:db@one", "new"]),
        5,
        &["\"one\"", "has not ended", "push it again"],
    );
    refused(host.run(&["pull", "r:db", "new"]), 3, &["r:db"]);
    let listed = host.run(&["remote", "ls", "r", "--format", "{{.Snapshot}} {{.State}}"]);
    assert_eq!(listed.out, "one pending\n");
    host.push("db@one");
    host.run(&["pull", "r:db@one", "new"]).succeeds();
}

/// Two volumes of one name, and a volume that was pulled and is pushed in its turn.
#[test]
fn a_name_that_two_volumes_have_can_be_had_by_uuid() {
    let (store, _host) = repository();
    let there = store.host();
    there.add(&["--key-file=key"]).succeeds();
    there.make_volume("db", &[("file", b"another")]);
    there.push("db");
    let refused_pull = there.run(&["pull", "r:db", "new"]);
    refused(refused_pull, 2, &["several volumes \"db\"", "uuid"]);
    let listed = there
        .run(&["remote", "ls", "r", "--format", "{{.Uuid}}"])
        .out;
    let mut contents: Vec<_> = listed
        .lines()
        .enumerate()
        .map(|(number, uuid)| {
            let name = format!("new{number}");
            there.run(&["pull", &format!("r:{uuid}"), &name]).succeeds();
            there.read(&name, "file")
        })
        .collect();
    contents.sort();
    assert_eq!(contents, [b"another".to_vec(), b"content".to_vec()]);
}

/// Neither output nor logs nor arguments nor the store tell what opens the repository.
#[test]
fn secrets_are_told_to_nobody() {
    if !can_mount() {
        return;
    }
    let Some(store) = Store::bucket(Kind::SeaweedFs) else {
        return;
    };
    let Store::Bucket { endpoint, .. } = &store else {
        return;
    };
    let host = store.host();
    host.write_secret("phrase", b"a passphrase that nobody says");
    let mut told = vec![host.create()];
    let mnt = host.bench.text("mnt");
    host.run(&["mount", "--create", "db", &mnt]).succeeds();
    fs::write(host.bench.path("mnt/file"), b"x").unwrap();
    for arguments in [
        &["remote", "key", "add", "r", "--passphrase-file=phrase"][..],
        &["push", "db"],
        &["push", "db", "--format=json"],
        &["remote", "inspect", "r"],
        &["remote", "ls"],
        &["remote", "ls", "r", "--format=json"],
        &["remote", "check", "--read-data"],
        &["pull", "r:db", "new"],
        &["pull", "r:db", "new"],
        &["doctor"],
        &["inspect", "db"],
        &["remote", "set", "r", "limit-up=100M"],
    ] {
        let mut command = host.command(arguments);
        command.env("RUST_LOG", "trace");
        told.push(crate::host::finish(&mut command));
    }
    let master = fs::read_to_string(host.bench.path("root/remotes/r/key")).unwrap();
    let mode = fs::metadata(host.bench.path("root/remotes/r/key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let secrets = [
        std::str::from_utf8(KEY).unwrap(),
        "a passphrase that nobody says",
        master.trim(),
        &endpoint.secret_key,
    ];
    let log =
        fs::read_to_string(host.bench.volume_dir("db").join("server.log")).unwrap_or_default();
    let server = host.bench.server_of("db");
    let arguments = fs::read(format!("/proc/{server}/cmdline")).unwrap();
    let mut texts: Vec<String> = told
        .iter()
        .map(|done| format!("{}{}", done.out, done.err))
        .collect();
    texts.push(log);
    texts.push(String::from_utf8_lossy(&arguments).into_owned());
    for secret in secrets {
        for text in &texts {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// Who may write to a store may call objects what they like: no terminal obeys that.
#[test]
fn what_lies_in_a_store_is_told_on_one_line() {
    let store = Store::dir();
    let host = store.host();
    host.create();
    fs::write(store.objects().join("keys/a\n\u{1b}[2J"), "no key").unwrap();
    let told = host.run(&["remote", "check"]);
    assert!(told.out.contains("a\\n\\u{1b}[2J"), "{told:?}");
    assert!(!told.out.contains('\u{1b}'), "{told:?}");
}
