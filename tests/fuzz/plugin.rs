//! The plugin's HTTP and JSON: calls that no engine makes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use cask::docker::{Delays, Engine, Listener, Plugin, serve};

use crate::{Random, abort_on_panic, for_a_while, mutate};

// No Mount: it would mount what it makes.
const CALLS: &[(&str, &str)] = &[
    ("/Plugin.Activate", ""),
    (
        "/VolumeDriver.Create",
        r#"{"Name":"db","Opts":{"size":"1G","uid":"7","label.a":"b"}}"#,
    ),
    ("/VolumeDriver.Create", r#"{"Name":"db","Opts":null}"#),
    (
        "/VolumeDriver.Create",
        r#"{"Name":"../../x","Opts":{"from":"db@s"}}"#,
    ),
    ("/VolumeDriver.Remove", r#"{"Name":"db"}"#),
    ("/VolumeDriver.Path", r#"{"Name":"db"}"#),
    ("/VolumeDriver.Get", r#"{"Name":"db@s"}"#),
    ("/VolumeDriver.List", "{}"),
    (
        "/VolumeDriver.Unmount",
        r#"{"Name":"db","ID":"c61780d610bffe3659ca73ba"}"#,
    ),
    ("/VolumeDriver.Capabilities", "{}"),
];

fn input(random: &mut Random) -> Vec<u8> {
    let (path, body) = random.pick(CALLS);
    let mut body = body.as_bytes().to_vec();
    if random.below(3) > 0 {
        mutate(random, &mut body);
    }
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.append(&mut body);
    if random.below(3) == 0 {
        mutate(random, &mut bytes);
    }
    bytes
}

fn call(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).ok();
    stream.shutdown(std::net::Shutdown::Write).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_plugin_answers_whatever_is_asked() {
    abort_on_panic();
    let home = tempfile::tempdir().unwrap();
    let (root, run) = (home.path().join("root"), home.path().join("run"));
    let socket = home.path().join("sockets/cask.sock");
    let plugin = Plugin::open(&root, &run, Delays::default()).unwrap();
    let listener = Listener::bind(&socket, Engine::Docker).unwrap();
    std::thread::spawn(move || serve(&plugin, vec![listener]));
    let (mut random, mut well) = (Random::new(), 0_u64);
    let tried = for_a_while(|| {
        let answer = call(&socket, &input(&mut random));
        let is_http = answer.is_empty() || answer.starts_with("HTTP/1.1 ");
        assert!(is_http, "{answer}");
        well += u64::from(answer.starts_with("HTTP/1.1 200 "));
        // What was made must not pile up.
        if well % 64 == 63 {
            clear(&root);
        }
    });
    eprintln!("{tried} calls, {well} done");
    assert!(well > 0);
    let activated = call(&socket, b"POST /Plugin.Activate HTTP/1.1\r\n\r\n");
    assert!(activated.contains("VolumeDriver"), "{activated}");
    // Nothing was made anywhere else.
    let mut names: Vec<_> = fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["root", "run", "sockets"]);
}

fn clear(root: &Path) {
    let Ok(entries) = fs::read_dir(root.join("volumes")) else {
        return;
    };
    for entry in entries.flatten() {
        fs::remove_dir_all(entry.path()).ok();
    }
}
