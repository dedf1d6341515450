//! What is shown: volumes, directories of any names, changes, downloads and figures.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use crate::client::Served;
use crate::support::{Bench, can_mount, sh};

/// Names that are no plain text, as they are in an address and as they are shown.
const NAMES: [(&[u8], &str, &str); 6] = [
    (
        b"<script>alert(1)<",
        "%3Cscript%3Ealert%281%29%3C",
        "&lt;script&gt;alert(1)&lt;",
    ),
    (b"a\nb", "a%0Ab", "a\\nb"),
    (b"\xff\xfe", "%FF%FE", "\\xff\\xfe"),
    (
        "\u{202e}gpj.exe".as_bytes(),
        "%E2%80%AEgpj.exe",
        "\\u{202e}gpj.exe",
    ),
    (
        b"\" onload=\"x",
        "%22%20onload%3D%22x",
        "&quot; onload=&quot;x",
    ),
    (b"%2e%2e", "%252e%252e", "%2e%2e"),
];

#[test]
fn volumes_are_listed_with_what_they_take() {
    let bench = Bench::new();
    let page = Served::of(&bench, &[]);
    page.get("/").says(200, &["cask create NAME"]);
    bench.run(&["create", "db"]).succeeds();
    bench
        .run(&["create", "web", "--schedule", "daily=3"])
        .succeeds();
    page.get("/").says(
        200,
        &[
            "href=\"/volumes/db\"",
            "unmounted",
            "no schedule",
            "when mounted",
        ],
    );
    page.get("/?filter=WE").says(
        200,
        &["/volumes/web", "1 of 1 volumes that match, 2 in all"],
    );
    page.get("/volumes/no").says(404, &["no volume"]);
    page.get("/volumes/db")
        .says(200, &["There is none yet", "Take a snapshot"]);
}

#[test]
fn any_name_is_shown_and_found_again() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    for (name, _, _) in NAMES {
        let path = bench.path("mnt").join(OsStr::from_bytes(name));
        fs::create_dir(&path).unwrap();
        fs::write(path.join(OsStr::from_bytes(name)), name).unwrap();
    }
    bench.run(&["snapshot", "db@s"]).succeeds();
    let page = Served::of(&bench, &[]);
    for state in ["now", "snapshots/s"] {
        let top = page.get(&format!("/volumes/db/{state}/tree/"));
        let top = top.says(200, &[]).text();
        assert!(
            !top.contains("<script>alert") && !top.contains('\u{202e}'),
            "{top}"
        );
        for (name, encoded, shown) in NAMES {
            assert!(top.contains(shown), "no {shown} in {top}");
            let tree = format!("/volumes/db/{state}/tree/{encoded}");
            assert!(
                top.contains(&format!("href=\"{tree}\"")),
                "no {tree} in {top}"
            );
            page.get(&tree).says(200, &[shown]);
            let file = page.get(&format!("/volumes/db/{state}/file/{encoded}/{encoded}"));
            assert_eq!((file.status, file.body.as_slice()), (200, name));
            assert_eq!(
                file.header("content-type"),
                Some("application/octet-stream")
            );
            let kept = file.header("content-disposition").unwrap();
            assert!(
                kept.starts_with("attachment; filename=\"") && kept.is_ascii(),
                "{kept}"
            );
        }
    }
}

#[test]
fn no_path_leads_out_of_a_volume() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir(bench.path("mnt/d")).unwrap();
    fs::write(bench.path("mnt/d/f"), "inside").unwrap();
    symlink("/etc", bench.path("mnt/out")).unwrap();
    symlink("/etc/passwd", bench.path("mnt/passwd")).unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let page = Served::of(&bench, &[]);
    for state in ["now", "snapshots/s"] {
        for path in [
            "../../../../etc/passwd",
            "%2e%2e/%2e%2e/etc/passwd",
            "..%2f..%2fetc%2fpasswd",
            "d/../d/f",
            "d//f",
            "out/passwd",
            "passwd",
            "d/%2Fetc",
            "d/f%00",
            ".",
            "%2e/d",
            "d/f/x",
            "nothing",
        ] {
            for shape in ["tree", "file", "tar"] {
                let answer = page.get(&format!("/volumes/db/{state}/{shape}/{path}"));
                let is_link = shape == "tar" && path == "passwd";
                assert!(
                    is_link || answer.status == 404,
                    "{shape} {path}: {}",
                    answer.text()
                );
                assert!(!answer.text().contains("root:"), "{path}");
            }
        }
        page.get(&format!("/volumes/db/{state}/tree/"))
            .says(200, &["out", "/etc/passwd"]);
    }
    page.get("/volumes/..%2f..%2fetc/now/tree/").says(404, &[]);
    page.get("/volumes/db/snapshots/%2e%2e/tree/")
        .says(404, &[]);
    let to = "/volumes/db/snapshots/s/restore/../x";
    page.post(to, "").says(404, &[]);
}

