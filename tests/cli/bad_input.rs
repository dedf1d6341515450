//! Everything that can be wrong with a command: the exit code, a message that names the object, the cause
//! and the next step, and nothing changed.

use std::fs;

use crate::support::{Bench, CASK, can_mount, run};

/// Runs a command that must fail with `code` and these words, and must change nothing.
#[track_caller]
fn refused(bench: &Bench, arguments: &[&str], code: i32, words: &[&str]) {
    let before = (bench.inventory(), bench.mounted());
    bench.run(arguments).fails(code, words);
    assert_eq!(
        (bench.inventory(), bench.mounted()),
        before,
        "{arguments:?} changed something"
    );
}

#[test]
fn commands_that_make_no_sense() {
    let bench = Bench::with_volume();
    for arguments in [
        &["frobnicate"][..],
        &["create"],
        &["create", "db2", "--chunk-size", "3K"],
        &["create", "db2", "--mode", "999"],
        &["create", "db2", "--label", "novalue"],
        &["ls", "--filter", "size=3"],
        &["ls", "--format", "csv"],
        &["mount", "db"],
        &["set", "db"],
        &["rm"],
        &["create", "db2", "--size", "0"],
        &["create", "db2", "--size", "1.5G"],
        &["create", "db2", "--inodes", "0"],
        &["create", "db2", "--inodes", "many"],
        &["create", "db2", "--compress", "gzip"],
        &["resize", "db"],
        &["resize", "db", "0"],
        &["resize", "db", "-1"],
        &["resize", "db", "10X"],
        &["resize", "db", "9E"],
        &["resize", "db", "--inodes", "0"],
        &["resize", "db", "--inodes", "1K"],
        &["gc"],
        &["stats"],
        &["df", "--format", "csv"],
        &["prune", "db"],
    ] {
        refused(&bench, arguments, 2, &["error:"]);
    }
}

#[test]
fn bad_names() {
    let bench = Bench::with_volume();
    for name in [".hidden", "a b", "a@b", "", &"a".repeat(201)] {
        refused(&bench, &["create", name], 2, &["volume name"]);
    }
    for name in [".hidden", "a b", "a b@s", "", &"a".repeat(201)] {
        refused(&bench, &["mount", name, "mnt"], 2, &["volume name"]);
    }
    refused(&bench, &["rename", "db", "a/b"], 2, &["volume name", "a/b"]);
    refused(
        &bench,
        &["umount", "a b"],
        2,
        &["volume name", "name a mountpoint or a volume"],
    );
}

#[test]
fn volumes_that_do_not_exist() {
    let bench = Bench::with_volume();
    let no_volume = ["cask: no volume \"nope\"", "cask create nope"];
    for arguments in [
        &["inspect", "nope"][..],
        &["rm", "nope"],
        &["rename", "nope", "other"],
        &["set", "nope", "label.a=b"],
        &["sync", "nope"],
        &["umount", "nope"],
        &["gc", "nope"],
        &["resize", "nope", "1G"],
        &["df", "nope"],
        &["stats", "nope"],
    ] {
        refused(&bench, arguments, 3, &no_volume);
    }
    let hints = ["cask: no volume \"nope\"", "`cask create nope`", "--create"];
    refused(&bench, &["mount", "nope", "mnt"], 3, &hints);
    refused(
        &bench,
        &["inspect", "./nope"],
        3,
        &["./nope", "cask create ./nope"],
    );
    refused(&bench, &["umount", "./nope"], 3, &["./nope", "cask ls"]);
}

#[test]
fn names_that_are_taken() {
    let bench = Bench::with_volume();
    bench.run(&["create", "other"]).succeeds();
    let taken = ["volume \"db\" exists already", "another name"];
    refused(&bench, &["create", "db"], 4, &taken);
    refused(&bench, &["rename", "other", "db"], 4, &taken);
    fs::create_dir_all(bench.path("full/of")).unwrap();
    refused(
        &bench,
        &["create", "./full"],
        4,
        &["./full", "exists already"],
    );
}

