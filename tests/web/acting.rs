//! What the page does, and that it refuses what the command line refuses.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use crate::client::Served;
use crate::support::{Bench, can_mount};

fn snapshots(bench: &Bench) -> String {
    let listed = bench.run(&["snapshot", "ls", "db", "--format", "{{.Name}}"]);
    listed.succeeds().out
}

fn kept_by(bench: &Bench) -> String {
    let kept = bench.run(&["inspect", "db", "--format", "{{.Schedule.Keep}}"]);
    kept.succeeds().out
}

#[test]
fn snapshots_clones_and_schedules_are_made() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    let page = Served::of(&bench, &[]);
    let answer = page.post("/volumes/db/do/snapshot", "name=first+one&label=%3Cb%3E");
    let to = answer.header("location").unwrap().to_owned();
    assert_eq!(
        (answer.status, to.as_str()),
        (303, "/volumes/db?done=snapshot&name=first%20one")
    );
    page.get(&to)
        .says(200, &["first one", "is taken", "&lt;b&gt;"]);
    page.post("/volumes/db/do/snapshot", "name=&label=")
        .says(303, &[]);
    assert_eq!(snapshots(&bench).lines().count(), 2);
    page.post("/volumes/db/do/clone", "from=first+one&new=copy")
        .says(303, &[]);
    page.post("/volumes/db/do/clone", "from=&new=copy2")
        .says(303, &[]);
    assert_eq!(
        bench.run(&["ls", "--format", "{{.Name}}"]).out,
        "copy\ncopy2\ndb\n"
    );
    page.post(
        "/volumes/db/do/schedule",
        "hourly=24&daily=7&weekly=&monthly=0",
    )
    .says(303, &[]);
    assert_eq!(kept_by(&bench), "hourly=24 daily=7\n");
    page.get("/volumes/db")
        .says(200, &["value=\"24\"", "Next: "]);
    // What is not there is not what was left empty.
    for (broken, word) in [
        ("", "form"),
        ("hourly=", "form"),
        ("hourly=%4&daily=&weekly=&monthly=", "form"),
        ("hourly=%ff&daily=&weekly=&monthly=", "no text"),
    ] {
        page.post("/volumes/db/do/schedule", broken)
            .says(400, &[word]);
    }
    assert_eq!(kept_by(&bench), "hourly=24 daily=7\n");
    page.post("/volumes/db/do/schedule", "hourly=&daily=&weekly=&monthly=")
        .says(303, &[]);
    assert_eq!(kept_by(&bench), "\n");
}

#[test]
fn what_the_command_line_refuses_is_refused_on_the_page() {
    let bench = Bench::new();
    bench.run(&["create", "db"]).succeeds();
    bench.run(&["snapshot", "db@a"]).succeeds();
    let before = bench.inventory();
    let page = Served::of(&bench, &[]);
    for (action, form, status, words) in [
        (
            "snapshot",
            "name=a",
            409,
            ["exists already", "choose another name"],
        ),
        ("snapshot", "name=a%2Fb", 400, ["role=\"alert\"", "name"]),
        ("snapshot", "name=%FF", 400, ["UTF-8", "role=\"alert\""]),
        ("snapshot", "name=x&label=%FF", 400, ["UTF-8", "label"]),
        ("snapshot", "name=x&name=y", 400, ["form", "broken"]),
        (
            "clone",
            "new=db",
            409,
            ["exists already", "choose another name"],
        ),
        ("clone", "new=..", 400, ["volume name", "role=\"alert\""]),
        ("clone", "new=", 400, ["is empty", "fill it in"]),
        ("clone", "new=%FF", 400, ["UTF-8", "type it anew"]),
        (
            "clone",
            "from=no&new=x",
            404,
            ["there is no snapshot", "role=\"alert\""],
        ),
        (
            "rollback",
            "to=no&confirm=db",
            404,
            ["there is no snapshot", "role=\"alert\""],
        ),
        (
            "rollback",
            "to=a&confirm=",
            400,
            ["was not typed", "to confirm"],
        ),
        (
            "schedule",
            "hourly=-1&daily=&weekly=&monthly=",
            400,
            ["makes no sense", "role=\"alert\""],
        ),
        (
            "schedule",
            "hourly=&daily=many&weekly=&monthly=",
            400,
            ["makes no sense", "role=\"alert\""],
        ),
    ] {
        page.post(&format!("/volumes/db/do/{action}"), form)
            .says(status, &words);
    }
    page.post("/volumes/db/do/rm", "").says(404, &[]);
    page.post("/volumes/no/do/snapshot", "")
        .says(404, &["no volume"]);
    assert_eq!(bench.inventory(), before);
}