#[test]
fn changes_are_marked_and_listed() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir(bench.path("mnt/dir")).unwrap();
    for name in ["same", "changed", "old", "gone", "dir/x"] {
        fs::write(bench.path("mnt").join(name), name).unwrap();
    }
    bench.run(&["snapshot", "db@a"]).succeeds();
    fs::write(bench.path("mnt/changed"), "otherwise").unwrap();
    fs::write(bench.path("mnt/dir/x"), "otherwise").unwrap();
    fs::write(bench.path("mnt/new"), "new").unwrap();
    fs::rename(bench.path("mnt/old"), bench.path("mnt/renamed")).unwrap();
    fs::remove_file(bench.path("mnt/gone")).unwrap();
    let page = Served::of(&bench, &[]);
    let marked = [
        "title=\"modified\">M<",
        "title=\"added\">+<",
        "title=\"renamed\">R<",
        "title=\"removed\">-<",
        "was /<bdi>old</bdi>",
        "not in this state",
    ];
    page.get("/volumes/db/now/tree/?against=a")
        .says(200, &marked);
    bench.run(&["snapshot", "db@b"]).succeeds();
    page.get("/volumes/db/snapshots/b/tree/?against=a")
        .says(200, &marked);
    // From the older to the newer, wherever one stands.
    page.get("/volumes/db/snapshots/a/tree/?against=b").says(
        200,
        &[
            "Changes from <strong>a</strong> to <strong>b</strong>",
            "title=\"added\">+<",
        ],
    );
    page.get("/volumes/db/now/tree/dir?against=a")
        .says(200, &["title=\"modified\">M<"]);
    page.get("/volumes/db/diff?from=a&to=b")
        .says(200, &["/<bdi>", "of 5 changes"]);
    page.get("/volumes/db/diff?from=a&to=b&filter=REN")
        .says(200, &["1 of 1 changes that match"]);
    page.get("/volumes/db/diff?from=b&to=a")
        .says(400, &["is older than"]);
    page.get("/volumes/db/diff?from=no")
        .says(404, &["there is no snapshot"]);
    for query in [
        "now/tree/?against=%FF",
        "diff?from=%FF",
        "diff?from=a&to=%FF",
    ] {
        page.get(&format!("/volumes/db/{query}"))
            .says(400, &["is no text in UTF-8"]);
    }
    page.get("/volumes/db/now/tree/?against=no")
        .says(404, &["there is no snapshot"]);
}

#[test]
fn a_directory_is_downloaded_as_an_archive() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir_all(bench.path("mnt/a/b")).unwrap();
    let big: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(bench.path("mnt/a/b/big"), &big).unwrap();
    symlink("big", bench.path("mnt/a/b/link")).unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let page = Served::of(&bench, &[]);
    let answer = page.get("/volumes/db/snapshots/s/tar/a/b").says(200, &[]);
    let kept = answer.header("content-disposition").unwrap();
    assert!(kept.contains("filename=\"b.tar\""), "{kept}");
    fs::write(bench.path("b.tar"), &answer.body).unwrap();
    let tree = bench.path("");
    sh(
        &bench,
        "cd \"$1\" && mkdir out && tar xf b.tar -C out && cmp out/b/big mnt/a/b/big && test -L out/b/link",
        &[&tree],
    );
    let file = page.get("/volumes/db/now/file/a/b/big");
    assert!(file.body == big, "{} bytes", file.body.len());
    assert_eq!(
        file.header("content-length"),
        Some(big.len().to_string().as_str())
    );
    page.get("/volumes/db/now/file/a")
        .says(404, &["is no file"]);
    page.get("/volumes/db/now/tar/").says(200, &[]);
}

#[test]
fn figures_and_metrics_are_those_of_the_volume() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/f"), vec![7; 100_000]).unwrap();
    bench.run(&["sync", "db"]).succeeds();
    let page = Served::of(&bench, &[]);
    let metrics = page.get("/metrics");
    let kind = metrics.header("content-type").unwrap();
    assert!(
        kind.starts_with("application/openmetrics-text") || kind.starts_with("text/plain"),
        "{kind}"
    );
    metrics.says(200, &["cask_written_bytes_total{volume=\"db\"} 100000"]);
    let figures = page
        .get("/volumes/db/live.json")
        .says(200, &["\"written_bytes\":100000"]);
    assert_eq!(figures.header("content-type"), Some("application/json"));
    page.get("/volumes/db")
        .says(200, &["Requests by kind", "mounted at", "mnt"]);
    page.get("/").says(200, &["class=\"live\""]);
}