#[test]
fn mountpoints_that_are_none() {
    let bench = Bench::with_volume();
    let missing = [
        "volume \"db\"",
        "missing does not exist",
        "mkdir missing",
        "--create",
    ];
    refused(&bench, &["mount", "db", "missing"], 1, &missing);
    fs::File::create(bench.path("file")).unwrap();
    let no_directory = [
        "volume \"db\"",
        "file is not a directory",
        "name a directory",
    ];
    refused(&bench, &["mount", "db", "file"], 1, &no_directory);
    refused(
        &bench,
        &["mount", "--create", "new", "file"],
        1,
        &["volume \"new\"", "not a directory"],
    );
    refused(
        &bench,
        &["mount", "--create", "new", "file/below"],
        1,
        &["file/below"],
    );
    let unmounted = ["mnt is neither a cask mount nor a volume", "cask ls"];
    refused(&bench, &["umount", "./mnt"], 1, &unmounted);
    refused(
        &bench,
        &["umount", "db"],
        1,
        &["volume \"db\" is not mounted"],
    );
    refused(
        &bench,
        &["mount", "db", "mnt", "-o", "remount,ro"],
        1,
        &["mnt is not a cask mount"],
    );
}

#[test]
fn mount_options_nobody_knows() {
    let bench = Bench::with_volume();
    let words = ["unknown mount option \"compress=9\"", "cask mount --help"];
    refused(
        &bench,
        &["mount", "db", "mnt", "-o", "ro,compress=9"],
        2,
        &words,
    );
    let setting = ["unknown setting \"size=3\"", "label.KEY=VALUE"];
    refused(&bench, &["set", "db", "size=3"], 2, &setting);
    for bad in ["compress=gzip", "compress=", "compress=zstd:20"] {
        let words = ["cannot set", bad, "none, lz4, zstd"];
        refused(&bench, &["set", "db", bad], 2, &words);
    }
    let field = ["no field \"Nmae\"", "Name"];
    refused(&bench, &["ls", "--format", "{{.Nmae}}"], 2, &field);
}

#[test]
fn directories_that_are_no_volumes() {
    let bench = Bench::with_volume();
    fs::create_dir(bench.path("plain")).unwrap();
    edit(&bench.path("plain/precious"), "keep me");
    for arguments in [
        &["mount", "./plain", "mnt"][..],
        &["inspect", "./plain"],
        &["rm", "./plain"],
        &["sync", "./plain"],
        &["set", "./plain", "label.a=b"],
        &["gc", "./plain"],
        &["resize", "./plain", "1G"],
        &["df", "./plain"],
    ] {
        refused(
            &bench,
            arguments,
            3,
            &["./plain", "volume.json", "`cask create"],
        );
    }
}

#[test]
fn configurations_that_cannot_be_used() {
    let bench = Bench::with_volume();
    let config = bench.volume_dir("db").join("volume.json");
    let good = fs::read_to_string(&config).unwrap();
    edit(&config, &good.replace("\"format\": 5", "\"format\": 99"));
    refused(
        &bench,
        &["mount", "db", "mnt"],
        1,
        &["volume \"db\"", "format 99", "newer cask"],
    );
    refused(
        &bench,
        &["inspect", "db"],
        1,
        &["volume \"db\"", "format 99", "newer cask"],
    );
    edit(&config, "{ not json");
    refused(
        &bench,
        &["mount", "db", "mnt"],
        3,
        &["volume \"db\"", "cannot be understood"],
    );
    let listed = bench
        .run(&["ls", "--format", "{{.Status}}: {{.Error}}"])
        .succeeds();
    assert!(listed.out.starts_with("broken: ") && listed.out.contains("volume.json"));
    let may_hold = [
        "volume \"db\" may hold data",
        "cannot be understood",
        "use -f",
    ];
    refused(&bench, &["rm", "db"], 1, &may_hold);
    bench.run(&["rm", "-f", "db"]).succeeds();
}

