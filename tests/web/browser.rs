//! What a person does with the page, in a real browser. What was seen is kept in `target/tmp/web/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Served, with_many_files};
use crate::driver::{Browser, can_browse};
use crate::support::{Bench, can_mount, sh, wait_for};

/// Volumes as somebody may have them, one of them mounted at `mnt`, with a history.
fn demo() -> Bench {
    let bench = Bench::new();
    for (name, schedule) in [
        ("database", "hourly=24 daily=7 weekly=4"),
        ("media", "daily=14"),
        ("mail", "off"),
        ("scratch", "off"),
    ] {
        bench.run(&["create", name]).succeeds();
        fs::create_dir(bench.path(name)).unwrap();
        bench.run(&["mount", name, &bench.text(name)]).succeeds();
        bench
            .run(&["set", name, &format!("schedule={schedule}")])
            .succeeds();
    }
    fill(&bench);
    bench.run(&["umount", "scratch"]).succeeds();
    bench
}

fn fill(bench: &Bench) {
    sh(
        bench,
        r#"
        cd "$1"
        put() { head -c "$2" /dev/urandom >"$1"; }
        mkdir -p database/base/16384 database/wal media/photos media/films mail/cur
        put database/base/16384/2619 3000000; put database/wal/0001 2000000; put media/films/a.mkv 6000000
        for i in $(seq 40); do put media/photos/IMG_$i.jpg 60000; done
        for i in $(seq 60); do put mail/cur/$i 9000; done
        "$CASK" snapshot database@monday --label "before the upgrade" >/dev/null
        "$CASK" snapshot media@monday >/dev/null
        sleep 1.1
        put database/base/16384/2619 3000000; rm database/wal/0001; put database/wal/0002 2500000
        "$CASK" snapshot database@tuesday >/dev/null; "$CASK" snapshot hold database@tuesday >/dev/null
        sleep 2.1
        put database/base/16384/2620 1500000; mv media/photos/IMG_1.jpg media/photos/cover.jpg
        rm media/photos/IMG_2.jpg; put media/photos/IMG_3.jpg 50000; put media/photos/new.jpg 70000
        "$CASK" snapshot database@wednesday >/dev/null
        sleep 1.1
        put database/wal/0003 900000
        "$CASK" clone media@monday media-test >/dev/null
        put scratch/x 1500000; rm scratch/x; put scratch/y 400000
        for volume in database media mail scratch; do "$CASK" sync $volume; done
        "#,
        &[&bench.path("")],
    );
}

/// A browser that has used the address that was printed.
fn logged_in(page: &Served) -> Browser {
    let browser = Browser::start();
    browser.resize(1180, 900);
    browser.go(&page.url(&format!("/?token={}", page.token)));
    assert_eq!(
        browser.url(),
        page.url("/"),
        "the token stays in the address"
    );
    browser
}

#[test]
fn a_user_looks_around_and_acts() {
    if !can_mount() || !can_browse() {
        return;
    }
    let bench = demo();
    let page = Served::of(&bench, &[]);
    let browser = logged_in(&page);
    assert_eq!(browser.find("h1").text(), "Volumes");
    browser.keep("volumes");

    browser.link("database").follow();
    assert!(browser.find("h1").text().starts_with("database"));
    // The script has found what the volume does.
    fs::write(bench.path("database/more"), "more").unwrap();
    wait_for("there are live figures", || {
        browser.find("[data-figure=written]").text() != "\u{2013}"
    });
    browser.keep("volume");

    browser.find("#name").fill("by hand");
    browser.find("#label").fill("<i>mine</i>");
    browser.find("form[action$=snapshot] button").follow();
    assert!(
        browser
            .find("[role=status].done")
            .text()
            .contains("by hand is taken")
    );
    assert!(browser.text().contains("<i>mine</i>"));
    browser.find("#name").fill("by hand");
    browser.find("form[action$=snapshot] button").follow();
    assert!(
        browser
            .find("[role=alert]")
            .text()
            .contains("exists already")
    );
    browser.keep("refused");

    browser.find("#new").fill("database-test");
    browser.find("form[action$=clone] button").follow();
    browser.link("database-test").follow();
    assert!(browser.find("h1").text().starts_with("database-test"));
    browser.find("#daily").fill("5");
    browser.find("form[action$=schedule] button").follow();
    assert!(browser.find(".done").text().contains("schedule is set"));
    let kept = bench.run(&["inspect", "database-test", "--format", "{{.Schedule.Keep}}"]);
    assert_eq!(kept.out, "daily=5\n");

    // It is not mounted, and rolls back to what it was cloned with.
    browser.find("#name").fill("mine");
    browser.find("form[action$=snapshot] button").follow();
    browser.find("#confirm").type_in("database-test");
    browser.find("form[action$=rollback] button").follow();
    assert!(browser.find(".done").text().contains("is what it was"));
    browser.keep("rolled-back");
    drop(browser);
    assert_eq!(page.end(), 0);
}

