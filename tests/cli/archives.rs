//! `cask export` and `cask import`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use crate::copying_out::{description, fill};
use crate::snapshots::both_ways;
use crate::support::{Bench, Running, can_mount, sh, wait_for};

/// What a volume holds, mounted for the look.
fn described(bench: &Bench, volume: &str) -> String {
    let at = bench.text(&format!("look-{volume}"));
    bench.run(&["mount", "--create", volume, &at]).succeeds();
    let text = description(at.as_ref());
    let sparse = fs::metadata(format!("{at}/tree/sparse"));
    assert!(
        sparse.unwrap().blocks() * 512 < 1 << 20,
        "holes were filled"
    );
    bench.run(&["umount", &at]).succeeds();
    text
}

#[test]
fn what_is_exported_and_imported_is_the_same() {
    both_ways(|bench, edit| {
        let expected = std::cell::RefCell::new(String::new());
        edit(&|at| {
            fill(at);
            fs::create_dir_all(at.join("n".repeat(120)).join("\u{e4}".repeat(90))).unwrap();
            let script = r#"cd "$1"; chmod 1777 .; chown 7:8 .; touch -d 2001-01-01 .
                setfattr -n user.raw -v 0x0a000a3d0a tree/file"#;
            sh(bench, script, &[at]);
            *expected.borrow_mut() = description(at);
        });
        bench.run(&["snapshot", "db@s"]).succeeds();
        bench.run(&["export", "db", "-o", "head.tar"]).succeeds();
        edit(&|at| fs::remove_dir_all(at.join("tree")).unwrap());
        bench.run(&["export", "db@s", "-o", "snap.tar"]).succeeds();
        assert!(
            bench.path("snap.tar").metadata().unwrap().len() < 10 << 20,
            "holes were stored"
        );
        for archive in ["head.tar", "snap.tar"] {
            assert_eq!(
                bench.run(&["import", "new", archive]).succeeds().out,
                "new\n"
            );
            assert_eq!(described(bench, "new"), *expected.borrow());
            bench.run(&["rm", "-f", "new"]).succeeds();
        }
        // GNU tar reads what we write, and we read what it writes.
        let script = r#"mkdir out; tar --xattrs --xattrs-include='*' --numeric-owner -xpf snap.tar -C out
            tar --xattrs --xattrs-include='*' --numeric-owner --format=posix -S -cf gnu.tar -C out ."#;
        sh(bench, script, &[]);
        assert_eq!(description(&bench.path("out")), *expected.borrow());
        sh(
            bench,
            r#""$CASK" import gnu - < gnu.tar; "$CASK" import dir out"#,
            &[],
        );
        for volume in ["gnu", "dir"] {
            assert_eq!(described(bench, volume), *expected.borrow(), "{volume}");
            bench.run(&["rm", "-f", volume]).succeeds();
        }
        let piped = r#""$CASK" export db@s | "$CASK" import piped -"#;
        sh(bench, piped, &[]);
        assert_eq!(described(bench, "piped"), *expected.borrow());
        sh(bench, "rm -r out *.tar", &[]);
    });
}

#[test]
fn acls_in_the_form_of_text_are_understood() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    let script = r#"mkdir -p d/sub; echo x > d/f; echo y > d/plain; setfacl -m u:1234:rw,u:daemon:r,g:daemon:x d/f
        setfacl -d -m u:1234:rwx d/sub; ln -s f d/link
        tar --acls --format=posix -cf text.tar -C d ."#;
    sh(&bench, script, &[]);
    bench.run(&["import", "new", "text.tar"]).succeeds();
    bench.run(&["mount", "--create", "new", "mnt"]).succeeds();
    // In one order: that of a directory's entries is each filesystem's own.
    let both = r#"acls() { (cd "$1"; find . | LC_ALL=C sort | getfacl -n - 2>&1); }; diff <(acls "$1") <(acls "$2")
        diff <(cd "$1"; getfattr -R -d -m - -e hex . | sort) <(cd "$2"; getfattr -R -d -m - -e hex . |
            grep -v trusted.cask | sort)"#;
    sh(&bench, both, &[&bench.path("d"), &bench.path("mnt")]);
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let bench = Bench::new();
    let script = r#"head -c 30000 /dev/zero > f; tar --format=gnu -M -L 20 -cf one.tar -f two.tar f
        truncate -s 0 f; python3 - <<'END'