#[test]
fn volumes_that_are_open_elsewhere() {
    let bench = Bench::with_volume();
    let lock = cask::volume::store::DirLock::take(&bench.volume_dir("db")).unwrap();
    let in_use = ["volume \"db\" is open in another process", "wait for it"];
    refused(&bench, &["rm", "db"], 5, &in_use);
    refused(&bench, &["rename", "db", "other"], 5, &in_use);
    refused(&bench, &["sync", "db"], 5, &in_use);
    let inspected = bench
        .run(&["inspect", "db", "--format", "{{json .Usage}}"])
        .succeeds();
    assert_eq!(inspected.out, "null\n");
    drop(lock);
    bench.run(&["rm", "db"]).succeeds();
}

#[test]
fn volumes_to_mount_that_are_open_elsewhere() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let lock = cask::volume::store::DirLock::take(&bench.volume_dir("db")).unwrap();
    let in_use = ["volume \"db\" is open in another process", "wait for it"];
    refused(&bench, &["mount", "db", "mnt"], 5, &in_use);
    refused(&bench, &["mount", "db", "mnt", "--foreground"], 5, &in_use);
    drop(lock);
}

#[test]
fn without_the_fuse_device() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let before = bench.inventory();
    let words = ["cannot open /dev/fuse", "--device /dev/fuse"];
    for hide in [
        "mount --bind /dev/null /dev/fuse",
        "mount -t tmpfs none /dev",
    ] {
        for mount in [
            "mount db mnt",
            "mount --create new newmnt",
            "mount db mnt --foreground",
        ] {
            bench
                .unshared(&format!("{hide} && exec $CASK {mount}"))
                .fails(1, &words);
        }
    }
    assert_eq!(bench.inventory(), before);
}

#[test]
fn without_permission() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let before = bench.inventory();
    for arguments in [
        &["mount", "db", "mnt"][..],
        &["inspect", "db"],
        &["rm", "db"],
        &["ls"],
    ] {
        let mut command = crate::rootless::as_nobody(CASK);
        command
            .arg("--root")
            .arg(bench.path("root"))
            .args(arguments);
        run(&mut command).fails(1, &["Permission denied", "owner"]);
    }
    assert_eq!(bench.inventory(), before);
}

#[test]
fn places_that_are_mounts_already() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    bench.run(&["create", "other"]).succeeds();
    let there = ["volume \"db\" is already mounted at", "another mountpoint"];
    refused(&bench, &["mount", "db", "mnt"], 5, &there);
    let occupied = ["is already a cask mount, of \"db\"", "cask umount"];
    refused(&bench, &["mount", "other", "mnt"], 5, &occupied);
    let served = ["volume \"db\" is mounted already, served by process"];
    refused(
        &bench,
        &["mount", "db", "missing", "--foreground"],
        5,
        &served,
    );
    let mounted = ["volume \"db\" is mounted at", "unmount it first"];
    refused(&bench, &["rm", "db"], 5, &mounted);
    refused(&bench, &["rm", "-f", "db"], 5, &mounted);
    refused(&bench, &["rename", "db", "new"], 5, &mounted);
    refused(&bench, &["create", "db"], 4, &["exists already"]);
}