#[test]
fn a_user_finds_a_file_and_puts_it_back() {
    if !can_mount() || !can_browse() {
        return;
    }
    let bench = demo();
    let page = Served::of(&bench, &[]);
    let browser = logged_in(&page);
    browser.link("media").follow();
    browser.link("Browse files").follow();
    browser.link("photos/").follow();
    assert!(browser.text().contains("cover.jpg"));
    // The schedule may have taken another meanwhile.
    browser.find("#against option[value=monday]").click();
    browser.find("form:not([role]) button").follow();
    assert!(
        browser.text().contains("Changes from monday to now"),
        "{}",
        browser.text()
    );
    assert_eq!(browser.find("abbr.renamed").text(), "R");
    assert_eq!(browser.find("abbr.added").text(), "+");
    assert_eq!(browser.find("abbr.removed").text(), "-");
    assert_eq!(browser.find("abbr.modified").text(), "M");
    browser.keep("compared");

    browser.find("details summary").click();
    browser.link("monday").follow();
    browser.find("a[aria-label='Download IMG_2.jpg']").click();
    let whole = browser.downloads().join("IMG_2.jpg");
    wait_for("the file is there", || whole.exists());
    assert_eq!(fs::read(&whole).unwrap().len(), 60_000);
    browser.link("Download as tar").click();
    let archive = browser.downloads().join("photos.tar");
    wait_for("the archive is there", || archive.exists());
    let listed = Command::new("tar")
        .arg("tf")
        .arg(&archive)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(listed.stdout).unwrap().lines().count(),
        41
    );

    assert!(!bench.path("media/photos/IMG_2.jpg").exists());
    browser.find("a[aria-label='Restore IMG_2.jpg']").follow();
    browser.keep("restore");
    browser.find("form button").follow();
    assert!(
        browser.url().contains("restored=IMG_2.jpg"),
        "{}",
        browser.url()
    );
    assert_eq!(
        fs::read(bench.path("media/photos/IMG_2.jpg")).unwrap(),
        fs::read(&whole).unwrap()
    );
    // As it was asked for, there is a snapshot of what was before.
    let labels = bench.run(&["snapshot", "ls", "media", "--format", "{{.Label}}"]);
    assert!(labels.out.contains("before a restore"), "{labels:?}");
}

#[test]
fn all_can_be_read_without_scripts_in_the_dark_and_by_keyboard() {
    if !can_mount() || !can_browse() {
        return;
    }
    let bench = demo();
    symlink("/etc", bench.path("mail/<script>alert(1)<script>")).unwrap();
    let page = Served::of(&bench, &[]);
    let browser = logged_in(&page);
    let light = browser.evaluate("getComputedStyle(document.body).backgroundColor");
    browser.prefer("dark");
    let dark = browser.evaluate("getComputedStyle(document.body).backgroundColor");
    assert_ne!(light, dark);
    browser.keep("volumes-dark");
    // The first stop of the keyboard leads past what is on every page.
    browser.find("body").type_in("\u{e004}");
    assert_eq!(
        browser.evaluate("document.activeElement.textContent"),
        "To the content"
    );
    let unnamed = "[...document.querySelectorAll('input,select')].filter(one => one.type !== 'hidden' && !one.labels.length).length";
    browser.go(&page.url("/volumes/database"));
    assert_eq!(browser.evaluate(unnamed), 0);
    browser.keep("volume-dark");

    browser.command(
        "Emulation.setScriptExecutionDisabled",
        &json!({"value": true}),
    );
    browser.go(&page.url("/volumes/database"));
    assert!(browser.text().contains("requests since the server started"));
    assert!(browser.text().contains("with scripts these figures follow"));
    browser.keep("without-script");
    browser.link("Browse files").follow();
    assert!(browser.text().contains("wal/"));
    browser.go(&page.url("/volumes/mail/now/tree/"));
    assert!(
        browser.text().contains("<script>alert(1)<script>") || browser.text().contains("alert")
    );
    browser.resize(420, 800);
    browser.go(&page.url("/volumes/database"));
    browser.keep("narrow");
}

#[test]
fn a_hundred_thousand_entries_are_seen_at_once() {
    if !can_mount() || !can_browse() {
        return;
    }
    let bench = with_many_files();
    let page = Served::of(&bench, &[]);
    let browser = logged_in(&page);
    let since = Instant::now();
    browser.go(&page.url("/volumes/db/now/tree/many"));
    assert!(browser.text().contains("of 100000 entries"));
    let took = since.elapsed();
    eprintln!("first page: {took:?}");
    // Without optimization all of it takes ten times as long as in a release.
    assert!(took < Duration::from_secs(8), "{took:?}");
    browser.find("#filter").fill("9999");
    browser.find("form[role=search] button").click();
    wait_for("the filter has worked", || {
        browser.text().contains("file-009999")
    });
    browser.keep("many");
}
