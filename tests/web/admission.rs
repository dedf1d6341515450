//! Who is let in: tokens, names of the host, origins, and what a read-only page refuses.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::client::Served;
use crate::support::Bench;

#[test]
fn only_who_has_the_token_is_let_in() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    let page = Served::of(&bench, &[]);
    assert_eq!(page.token.len(), 64);
    for path in [
        "/",
        "/volumes/db",
        "/metrics",
        "/volumes/db/live.json",
        "/nothing",
    ] {
        page.get_with(path, "").says(401, &["token"]);
        let wrong = format!("Authorization: Bearer {}\r\n", "0".repeat(64));
        page.get_with(path, &wrong).says(401, &[]);
        let cookie = format!("Cookie: cask-1={}\r\n", page.token);
        page.get_with(path, &cookie).says(401, &[]);
    }
    page.get_with("/?token=0", "")
        .says(401, &["no more, the one"]);
    page.get("/").says(200, &["db"]);
    // The page that says so looks like the others.
    page.get_with("/static/page.css", "").says(200, &[]);
}

#[test]
fn a_token_in_the_address_becomes_a_cookie() {
    let bench = Bench::new();
    let page = Served::of(&bench, &[]);
    let path = format!("//evil.example/?a=1&token={}&b=2", page.token);
    let answer = page.get_with(&path, "").says(303, &[]);
    assert_eq!(answer.header("location"), Some("/evil.example/?a=1&b=2"));
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains(&*page.token),
        "who has the port next would have the token"
    );
    let own = cookie.split(';').next().unwrap();
    page.get_with("/", &format!("Cookie: x=y; {own}\r\n"))
        .says(200, &["Volumes"]);
}

#[test]
fn every_answer_tells_browsers_what_to_hold_to() {
    let bench = Bench::new();
    let page = Served::of(&bench, &[]);
    for answer in [
        page.get("/"),
        page.get_with("/", ""),
        page.get("/static/page.js"),
        page.get("/x"),
    ] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    }
    assert_eq!(page.get("/").header("cache-control"), Some("no-store"));
}

#[test]
fn another_host_or_origin_is_refused() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    let page = Served::of(&bench, &[]);
    let (address, token) = (page.address.clone(), page.token.clone());
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for host in [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "evil.example:80",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{bearer}");
        page.send(&head, b"").says(403, &["is not known here"]);
    }
    let twice = format!("GET / HTTP/1.1\r\nHost: {address}\r\nHost: {address}\r\n{bearer}");
    assert!(matches!(page.send(&twice, b"").status, 400 | 403));
    let port = address.split(':').nth(1).unwrap();
    let local = format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\n{bearer}");
    page.send(&local, b"").says(200, &[]);
    let to = "/volumes/db/do/snapshot";
    let local = format!("Origin: http://localhost:{port}\r\n");
    let cross = format!("Origin: http://{address}\r\nSec-Fetch-Site: cross-site\r\n");
    for origin in [
        "",
        "Origin: null\r\n",
        "Origin: http://evil.example\r\n",
        &local,
        &cross,
    ] {
        page.post_with(to, "name=x", &format!("{bearer}{origin}"))
            .says(403, &["somebody else"]);
    }
    let own = format!("Origin: http://{address}\r\n");
    page.post_with(to, "name=x", &own).says(401, &[]);
    page.post(to, "name=x").says(303, &[]);
    let names = bench
        .run(&["snapshot", "ls", "db", "--format", "{{.Name}}"])
        .succeeds()
        .out;
    assert_eq!(names, "x\n");
}

#[test]
fn a_proxy_gives_the_page_another_name() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    let name = "https://volumes.example.org";
    let arguments = [
        "web",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        "volumes.example.org",
    ];
    bench
        .run(&arguments)
        .fails(2, &["https://volumes.example.org"]);
    let file = bench.text("token");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let listen = format!("127.0.0.1:{port}");
    let arguments = [
        "web",
        "--listen",
        &listen,
        "--origin",
        name,
        "--token-file",
        &file,
    ];
    let _serving = crate::support::start(&mut bench.command(&arguments));
    crate::support::wait_for("the page is served", || {
        std::net::TcpStream::connect(&listen).is_ok()
    });
    let token = fs::read_to_string(&file).unwrap();
    let token = token.trim();
    let page = Served::other(&listen, token);
    let head = format!("GET /?token={token} HTTP/1.1\r\nHost: volumes.example.org\r\n");
    let answer = page.send(&head, b"").says(303, &[]);
    assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"));
}

#[test]
fn a_read_only_page_changes_nothing() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    bench.run(&["snapshot", "db@a"]).succeeds();
    let page = Served::of(&bench, &["--read-only"]);
    for (action, form) in [
        ("do/snapshot", "name=x"),
        ("do/clone", "new=x"),
        ("do/rollback", "to=a&confirm=db"),
        ("do/schedule", "hourly=1"),
        ("snapshots/a/restore/x", ""),
    ] {
        page.post(&format!("/volumes/db/{action}"), form)
            .says(403, &["read-only"]);
    }
    let answer = page.get("/volumes/db").says(200, &[]);
    assert!(!answer.text().contains("<form method=\"post\""));
    let names = bench.run(&["ls", "--format", "{{.Name}}"]).succeeds().out;
    assert_eq!(names, "db\n");
}

#[test]
fn a_token_file_is_kept_and_must_be_ones_own() {
    let bench = Bench::new();
    let file = bench.text("token");
    let first = Served::of(&bench, &["--token-file", &file]);
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), first.token);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // Two at once are no trouble.
    let second = Served::of(&bench, &["--token-file", &file]);
    assert_eq!(first.token, second.token);
    assert_ne!(first.address, second.address);
    first.get("/").says(200, &[]);
    second.get("/").says(200, &[]);
    let refused = |words: &[&str]| {
        let arguments = ["web", "--listen", "127.0.0.1:0", "--token-file", &file];
        bench.run(&arguments).fails(1, words);
    };
    for mode in [0o640, 0o604, 0o666] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        refused(&[&format!("mode {mode:o}"), "chmod 600", &file]);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "secret\n").unwrap();
    refused(&["holds no token", "remove the file"]);
    fs::remove_file(&file).unwrap();
    symlink("elsewhere", &file).unwrap();
    refused(&["cannot use the token file"]);
    if rustix::process::geteuid().is_root() {
        fs::remove_file(&file).unwrap();
        fs::write(&file, "0".repeat(64)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
        refused(&["belongs to user 65534", "of your own"]);
    }
}

#[test]
fn a_port_in_use_and_an_address_that_is_none_are_told() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    bench
        .run(&["web", "--listen", &address.to_string()])
        .fails(5, &["port", &port, "in use", "--listen"]);
    bench
        .run(&["web", "--listen", "0.0.0.0:9751"])
        .fails(2, &["loopback"]);
    bench.run(&["web", "--listen", "9751"]).fails(2, &["9751"]);
}

#[test]
fn it_ends_in_order_when_asked() {
    let bench = Bench::new();
    let page = Served::of(&bench, &[]);
    page.get("/").says(200, &["There is no volume yet"]);
    assert_eq!(page.end(), 0);
}
