//! Snapshots, diffs, clones and rollbacks, on a volume that is mounted and on one that is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cask::volume::Volume;

use crate::support::{Bench, can_mount, start};

/// Does the same with a mounted volume and with one that is closed; `$edit` changes what is in the volume.
pub(crate) fn both_ways(body: impl Fn(&Bench, &dyn Fn(&dyn Fn(&Path)))) {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    body(&bench, &|edit| edit(&bench.path("mnt")));
    bench.run(&["umount", "db"]).succeeds();
    sound(&bench, "db");
    let bench = Bench::with_volume();
    body(&bench, &|edit| {
        bench.run(&["mount", "db", "mnt"]).succeeds();
        edit(&bench.path("mnt"));
        bench.run(&["umount", "mnt"]).succeeds();
    });
    sound(&bench, "db");
}

/// The volume opens, and its tables keep their invariants.
#[track_caller]
fn sound(bench: &Bench, volume: &str) {
    let opened = Volume::open(&bench.volume_dir(volume)).unwrap();
    assert_eq!(opened.audit().unwrap(), [""; 0]);
    opened.close().unwrap();
}

/// The files of a volume, mounted for the look.
fn content(bench: &Bench, volume: &str) -> BTreeMap<String, String> {
    let at = bench.text(&format!("look-{volume}"));
    bench.run(&["mount", "--create", volume, &at]).succeeds();
    let files = fs::read_dir(&at).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    });
    let files = files.collect();
    bench.run(&["umount", &at]).succeeds();
    files
}

fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn snapshots_are_taken_listed_held_and_removed() {
    both_ways(|bench, edit| {
        edit(&|at| fs::write(at.join("a"), "one").unwrap());
        let named = bench.run(&["snapshot", "db@first one", "--label", "a note"]);
        assert_eq!(named.succeeds().out, "db@first one\n");
        let unnamed = bench.run(&["snapshot", "db"]).succeeds().out;
        assert!(unnamed.starts_with("db@20"), "{unnamed}");
        let list = bench.run(&["snapshot", "ls", "db"]).succeeds().out;
        assert!(list.starts_with("NAME"), "{list}");
        let template = "{{.Name}} {{.Held}} {{.Label}} {{.Referenced}} {{.Unique}}";
        let list = bench.run(&["snapshot", "ls", "db", "--format", template]);
        let list = list.succeeds().out;
        assert!(list.starts_with("first one false a note 3 0\n"), "{list}");
        bench
            .run(&["snapshot", "db@first one"])
            .fails(4, &["\"first one\"", "exists already"]);
        bench.run(&["snapshot", "hold", "db@first one"]).succeeds();
        bench
            .run(&["snapshot", "rm", "db@first one"])
            .fails(5, &["is held", "cask snapshot release db@first one"]);
        bench
            .run(&["snapshot", "release", "db@first one"])
            .succeeds();
        let gone = bench.run(&["snapshot", "rm", "db@first one", unnamed.trim_end()]);
        assert_eq!(gone.succeeds().out, format!("db@first one\n{unnamed}"));
        assert_eq!(
            bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
            ""
        );
    });
}

#[test]
fn what_only_a_snapshot_holds_is_counted_and_comes_back() {
    both_ways(|bench, edit| {
        let (old, new) = ("o".repeat(100_000), "n".repeat(50_000));
        edit(&|at| fs::write(at.join("a"), &old).unwrap());
        bench.run(&["snapshot", "db@s1"]).succeeds();
        bench.run(&["snapshot", "db@s2"]).succeeds();
        edit(&|at| fs::write(at.join("a"), &new).unwrap());
        bench.run(&["snapshot", "db@s3"]).succeeds();
        let measured = |bench: &Bench| {
            let format = "{{.Name}} {{.Referenced}} {{.Unique}}";
            bench
                .run(&["snapshot", "ls", "db", "--format", format])
                .succeeds()
                .out
        };
        assert_eq!(measured(bench), "s1 100000 0\ns2 100000 0\ns3 50000 0\n");
        bench.run(&["snapshot", "rm", "db@s1"]).succeeds();
        assert_eq!(measured(bench), "s2 100000 100000\ns3 50000 0\n");
    });
}

