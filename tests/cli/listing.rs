//! create, ls, inspect, set, rename, rm: what they print and what they do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Bench, can_mount};

#[test]
fn create_prints_the_name_and_rm_the_names_removed() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["create", "a"]).succeeds().out, "a\n");
    assert_eq!(bench.run(&["create", "b"]).succeeds().out, "b\n");
    let mode = |path: &str| fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("root/volumes"), mode("root/volumes/a")),
        (0o700, 0o700)
    );
    assert_eq!(bench.run(&["rm", "a", "b"]).succeeds().out, "a\nb\n");
    assert_eq!(bench.run(&["rm", "-f", "a"]).succeeds().out, "");
    assert_eq!(bench.run(&["ls", "-q"]).succeeds().out, "");
}

#[test]
fn a_directory_serves_as_a_volume_anywhere() {
    let bench = Bench::new();
    let dir = bench.text("far/away");
    fs::create_dir(bench.path("far")).unwrap();
    assert_eq!(
        bench
            .run(&["create", &dir, "--label", "a=b"])
            .succeeds()
            .out,
        format!("{dir}\n")
    );
    let name = bench
        .run(&["inspect", &dir, "--format", "{{.Dir}} {{.Labels.a}}"])
        .succeeds();
    assert_eq!(name.out, format!("{dir} b\n"));
    assert_eq!(bench.run(&["rm", "far/away"]).succeeds().out, "far/away\n");
    assert_eq!(fs::read_dir(bench.path("far")).unwrap().count(), 0);
}

#[test]
fn ls_is_a_table_or_json_lines_or_what_a_template_says() {
    let bench = Bench::new();
    bench
        .run(&["create", "b", "--label", "env=prod", "--label", "x"])
        .fails(2, &["label"]);
    bench
        .run(&["create", "b", "--label", "env=prod", "--label", "x="])
        .succeeds();
    bench.run(&["create", "a"]).succeeds();
    let table = bench.run(&["ls"]).succeeds().out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("NAME   STATUS"), "{table}");
    assert!(lines[1].starts_with("a      unmounted   -"), "{table}");
    assert_eq!(lines.len(), 3);
    let json = bench.run(&["ls", "--format", "json"]).succeeds().out;
    let objects: Vec<Value> = json
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(objects[1]["Name"], "b");
    assert_eq!(objects[1]["Labels"]["env"], "prod");
    assert_eq!(objects[1]["Status"], "unmounted");
    let lines = bench
        .run(&["ls", "--format", "{{.Name}}:{{.Labels.env}}"])
        .succeeds()
        .out;
    assert_eq!(lines, "a:\nb:prod\n");
}

/// As `cask df` says it, and exact in JSON.
#[test]
fn ls_shows_what_a_volume_holds_and_how_long_it_has_been_there() {
    let bench = Bench::new();
    for name in ["db", "empty"] {
        bench.run(&["create", name]).succeeds();
    }
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), vec![7; 3 << 20]).unwrap();
    bench.run(&["import", "full", "tree"]).succeeds();
    let table = bench.run(&["ls"]).succeeds().out;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].ends_with("USED     CREATED"), "{table}");
    for (line, used) in [(1, "0B"), (2, "0B"), (3, "3.0MiB")] {
        assert!(lines[line].contains(&format!("   {used} ")), "{table}");
        assert!(lines[line].ends_with(" ago"), "{table}");
    }
    let of = |arguments: &[&str], name: &str| -> Value {
        let out = bench.run(arguments).succeeds().out;
        let mut objects = out
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        objects.find(|one| one["Name"] == name).unwrap()
    };
    // A volume that was opened takes more than one that was not.
    bench.run(&["df"]).succeeds();
    for name in ["db", "empty", "full"] {
        let listed = of(&["ls", "--format", "json"], name);
        let counted = of(&["df", "--format", "json"], name);
        for field in ["LogicalBytes", "PhysicalBytes"] {
            assert_eq!(listed[field], counted[field], "{name}");
        }
        let created = listed["Created"].as_str().unwrap();
        assert!(created.parse::<jiff::Timestamp>().is_ok(), "{created}");
    }
    // What nobody noted is not made up, and nothing is opened to find out.
    bench.run(&["clone", "full", "copy"]).succeeds();
    let copy = of(&["ls", "--format", "json"], "copy");
    assert_eq!(copy["LogicalBytes"], Value::Null);
    bench.run(&["sync", "copy"]).succeeds();
    bench.run(&["df", "copy"]).succeeds();
    let copy = of(&["ls", "--format", "json"], "copy");
    assert_eq!(copy["LogicalBytes"], 3 << 20);
}

#[test]
fn ls_asks_the_server_of_a_mounted_volume_what_it_holds() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let held = || {
        let out = bench.run(&["ls", "--format", "{{.LogicalBytes}}"]);
        out.succeeds().out
    };
    assert_eq!(held(), "0\n");
    fs::write(bench.path("mnt/file"), vec![1; 100_000]).unwrap();
    assert_eq!(held(), "100000\n");
    bench.run(&["umount", "db"]).succeeds();
    assert_eq!(held(), "100000\n");
}

