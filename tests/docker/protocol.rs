//! The plugin's calls without an engine: all of them, and what is wrong or odd about a request.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::sh;
use crate::host::Host;
use crate::wire::{call, connect, read_answer, request};

const NAMED: &[&str] = &["Create", "Get", "Path", "Mount", "Unmount", "Remove"];

#[test]
fn every_call_is_answered() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    for socket in [host.docker_socket(), host.podman_socket()] {
        let ok = |name: &str, body: &str| call(&socket, name, body).succeeds();
        assert_eq!(
            ok("Plugin.Activate", ""),
            json!({"Implements": ["VolumeDriver"]})
        );
        assert_eq!(ok("Capabilities", "{}")["Capabilities"]["Scope"], "local");
        assert_eq!(ok("List", "{}")["Volumes"], json!([]));
        ok("Create", r#"{"Name":"db","Opts":null}"#);
        let volume = ok("Get", r#"{"Name":"db"}"#)["Volume"].take();
        assert_eq!(volume["Name"], "db");
        volume["CreatedAt"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap();
        // Podman's List has no body.
        assert_eq!(
            ok("List", "")["Volumes"][0]["CreatedAt"],
            volume["CreatedAt"]
        );
        assert_eq!(ok("Path", r#"{"Name":"db"}"#)["Mountpoint"], "");
        let place = ok("Mount", r#"{"Name":"db","ID":"i"}"#)["Mountpoint"].take();
        assert_eq!(place, host.place("db").to_str().unwrap());
        assert_eq!(ok("Path", r#"{"Name":"db"}"#)["Mountpoint"], place);
        assert!(
            call(&socket, "Remove", r#"{"Name":"db"}"#)
                .fails()
                .contains("in use")
        );
        ok("Unmount", r#"{"Name":"db","ID":"i"}"#);
        ok("Remove", r#"{"Name":"db"}"#);
        assert!(host.volumes().is_empty() && host.mounted().is_empty());
    }
}

#[test]
fn a_content_type_is_neither_needed_nor_looked_at() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let mut stream = connect(&host.docker_socket());
    for headers in [
        "",
        "Content-Type: application/vnd.docker.plugins.v1.1+json\r\n",
        "Content-Type: text/plain\r\n",
    ] {
        // On one connection, as dockerd keeps it.
        let bytes = request("VolumeDriver.Create", headers, r#"{"Name":"db"}"#);
        stream.write_all(bytes.as_bytes()).unwrap();
        read_answer(&mut stream).succeeds();
    }
}

#[test]
fn what_cannot_be_understood_is_refused_and_does_nothing() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    call(&socket, "Create", r#"{"Name":"db"}"#).succeeds();
    let list = |_: ()| {
        sh(
            r#"cd "$1"; find . ! -name server.log ! -name '*.sock' ! -name plugin.log | sort"#,
            &[host.dir()],
        )
    };
    let before = list(());
    for name in NAMED {
        for body in [
            "",
            "{}",
            "null",
            "[]",
            "{",
            r#""db""#,
            r#"{"Name":""}"#,
            r#"{"Name":5}"#,
            r#"{"Name":["db"]}"#,
        ] {
            // Docker repeats what was cut off without a body, and forgets a volume of which it gets an error.
            if (*name, body) == ("Get", "") {
                let mut stream = connect(&socket);
                stream
                    .write_all(request("VolumeDriver.Get", "", "").as_bytes())
                    .unwrap();
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                continue;
            }
            call(&socket, name, body).fails();
        }
    }
    call(&socket, "Create", r#"{"Name":"other","Opts":{"size":5}}"#).fails();
    call(
        &socket,
        "Create",
        r#"{"Name":"other","Opts":{"colour":"red"}}"#,
    )
    .fails();
    for path in [
        "VolumeDriver.Explode",
        "NetworkDriver.Create",
        "VolumeDriver.Get/../Create",
        "",
    ] {
        let mut stream = connect(&socket);
        let bytes = request(path, "", r#"{"Name":"other"}"#);
        stream.write_all(bytes.as_bytes()).unwrap();
        read_answer(&mut stream).fails();
    }
    assert_eq!(list(()), before);
}

#[test]
fn nothing_is_mounted_over_what_volumes_are_made_of() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    call(&socket, "Create", r#"{"Name":"db"}"#).succeeds();
    let place = host.place("db");
    std::os::unix::fs::symlink(host.dir().join("root/volumes/db"), &place).unwrap();
    let why = call(&socket, "Mount", r#"{"Name":"db","ID":"i"}"#).fails();
    assert!(why.contains("where volumes are kept"), "{why}");
    std::fs::remove_file(&place).unwrap();
    call(&socket, "Mount", r#"{"Name":"db","ID":"i"}"#).succeeds();
    call(&socket, "Unmount", r#"{"Name":"db","ID":"i"}"#).succeeds();
}

#[test]
fn no_name_leads_out_of_the_root() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    let list = |_: ()| sh(r#"cd "$1"; find . | sort"#, &[host.dir()]);
    let before = list(());
    let long = "x".repeat(300);
    let names = [
        "..",
        ".",
        "../db",
        "../../etc",
        "/etc",
        "a/b",
        "db/",
        "db/..",
        ".hidden",
        "-option",
        "a b",
        "a\nb",
        "a\0b",
        "@",
        "db@",
        "@snap",
        "db@../x",
        "db@a@b",
        &long,
    ];
    for name in names {
        let body = json!({"Name": name, "ID": "i"}).to_string();
        for call_name in ["Create", "Get", "Path", "Mount", "Remove"] {
            let why = call(&socket, call_name, &body).fails();
            assert!(
                call_name == "Get" || why.contains("named"),
                "{call_name} {name:?}: {why}"
            );
        }
        // Whatever was never mounted is unmounted.
        call(&socket, "Unmount", &body).succeeds();
    }
    for name in ["none", "none@snap"] {
        let body = json!({"Name": name, "ID": "i"}).to_string();
        for call_name in ["Get", "Path", "Mount"] {
            assert!(
                call(&socket, call_name, &body)
                    .fails()
                    .contains("no such volume")
            );
        }
    }
    let after = list(()).replace("./run/references.json\n", "");
    assert_eq!(after, before);
}

#[test]
fn a_connection_that_is_idle_or_says_nonsense_is_in_nobodys_way() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    let idle: Vec<_> = (0..100).map(|_| connect(&socket)).collect();
    let half = request("VolumeDriver.Create", "", r#"{"Name":"half"}"#);
    for stream in &idle[..20] {
        (&*stream)
            .write_all(&half.as_bytes()[..half.len() - 3])
            .unwrap();
    }
    for stream in &idle[20..40] {
        (&*stream)
            .write_all(b"\x16\x03\x01 nonsense\r\n\r\n")
            .unwrap();
    }
    let start = Instant::now();
    for _ in 0..10 {
        call(&socket, "List", "{}").succeeds();
    }
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    drop(idle);
    // It is refused by its length: the end of the connection may come before all was sent.
    let huge = format!(r#"{{"Name":"{}"}}"#, "x".repeat(3_000_000));
    let sent = connect(&socket).write_all(request("VolumeDriver.Create", "", &huge).as_bytes());
    drop(sent);
    call(&socket, "Create", r#"{"Name":"db"}"#).succeeds();
    assert_eq!(host.volumes(), ["db"]);
}

#[test]
fn a_volume_of_which_nothing_can_be_learned_is_still_there() {
    let Some(host) = Host::without_engine() else {
        return;
    };
    let socket = host.docker_socket();
    call(&socket, "Create", r#"{"Name":"db"}"#).succeeds();
    call(&socket, "Get", r#"{"Name":"db"}"#).succeeds();
    let config = host.dir().join("root/volumes/db/volume.json");
    let whole = std::fs::read(&config).unwrap();
    std::fs::write(&config, "{").unwrap();
    for name in ["Get", "List"] {
        let body = call(&socket, name, r#"{"Name":"db"}"#).succeeds();
        assert!(body.to_string().contains(r#""Name":"db""#), "{body}");
    }
    call(&socket, "Mount", r#"{"Name":"db","ID":"i"}"#).fails();
    std::fs::write(&config, whole).unwrap();
    call(&socket, "Mount", r#"{"Name":"db","ID":"i"}"#).succeeds();
    call(&socket, "Unmount", r#"{"Name":"db","ID":"i"}"#).succeeds();
    host.wait_until_unmounted();
}