#[test]
fn pruning_keeps_what_the_rules_say() {
    let bench = Bench::with_volume();
    for name in ["1", "2", "3", "4"] {
        bench.run(&["snapshot", &format!("db@{name}")]).succeeds();
    }
    bench.run(&["snapshot", "hold", "db@1"]).succeeds();
    let prune = ["snapshot", "prune", "db", "--keep-last", "2"];
    let dry = bench.run(&[&prune[..], &["--dry-run"]].concat()).succeeds();
    assert_eq!(dry.out, "db@2\n");
    assert_eq!(bench.run(&prune).succeeds().out, "db@2\n");
    let left = bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out;
    assert_eq!(left, "1\n3\n4\n");
    bench
        .run(&["snapshot", "prune", "db"])
        .fails(2, &["--keep"]);
    bench
        .run(&["snapshot", "prune", "db", "--keep-daily", "0"])
        .fails(2, &["would keep no snapshot"]);
}

#[test]
fn a_diff_tells_each_kind_of_change() {
    both_ways(|bench, edit| {
        edit(&|at| {
            for name in ["gone", "modified", "old", "mode", "type"] {
                fs::write(at.join(name), "x").unwrap();
            }
        });
        bench.run(&["snapshot", "db@a"]).succeeds();
        edit(&|at| {
            fs::remove_file(at.join("gone")).unwrap();
            fs::write(at.join("modified"), "y").unwrap();
            fs::rename(at.join("old"), at.join("new\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(at.join("mode"), mode).unwrap();
            fs::remove_file(at.join("type")).unwrap();
            fs::create_dir(at.join("type")).unwrap();
            fs::write(at.join("type/added"), "").unwrap();
        });
        let expected = "- gone\nU mode\nM modified\nR old -> new\\n\nT type\n+ type/added\n";
        let to_head = bench.run(&["diff", "db@a"]).succeeds().out;
        assert_eq!(to_head, expected);
        bench.run(&["snapshot", "db@b"]).succeeds();
        assert_eq!(
            bench.run(&["diff", "db@a", "db@b"]).succeeds().out,
            expected
        );
        let json = bench
            .run(&["diff", "--json", "db@a", "db@b"])
            .succeeds()
            .out;
        let renamed = r#"{"change":"renamed","path":"new\n","old_path":"old"}"#;
        assert!(json.lines().any(|line| line == renamed), "{json}");
        bench
            .run(&["diff", "db@b", "db@a"])
            .fails(2, &["is older than", "name the older one first"]);
        bench
            .run(&["diff", "db@a", "db@nope"])
            .fails(3, &["no snapshot \"nope\""]);
    });
}

#[test]
fn a_diff_tells_a_changed_file_by_each_of_its_names() {
    both_ways(|bench, edit| {
        edit(&|at| {
            fs::create_dir(at.join("d")).unwrap();
            for name in ["a", "mode", "gone"] {
                fs::write(at.join(name), "x").unwrap();
                fs::hard_link(at.join(name), at.join("d").join(name)).unwrap();
            }
        });
        bench.run(&["snapshot", "db@a"]).succeeds();
        edit(&|at| {
            fs::write(at.join("d/a"), "other").unwrap();
            fs::hard_link(at.join("a"), at.join("new")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(at.join("mode"), mode).unwrap();
            fs::remove_file(at.join("gone")).unwrap();
            fs::write(at.join("d/gone"), "less").unwrap();
        });
        let told = bench.run(&["diff", "db@a"]).succeeds().out;
        let expected = "M a\nM d/a\nM d/gone\nU d/mode\n- gone\nU mode\n+ new\n";
        assert_eq!(told, expected);
    });
}

#[test]
fn a_clone_is_independent() {
    both_ways(|bench, edit| {
        edit(&|at| fs::write(at.join("a"), "one").unwrap());
        bench.run(&["snapshot", "db@s"]).succeeds();
        edit(&|at| fs::write(at.join("a"), "two").unwrap());
        assert_eq!(bench.run(&["clone", "db@s", "old"]).succeeds().out, "old\n");
        bench.run(&["clone", "db", "now"]).succeeds();
        let dir = bench.text("by-dir");
        bench.run(&["clone", "db", &dir]).succeeds();
        assert_eq!(content(bench, "old"), files(&[("a", "one")]));
        assert_eq!(content(bench, "now"), files(&[("a", "two")]));
        let uuid = |volume: &str| {
            let format = ["inspect", volume, "--format", "{{.Uuid}}"];
            bench.run(&format).succeeds().out
        };
        assert_ne!(uuid("old"), uuid("db"));
        edit(&|at| fs::write(at.join("a"), "three").unwrap());
        assert_eq!(content(bench, "now"), files(&[("a", "two")]));
        for volume in ["old", "now"] {
            sound(bench, volume);
            bench.run(&["rm", "-f", volume]).succeeds();
        }
        bench.run(&["snapshot", "ls", &dir]).succeeds();
        edit(&|at| assert_eq!(fs::read_to_string(at.join("a")).unwrap(), "three"));
    });
}

#[test]
fn a_rollback_can_be_rolled_back() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/a"), "one").unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    fs::write(bench.path("mnt/a"), "two").unwrap();
    let user = start(
        std::process::Command::new("sleep")
            .arg("1000")
            .current_dir(bench.path("mnt")),
    );
    let process = format!("process {} (sleep)", user.id());
    bench.run(&["rollback", "db@s"]).fails(
        5,
        &["mounted at", &bench.text("mnt"), &process, "cask umount db"],
    );
    drop(user);
    let other = bench.other_namespace();
    bench.run(&["umount", "--lazy", "db"]).succeeds();
    let holder = format!("process {} (sleep)", other.id());
    bench
        .run(&["rollback", "db@s"])
        .fails(5, &["another mount namespace", &holder]);
    drop(other);
    bench.wait_until_closed("db");
    let safety = bench.run(&["rollback", "db@s"]).succeeds().out;
    assert!(safety.starts_with("db@before-rollback-20"), "{safety}");
    assert_eq!(content(&bench, "db"), files(&[("a", "one")]));
    bench.run(&["rollback", safety.trim_end()]).succeeds();
    assert_eq!(content(&bench, "db"), files(&[("a", "two")]));
    sound(&bench, "db");
}

#[test]
fn snapshots_that_do_not_exist_and_names_that_are_none() {
    both_ways(|bench, _| {
        bench.run(&["sync", "db"]).succeeds();
        let before = bench.inventory();
        for arguments in [
            &["snapshot", "rm", "db@nope"][..],
            &["snapshot", "hold", "db@nope"],
            &["snapshot", "release", "db@nope"],
            &["diff", "db@nope"],
            &["clone", "db@nope", "new"],
        ] {
            bench.run(arguments).fails(
                3,
                &[
                    "no snapshot \"nope\" of volume \"db\"",
                    "cask snapshot ls db",
                ],
            );
        }
        let long = format!("db@{}", "x".repeat(256));
        for name in ["db@", "db@.", "db@..", "db@a\nb", &long, "@s"] {
            bench.run(&["snapshot", name]).fails(2, &["name"]);
            bench.run(&["rollback", name]).fails(2, &["name"]);
        }
        bench.run(&["rollback", "db"]).fails(2, &["NAME@SNAP"]);
        bench.run(&["snapshot"]).fails(2, &["NAME[@SNAP]"]);
        bench
            .run(&["snapshot", "nope@s"])
            .fails(3, &["no volume \"nope\""]);
        bench
            .run(&["clone", "db", "db"])
            .fails(4, &["exists already"]);
        bench.run(&["create", "other"]).succeeds();
        bench
            .run(&["diff", "db@a", "other@b"])
            .fails(2, &["not the same volume"]);
        bench.run(&["rm", "other"]).succeeds();
        assert_eq!(bench.inventory(), before);
    });
    let bench = Bench::with_volume();
    bench
        .run(&["rollback", "db@nope"])
        .fails(3, &["no snapshot \"nope\" of volume \"db\""]);
}