#[test]
fn filters_must_all_match() {
    let bench = Bench::new();
    bench
        .run(&["create", "web-1", "--label", "env=prod"])
        .succeeds();
    bench
        .run(&["create", "web-2", "--label", "env=test"])
        .succeeds();
    bench
        .run(&["create", "db", "--label", "env=prod"])
        .succeeds();
    let check = |filters: &[&str], expected: &str| {
        let mut arguments = vec!["ls", "-q"];
        filters
            .iter()
            .for_each(|filter| arguments.extend(["--filter", filter]));
        assert_eq!(
            bench.run(&arguments).succeeds().out,
            expected,
            "{filters:?}"
        );
    };
    check(&["name=web"], "web-1\nweb-2\n");
    check(&["label=env=prod"], "db\nweb-1\n");
    check(&["label=env", "name=2"], "web-2\n");
    check(&["label=other"], "");
    check(&["mounted=true"], "");
    check(&["mounted=false", "name=d"], "db\n");
}

#[test]
fn inspect_is_an_array_with_everything() {
    let bench = Bench::with_volume();
    bench
        .run(&["create", "other", "--chunk-size", "64K"])
        .succeeds();
    let text = bench.run(&["inspect", "db", "other"]).succeeds().out;
    let array: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(array[0]["Name"], "db");
    assert_eq!(array[1]["ChunkBytes"], 65536);
    assert_eq!(array[0]["Server"], Value::Null);
    assert_eq!(array[0]["Usage"]["LogicalBytes"], 0);
    assert!(array[0]["Created"].as_str().unwrap().ends_with('Z'));
    bench.run(&["inspect", "db", "nope"]).fails(3, &["nope"]);
}

#[test]
fn labels_can_be_changed_also_while_mounted() {
    let bench = Bench::with_volume();
    let labels = || {
        bench
            .run(&["inspect", "db", "--format", "{{json .Labels}}"])
            .succeeds()
            .out
    };
    bench
        .run(&["set", "db", "label.a=1", "label.b=2=3"])
        .succeeds();
    assert_eq!(labels(), "{\"a\":\"1\",\"b\":\"2=3\"}\n");
    bench.run(&["set", "db", "label.a="]).succeeds();
    assert_eq!(labels(), "{\"b\":\"2=3\"}\n");
    if !can_mount() {
        return;
    }
    bench.run(&["mount", "db", "mnt"]).succeeds();
    bench.run(&["set", "db", "label.c=d"]).succeeds();
    bench.run(&["umount", "db"]).succeeds();
    assert_eq!(labels(), "{\"b\":\"2=3\",\"c\":\"d\"}\n");
}

#[test]
fn rename_moves_everything() {
    let bench = Bench::with_volume();
    let uuid = |name: &str| {
        bench
            .run(&["inspect", name, "--format", "{{.Uuid}}"])
            .succeeds()
            .out
    };
    let before = uuid("db");
    bench.run(&["rename", "db", "new"]).succeeds();
    assert_eq!(uuid("new"), before);
    assert_eq!(bench.run(&["ls", "-q"]).succeeds().out, "new\n");
}

#[test]
fn what_a_crash_left_is_cleared_away() {
    let bench = Bench::with_volume();
    let left = |prefix: &str| bench.volume_dir(&format!("{prefix}{}", uuid::Uuid::new_v4()));
    let (fresh, trash) = (left(".new-"), left(".trash-"));
    fs::create_dir(&fresh).unwrap();
    fs::create_dir_all(trash.join("segments")).unwrap();
    assert_eq!(bench.run(&["ls", "-q"]).succeeds().out, "db\n");
    bench.run(&["create", "other"]).succeeds();
    assert!(!fresh.exists() && !trash.exists());
}

#[test]
fn the_root_is_found_by_option_then_environment() {
    let bench = Bench::with_volume();
    let listed = bench
        .run(&["--root", &bench.text("elsewhere"), "ls", "-q"])
        .succeeds();
    assert_eq!(listed.out, "");
    let listed = bench.run(&["ls", "-q", "--root", "root"]).succeeds();
    assert_eq!(listed.out, "db\n");
    let mut command = bench.command(&["create", "mine"]);
    command
        .env_remove("CASK_ROOT")
        .env("XDG_DATA_HOME", bench.path("data"));
    if !rustix::process::geteuid().is_root() {
        crate::support::run(&mut command).succeeds();
        assert!(bench.path("data/cask/volumes/mine").is_dir());
    }
}

#[test]
fn completions_know_the_commands() {
    let script = Bench::new().run(&["completions", "bash"]).succeeds().out;
    assert!(script.contains("umount") && script.contains("--read-only"));
}
