//! The keys of a repository: who opens it, and who no more.

use std::fs;
use std::path::PathBuf;

use crate::host::{Host, Store};
use crate::support::Outcome;

fn ids(host: &Host) -> Vec<String> {
    let list = ["remote", "key", "ls", "r", "--format", "{{.Id}}"];
    let listed = host.run(&list).succeeds().out;
    listed.lines().map(str::to_owned).collect()
}

/// The key that the host says it used.
fn own(host: &Host) -> String {
    let list = [
        "remote",
        "key",
        "ls",
        "r",
        "--format",
        "{{.Here}} {{.Id}} {{.Kind}}",
    ];
    let listed = host.run(&list).succeeds().out;
    let mut own = listed.lines().filter_map(|line| line.strip_prefix("true "));
    let found = own.next().unwrap().to_owned();
    assert_eq!(own.next(), None, "{listed}");
    found
}

fn key(host: &Host, verb: &str, arguments: &[&str]) -> Outcome {
    host.run(&[&["remote", "key", verb, "r"], arguments].concat())
}

fn key_objects(store: &Store) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.objects().join("keys")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// A check finds a fault of which it says this.
#[track_caller]
fn is_told(host: &Host, fault: &str) {
    let checked = host.run(&["remote", "check"]);
    assert_eq!(checked.code, 6, "{checked:?}");
    assert!(checked.out.contains(fault), "{checked:?}");
    assert!(checked.err.contains("key rm"), "{checked:?}");
}

#[test]
fn keys_are_listed_and_removed() {
    let store = Store::dir();
    let here = store.host();
    here.create();
    let first = own(&here);
    let first = first.strip_suffix(" key-file").unwrap();
    here.write_secret("phrase", b"correct horse\n");
    let added = key(&here, "add", &["--passphrase-file=phrase"]).succeeds();
    let second = added.out.trim_end();
    assert_eq!(ids(&here).len(), 2);
    let there = store.host();
    there.write_secret("phrase", b"correct horse\n");
    there.add(&["--passphrase-file=phrase"]).succeeds();
    assert_eq!(own(&there), format!("{second} passphrase"));

    key(&here, "rm", &[first]).fails(5, &[first, "rotate", "--used-here"]);
    key(&here, "rm", &["0123456789abcdef"]).fails(3, &["0123456789abcdef", "key ls r"]);
    key(&here, "rm", &["../../cask.json"]).fails(2, &["hexadecimal"]);
    key(&here, "rm", &[second]).succeeds();
    store
        .host()
        .add(&["--passphrase-file=phrase"])
        .fails(1, &[]);
    key(&here, "rm", &[first, "--used-here"]).fails(5, &["the last key", "key add r"]);
    assert_eq!(ids(&here), [first]);
    store.host().add(&["--key-file=key"]).succeeds();
    // Whoever has the master key has it still.
    there.make_volume("db", &[("file", b"content")]);
    there.push("db");
    here.verify();
}

#[test]
fn a_key_takes_the_place_of_another() {
    let store = Store::dir();
    let host = store.host();
    host.create();
    host.make_volume("db", &[("file", b"content")]);
    host.push("db");
    let first = own(&host);
    host.write_secret("new", &[9; 32]);
    host.write_secret("short", b"short");
    key(&host, "rotate", &["--key-file=short"]).fails(2, &["32 bytes"]);
    assert_eq!(own(&host), first);
    let rotated = key(&host, "rotate", &["--key-file=new"]).succeeds();
    let second = rotated.out.trim_end();
    assert_eq!(ids(&host), [second]);
    assert_eq!(own(&host), format!("{second} key-file"));
    let again = key(&host, "rotate", &["--key-file=new"]).succeeds();
    assert_eq!(again.out, rotated.out);
    assert!(again.err.contains("nothing was changed"), "{again:?}");
    let there = store.host();
    there.write_secret("new", &[9; 32]);
    there
        .add(&["--key-file=key"])
        .fails(1, &["not a key of this repository"]);
    there.add(&["--key-file=new"]).succeeds();
    there.run(&["pull", "r:db"]).succeeds();
    assert_eq!(there.read("db", "file"), b"content");
    host.verify();
}

#[test]
fn a_damaged_key_is_named() {
    let store = Store::dir();
    let host = store.host();
    host.create();
    key(&host, "add", &["--key-file=key"]).succeeds();
    host.verify();
    let all = key_objects(&store);
    let bytes = fs::read_to_string(&all[0]).unwrap();
    let name = all[0].file_name().unwrap().to_str().unwrap();
    for harm in [
        bytes.replace("\"salt\": \"", "\"salt\": \"0"),
        bytes.replacen("\"wrapped\": \"", "\"wrapped\": \"00", 1),
        bytes.replace("hkdf_sha256", "other"),
        String::new(),
        "{\"format\":1}".to_owned(),
    ] {
        assert_ne!(harm, bytes);
        fs::write(&all[0], &harm).unwrap();
        is_told(&host, name);
    }
    fs::write(store.objects().join("keys/other"), &bytes).unwrap();
    is_told(&host, "keys/other");
    fs::remove_file(store.objects().join("keys/other")).unwrap();
    key(&host, "rm", &[name, "--used-here"]).succeeds();
    host.verify();
    for key in key_objects(&store) {
        fs::remove_file(key).unwrap();
    }
    is_told(&host, "no other host");
}
