//! `cask cp`: out of a volume or a snapshot, mounted or not.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::snapshots::both_ways;
use crate::support::{Bench, can_mount, run};

/// Something of everything.
pub(crate) fn fill(at: &Path) {
    let tree = at.join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "text").unwrap();
    fs::hard_link(tree.join("file"), tree.join("again")).unwrap();
    symlink("no such", tree.join("link")).unwrap();
    let sparse = File::create(tree.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 9 << 20).unwrap();
    sparse.set_len(12 << 20).unwrap();
    let script = r#"cd "$1"
        mkfifo fifo; mknod device c 1 3; head -c 3000000 /dev/urandom > big
        chown 1234:5678 file; chmod 4751 big; chown -h 12:34 link
        setfattr -n user.note -v text file; setfattr -n trusted.x -v y file
        setfacl -m u:1234:rw big; mkdir dir; setfacl -d -m u:1234:rwx dir; echo x > dir/in
        touch -h -d "1965-01-02 03:04:05.678901234" link; touch -d "2100-01-01 00:00:00.000000001" file dir"#;
    run(Command::new("sh").args(["-euc", script, "sh"]).arg(&tree)).succeeds();
}

/// All that is below a directory, as tar and getfattr tell it.
pub(crate) fn description(at: &Path) -> String {
    let script = r#"cd "$1"
        find . | sort | while IFS= read -r path; do
            stat -c '%n %f %u %g %h %s %t %T %y' "$path"; readlink "$path" || true
            getfattr -h -d -m - -e hex "$path" 2>/dev/null || true
        done
        find . -type f | sort | xargs sha256sum"#;
    run(Command::new("bash").args(["-euc", script, "sh"]).arg(at))
        .succeeds()
        .out
}

#[test]
fn a_copy_has_all_that_the_tree_had() {
    both_ways(|bench, edit| {
        let expected = std::cell::RefCell::new(String::new());
        edit(&|at| {
            fill(at);
            *expected.borrow_mut() = description(&at.join("tree"));
        });
        bench.run(&["snapshot", "db@08:00"]).succeeds();
        bench.run(&["cp", "db:/tree", "head"]).succeeds();
        edit(&|at| fs::remove_dir_all(at.join("tree")).unwrap());
        bench.run(&["cp", "db@08:00:/tree", "copy"]).succeeds();
        for copy in ["head", "copy"] {
            assert_eq!(description(&bench.path(copy)), *expected.borrow());
            let sparse = bench.path(copy).join("sparse").metadata().unwrap();
            assert!(sparse.blocks() * 512 < 1 << 20, "holes were filled");
            fs::remove_dir_all(bench.path(copy)).unwrap();
        }
        fs::create_dir_all(bench.path("into")).unwrap();
        bench.run(&["cp", "db@08:00:/tree/file", "into"]).succeeds();
        assert_eq!(fs::read_to_string(bench.path("into/file")).unwrap(), "text");
        bench.run(&["cp", "db@08:00:/", "into"]).succeeds();
        assert!(bench.path("into/db/tree/dir/in").exists());
        fs::remove_dir_all(bench.path("into")).unwrap();
        bench.run(&["snapshot", "rm", "db@08:00"]).succeeds();
    });
}

#[test]
fn what_cannot_be_copied_leaves_nothing() {
    both_ways(|bench, edit| {
        edit(&|at| {
            fs::create_dir(at.join("d")).unwrap();
            symlink("d", at.join("l")).unwrap();
        });
        let before = bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out;
        bench
            .run(&["cp", "db@nope:/d", "new"])
            .fails(3, &["no snapshot \"nope\""]);
        bench
            .run(&["cp", "db:/nope", "new"])
            .fails(1, &["no /nope in volume \"db\""]);
        bench
            .run(&["cp", "db:/l/x", "new"])
            .fails(1, &["no /l/x in", "not followed"]);
        bench.run(&["cp", "db:d", "new"]).fails(2, &["NAME:/PATH"]);
        bench
            .run(&["cp", "nope:/d", "new"])
            .fails(3, &["no volume \"nope\""]);
        fs::write(bench.path("there"), "mine").unwrap();
        bench
            .run(&["cp", "db:/d", "there"])
            .fails(4, &["there exists already"]);
        bench
            .run(&["cp", "db:/d", "no/such/place"])
            .fails(1, &["nothing was copied"]);
        assert!(!bench.path("new").exists());
        assert_eq!(
            bench.run(&["snapshot", "ls", "-q", "db"]).succeeds().out,
            before
        );
    });
}

#[test]
fn the_mount_to_copy_from_is_nobody_elses() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/a"), "one").unwrap();
    bench.run(&["snapshot", "db@s"]).succeeds();
    bench.run(&["cp", "db@s:/a", "a"]).succeeds();
    assert_eq!(bench.mounts().len(), 1);
    bench.run(&["umount", "db"]).succeeds();
    bench.wait_until_closed("db");
}