fn edit(path: &std::path::Path, text: &str) {
    use std::io::Write;
    fs::File::create(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

#[test]
fn damage_is_listed_and_has_an_exit_code_of_its_own() {
    let bench = Bench::with_volume();
    assert_eq!(
        bench.run(&["check", "db"]).succeeds().out,
        "db: no damage in 0 chunks\n"
    );
    bench.run(&["check", "-q", "--read-data", "db"]).succeeds();
    fs::create_dir(bench.path("tree")).unwrap();
    // No terminal obeys what a program in a container calls a file.
    edit(
        &bench.path("tree/precious\u{1b}[2J"),
        &"keep me ".repeat(10_000),
    );
    bench.run(&["import", "copy", "tree"]).succeeds();
    let whole = bench.run(&["check", "--read-data", "copy"]).succeeds().out;
    assert!(
        whole.contains("no damage in 1 chunks, 78.1KiB read at "),
        "{whole}"
    );
    let segments = bench.volume_dir("copy").join("segments");
    for segment in fs::read_dir(segments).unwrap() {
        let file = fs::File::options()
            .write(true)
            .open(segment.unwrap().path())
            .unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"?", 5000).unwrap();
    }
    let damaged = bench.run(&["check", "--read-data", "copy"]);
    assert_eq!(damaged.code, 6, "{damaged:?}");
    assert!(
        damaged
            .out
            .contains("data: precious\\u{1b}[2J: bytes 0-79999 cannot be read (now)")
    );
    assert!(damaged.err.contains("volume \"copy\" is damaged") && damaged.err.contains("backup"));
    assert!(
        damaged.err.contains("`cask check --repair copy`"),
        "{damaged:?}"
    );
    repaired(&bench);
    refused(&bench, &["check", "nowhere"], 3, &["no volume \"nowhere\""]);
}

/// `copy` has a page that is damaged.
fn repaired(bench: &Bench) {
    let done = bench.run(&["check", "--repair", "copy"]).succeeds().out;
    let lost = "data: precious\\u{1b}[2J: bytes 4096-8191 are lost: reading them is an error (now)";
    assert!(done.contains(lost), "{done}");
    assert!(
        done.ends_with("copy: repaired, in 1 changes; bytes of 1 files are lost\n"),
        "{done}"
    );
    let kept = done
        .lines()
        .find_map(|line| line.strip_prefix("the database as it was: "));
    assert!(fs::metadata(kept.unwrap()).is_ok());
    let sound = bench.run(&["check", "--read-data", "copy"]).succeeds().out;
    assert!(
        sound.contains("data: precious\\u{1b}[2J: bytes 4096-8191 are lost (now)"),
        "{sound}"
    );
    assert!(sound.contains("no damage in 3 chunks"), "{sound}");
    assert_eq!(
        bench.run(&["check", "--repair", "copy"]).succeeds().out,
        "copy: nothing to repair; bytes of 1 files are lost\n"
    );
    let exported = bench.run(&["export", "copy", "-o", &bench.text("copy.tar")]);
    assert_eq!(exported.code, 1, "{exported:?}");
    assert!(
        exported
            .err
            .contains("precious\\u{1b}[2J: bytes 0-79999: damaged:"),
        "{exported:?}"
    );
    let copied = bench.run(&["cp", "copy:/precious\u{1b}[2J", &bench.text("out")]);
    assert!(
        copied.code == 1 && copied.err.contains("bytes 0-79999"),
        "{copied:?}"
    );
}

#[test]
fn names_are_told_on_one_line_that_no_terminal_obeys() {
    let bench = Bench::with_volume();
    let name = "a\nb\u{1b}[31m";
    let told = "a\\nb\\u{1b}[31m";
    let (dir, entry, option) = (
        format!("./{name}"),
        format!("db:/{name}"),
        format!("--{name}"),
    );
    for (arguments, code) in [
        (&["inspect", &dir][..], 3),
        (&["import", "new", name], 1),
        (&["restore", &format!("db@{name}")], 2),
        (&["mount", name, "mnt"], 2),
        (&["df", &option], 2),
        (&[name], 2),
    ] {
        refused(&bench, arguments, code, &[told]);
        let said = bench.run(arguments).err;
        assert!(!said.contains(name) && !said.contains('\u{1b}'), "{said}");
    }
    // Whoever looks into a volume opens it.
    let said = bench.run(&["cp", &entry, "out"]).fails(1, &[told]).err;
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_configuration_that_is_damaged_is_damage_and_written_anew() {
    let bench = Bench::with_volume();
    bench.run(&["set", "db", "label.env=prod"]);
    let path = bench.volume_dir("db").join("volume.json");
    let text = fs::read_to_string(&path).unwrap();
    edit(&path, &text.replacen('{', "[", 1));
    refused(
        &bench,
        &["check", "db"],
        6,
        &["is damaged", "`cask check --repair db`"],
    );
    let done = bench.run(&["check", "--repair", "db"]).succeeds().out;
    assert!(
        done.contains("it is written anew, without a loss"),
        "{done}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    bench.run(&["check", "db"]).succeeds();
}

#[test]
fn a_volume_in_use_is_not_repaired() {
    let bench = Bench::with_mount();
    let words = ["is mounted at", "unmount it everywhere first"];
    refused(&bench, &["check", "--repair", "db"], 5, &words);
    bench.run(&["umount", "db"]).succeeds();
    bench.run(&["check", "--repair", "db"]).succeeds();
}