import tarfile
archive = tarfile.open("stranger.tar", "w", format=tarfile.PAX_FORMAT)
info = tarfile.TarInfo("f")
info.pax_headers = {"SCHILY.acl.access": "user::rwx\nuser:stranger:r--\ngroup::r--\nmask::r--\nother::r--"}
archive.addfile(info)
archive.close()
END"#;
    sh(&bench, script, &[]);
    for (archive, words) in [
        (
            "two.tar",
            ["goes on from another archive", "put them together"],
        ),
        ("stranger.tar", ["stranger", "/etc/passwd"]),
    ] {
        bench
            .run(&["import", "new", archive])
            .fails(1, &["no volume was made", words[0], words[1]]);
        assert!(!bench.volume_dir("new").exists());
    }
}

#[test]
fn what_cannot_be_imported_leaves_nothing() {
    let bench = Bench::with_volume();
    let script = r#"
        head -c 5000 /dev/urandom > noise
        mkdir d; head -c 300000 /dev/urandom > d/f; mkfifo d/p; tar -cf whole.tar d
        head -c 200000 whole.tar > cut.tar
        tar -P --transform 's,^d,../d,' -cf up.tar d
        gzip -k whole.tar"#;
    sh(&bench, script, &[]);
    for archive in ["noise", "cut.tar", "up.tar", "whole.tar.gz"] {
        let before = bench.inventory();
        bench
            .run(&["import", "new", archive])
            .fails(1, &["cannot import", archive, "no volume was made"]);
        assert_eq!(bench.inventory(), before);
    }
    bench
        .run(&["import", "new", "nope"])
        .fails(1, &["cannot read nope"]);
    bench
        .run(&["import", "db", "whole.tar"])
        .fails(4, &["exists already"]);
    bench
        .run(&["import", "a b", "whole.tar"])
        .fails(2, &["volume name"]);
    bench
        .run(&["export", "nope"])
        .fails(3, &["no volume \"nope\""]);
    bench
        .run(&["export", "db@nope"])
        .fails(3, &["no snapshot \"nope\""]);
    bench
        .run(&["export", "db", "-o", "noise"])
        .fails(4, &["noise exists already"]);
}

#[test]
fn a_sealed_volume_is_never_changed() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    sh(&bench, "mkdir d; echo text > d/file", &[]);
    bench.run(&["import", "--seal", "new", "d"]).succeeds();
    bench.run(&["mount", "--create", "new", "mnt"]).succeeds();
    let refused = fs::write(bench.path("mnt/file"), "other").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    bench
        .run(&["mount", "--create", "-o", "rw", "new", "mnt2"])
        .succeeds();
    assert!(fs::create_dir(bench.path("mnt2/dir")).is_err());
    // Root makes the mount read-write; the volume itself refuses.
    bench
        .run(&["mount", "-o", "remount,rw", "new", "mnt"])
        .succeeds();
    let refused = fs::create_dir(bench.path("mnt/dir")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    bench.run(&["snapshot", "new@s"]).fails(1, &["read-only"]);
    assert_eq!(
        fs::read_to_string(bench.path("mnt/file")).unwrap(),
        "text\n"
    );
    bench.run(&["umount", "new"]).succeeds();
    bench.run(&["clone", "new", "open"]).succeeds();
    bench.run(&["mount", "--create", "open", "mnt"]).succeeds();
    fs::write(bench.path("mnt/file"), "other").unwrap();
}

#[test]
fn an_import_that_waits_for_its_input_is_in_nobodys_way() {
    let bench = Bench::with_volume();
    let mut import = bench.command(&["import", "slow", "-"]);
    let import = import.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut import = Running(import.spawn().unwrap());
    let is_being_made = || {
        let entries = fs::read_dir(bench.path("root/volumes")).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name());
        names.any(|name| name.to_string_lossy().starts_with(".new-"))
    };
    wait_for("the import has begun", is_being_made);
    bench.run(&["create", "other"]).succeeds();
    bench.run(&["rename", "other", "again"]).succeeds();
    bench.run(&["clone", "db", "copy"]).succeeds();
    bench.run(&["rm", "-f", "copy"]).succeeds();
    bench.run(&["prune", "-f"]).succeeds();
    assert!(is_being_made(), "somebody cleared it away");
    bench.run(&["create", "slow"]).succeeds();
    import
        .0
        .stdin
        .take()
        .unwrap()
        .write_all(&[0; 10240])
        .unwrap();
    assert_eq!(import.0.wait().unwrap().code(), Some(4));
    assert!(!is_being_made());
    // One that is killed leaves what the next command clears away.
    let mut import = bench.command(&["import", "dies", "-"]);
    let import = import.stdin(Stdio::piped()).stdout(Stdio::null());
    let import = Running(import.spawn().unwrap());
    wait_for("the import has begun", is_being_made);
    drop(import);
    bench.run(&["create", "last"]).succeeds();
    let entries = fs::read_dir(bench.path("root/volumes")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".lock", "again", "db", "last", "slow"]);
}