#[test]
fn a_rollback_wants_the_volume_unmounted_and_its_name_typed() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/f"), "old").unwrap();
    bench.run(&["snapshot", "db@a"]).succeeds();
    fs::write(bench.path("mnt/f"), "new").unwrap();
    let page = Served::of(&bench, &[]);
    page.post("/volumes/db/do/rollback", "to=a&confirm=db")
        .says(409, &["is mounted at", "cask umount db"]);
    bench.run(&["umount", "db"]).succeeds();
    bench.wait_until_closed("db");
    page.post("/volumes/db/do/rollback", "to=a&confirm=db")
        .says(303, &[]);
    assert!(snapshots(&bench).contains("before-rollback-"));
    let file = page.get("/volumes/db/now/file/f");
    assert_eq!(file.text(), "old");
}

#[test]
fn files_and_directories_are_put_back_in_their_places() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir_all(bench.path("mnt/d/e")).unwrap();
    fs::write(bench.path("mnt/d/e/f"), "old").unwrap();
    fs::set_permissions(bench.path("mnt/d/e/f"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(bench.path("mnt/d/gone"), "gone").unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    let before = fs::metadata(bench.path("mnt/d/e/f")).unwrap();
    fs::write(bench.path("mnt/d/e/f"), "new and longer").unwrap();
    fs::write(bench.path("mnt/d/e/more"), "more").unwrap();
    fs::remove_file(bench.path("mnt/d/gone")).unwrap();
    let page = Served::of(&bench, &[]);
    page.get("/volumes/db/snapshots/s/restore/d/e/f")
        .says(200, &["Restore", "method=\"post\""]);
    // Whoever wanted a snapshot first, and said so in other words, has nothing replaced without one.
    for said in ["yes", "%FF"] {
        page.post(
            "/volumes/db/snapshots/s/restore/d/e/f",
            &format!("before={said}"),
        )
        .says(400, &["before", "role=\"alert\""]);
    }
    let answer = page.post("/volumes/db/snapshots/s/restore/d/e/f", "before=on");
    let to = answer.header("location").unwrap();
    assert_eq!(
        (answer.status, to),
        (303, "/volumes/db/now/tree/d/e?restored=f")
    );
    let after = fs::metadata(bench.path("mnt/d/e/f")).unwrap();
    assert_eq!(fs::read_to_string(bench.path("mnt/d/e/f")).unwrap(), "old");
    assert_eq!(
        (after.mode(), after.mtime()),
        (before.mode(), before.mtime())
    );
    assert_eq!(snapshots(&bench).lines().count(), 2);
    // What is gone, by the command line.
    bench.run(&["restore", "db@s:/d/gone"]).succeeds();
    assert_eq!(
        fs::read_to_string(bench.path("mnt/d/gone")).unwrap(),
        "gone"
    );
    // A directory, with what came to it since.
    page.post("/volumes/db/snapshots/s/restore/d/e", "")
        .says(303, &[]);
    let names: Vec<_> = fs::read_dir(bench.path("mnt/d/e"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["f"]);
    let left: Vec<_> = fs::read_dir(bench.path("mnt/d"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(snapshots(&bench).lines().count(), 2);
}

#[test]
fn what_cannot_be_restored_leaves_all_as_it_was() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::create_dir(bench.path("mnt/d")).unwrap();
    fs::write(bench.path("mnt/d/f"), "old").unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    fs::remove_dir_all(bench.path("mnt/d")).unwrap();
    bench
        .run(&["restore", "db@s:/d/f"])
        .fails(3, &["no directory d now", "restore that directory"]);
    // A link in the place of the directory leads nowhere.
    fs::create_dir(bench.path("elsewhere")).unwrap();
    symlink(bench.path("elsewhere"), bench.path("mnt/d")).unwrap();
    bench
        .run(&["restore", "db@s:/d/f"])
        .fails(3, &["no directory d now"]);
    assert_eq!(fs::read_dir(bench.path("elsewhere")).unwrap().count(), 0);
    bench
        .run(&["restore", "db@s:/no"])
        .fails(3, &["there is no /no in snapshot"]);
    bench
        .run(&["restore", "db@s:/"])
        .fails(2, &["cask rollback"]);
    bench
        .run(&["restore", "db@no:/d"])
        .fails(3, &["there is no snapshot"]);
    bench.run(&["restore", "db:/d"]).fails(2, &["NAME@SNAP"]);
    // The directory itself comes back in the link's place, and without a mount.
    bench.run(&["umount", "db"]).succeeds();
    bench.wait_until_closed("db");
    bench.run(&["restore", "db@s:/d"]).succeeds();
    bench.wait_until_closed("db");
    let read = Served::of(&bench, &[]).get("/volumes/db/now/file/d/f");
    assert_eq!(read.text(), "old");
}
