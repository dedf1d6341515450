//! `docs/examples/restore.py`: what it restores without cask is what `cask export` gives.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::engines::{Endpoint, Engine, Kind};
use crate::support::can_mount;

const RESTORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/restore.py");

/// Something of everything: all kinds of inodes but sockets, which no tar archive holds; more rows than a block has;
/// and more bytes than are fetched at once, which do not shrink.
const FILL: &str = r#"
    mkdir -p sub many "$(printf n%.0s $(seq 120))/$(printf 'ä%.0s' $(seq 90))"
    printf text > file; ln file sub/again; ln file third; : > empty
    ln -s 'no such' link; ln -s "$(printf t%.0s $(seq 300))" long; ln link sub/link
    mkfifo fifo; mknod char c 1 3; mknod block b 259 1048575
    head -c 9000000 /dev/urandom > big; head -c 3000000 /dev/zero | tr '\0' a > packed; cat big big > twice
    truncate -s 12M hole; printf end | dd of=hole bs=1 seek=9437189 conv=notrunc status=none; truncate -s 5000001 none
    for n in $(seq 1500); do echo "$n" > "many/$n"; done
    printf x > "$(printf 'not-utf-8-\377\001')"; printf x > 'a = %25 b'
    chown 1234:5678 file; chmod 4751 big; chown -h 12:34 link; chown 3000000000:2999999999 packed; chmod 1777 sub
    setfattr -n user.note -v text file; setfattr -n trusted.x -v y sub; setfattr -n user.raw -v 0x0a00ff3d0a big
    setfattr -n 'user.a=b%c' -v '' big; setfattr -h -n trusted.of-link -v z link
    setfacl -m u:1234:rw big; setfacl -d -m u:1234:rwx sub
    touch -h -d '1965-01-02 03:04:05.678901234' link; touch -d '2100-01-01 00:00:00.000000001' file
    touch -d @-1 empty; touch -d '2001-02-03 04:05:06.5' many ."#;

/// What is below a directory: all of stat(2) that an archive has, which names are one inode, and attributes.
const DESCRIBE: &str = r#"
    find . -mindepth 1 -printf '%i|%p|%y|%m|%U|%G|%n|%T@|%l\n' | LC_ALL=C sort -t'|' -k2 |
        awk -F'|' -v OFS='|' '{ if (!($1 in first)) first[$1] = $2; $1 = first[$1]; print }'
    find . -type b -o -type c | LC_ALL=C sort | xargs stat -c '%n %t %T'
    find . -type f -printf '%p %s\n' | LC_ALL=C sort
    LC_ALL=C getfattr -R -h -P -d -m - -e hex . | sed 's/^# file: //'"#;

/// Of a file with holes between them: more than a block has.
const EXTENTS: u64 = 3000;

/// A root of cask with a volume `db` that has a snapshot `s`, below a directory of its own.
struct Bench {
    dir: tempfile::TempDir,
    python: PathBuf,
}

impl Bench {
    /// `None` where something is missing, with a word about what it is.
    #[track_caller]
    fn new(fill: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            crate::engines::skip("the tests of restore.py need root: devices and owners");
            return None;
        }
        let Some(python) = Engine::program("restore-python") else {
            crate::engines::skip("restore.py needs its libraries: ./test.sh installs them");
            return None;
        };
        let base = std::env::var_os("CASK_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = tempfile::tempdir_in(base).unwrap();
        let bench = Self { dir, python };
        std::fs::create_dir(bench.path("tree")).unwrap();
        let sparse = File::create(bench.path("tree/sparse")).unwrap();
        for n in 0..EXTENTS {
            sparse.write_all_at(&n.to_le_bytes(), n * 8192).unwrap();
        }
        bench.sh("tree", fill, &[]);
        bench.sh(
            ".",
            r#"head -c 32 /dev/urandom > key; printf 'correct horse\nno more\n' > phrase
            "$CASK" import db tree; "$CASK" snapshot db@s"#,
            &[],
        );
        Some(bench)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Runs a script in a directory; what it wrote.
    #[track_caller]
    fn sh(&self, below: &str, script: &str, environment: &[(&str, &OsStr)]) -> String {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.path(below))
            .env("CASK", env!("CARGO_BIN_EXE_cask"))
            .env("CASK_ROOT", self.path("root"))
            .env("PYTHON", &self.python)
            .env("RESTORE", RESTORE)
            .envs(environment.iter().copied());
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Unpacks an archive into a new directory; what is in it.
    #[track_caller]
    fn unpack(&self, archive: &str, into: &str) -> String {
        std::fs::create_dir(self.path(into)).unwrap();
        let script = r#"tar --xattrs --xattrs-include='*' --numeric-owner -xpf "$ARCHIVE" "#;
        let archive = self.path(archive);
        self.sh(into, script, &[("ARCHIVE", archive.as_os_str())]);
        self.sh(into, DESCRIBE, &[])
    }

    /// Both archives have the same, which is the tree.
    #[track_caller]
    fn compare(&self, exported: &str, restored: &str) {
        let tree = self.sh("tree", DESCRIBE, &[]);
        assert_eq!(self.unpack(exported, "exported"), tree);
        assert_eq!(self.unpack(restored, "restored"), tree);
        let script = r#"diff -r --no-dereference tree/many restored/many
            cd tree; find . -type f -print0 | while IFS= read -r -d '' file; do cmp "$file" "../restored/$file"; done
            cd ../restored; for root in . ../tree; do stat -c '%a %u %g %y' "$root"; done | uniq | wc -l"#;
        assert_eq!(self.sh(".", script, &[]).trim(), "1", "the root itself");
    }
}

fn length(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[test]
fn a_snapshot_in_a_directory_is_restored_without_cask() {
    let Some(bench) = Bench::new(FILL) else {
        return;
    };
    let script = r#"
        "$CASK" remote add --create there "file://$PWD/there" --key-file key
        "$CASK" remote key add there --passphrase-file phrase
        "$CASK" push db@s there; "$CASK" export db@s -o exported.tar
        "$PYTHON" "$RESTORE" there db@s --passphrase-file phrase > restored.tar
        "$PYTHON" "$RESTORE" "file://$PWD/there" db --key-file key --output again.tar; cmp restored.tar again.tar
        ! "$PYTHON" "$RESTORE" there db@other --key-file key 2> error; grep 'no snapshot db@other' error
        head -c 32 /dev/zero > wrong
        ! "$PYTHON" "$RESTORE" there db --key-file wrong 2> error; grep 'not a key of this repository' error
        uuid=$(ls there/snap); rm -r there/vol
        "$PYTHON" "$RESTORE" there "$uuid@s" --key-file key | cmp restored.tar -"#;
    bench.sh(".", script, &[]);
    bench.compare("exported.tar", "restored.tar");
    let archives = ["exported.tar", "restored.tar"].map(|name| length(&bench.path(name)));
    assert_eq!(archives[0], archives[1], "holes are holes in both");
}

/// What changed since an earlier snapshot is told above the rows of that.
#[test]
fn snapshots_that_build_on_others_are_restored() {
    if !can_mount() {
        return;
    }
    let Some(bench) = Bench::new(FILL) else {
        return;
    };
    let script = r#"
        "$CASK" remote add --create there "file://$PWD/there" --key-file key; "$CASK" push db@s there
        mkdir mnt; "$CASK" mount db mnt; cd mnt
        rm -r sub; mv file moved; ln moved again; truncate -s 4000000 big; rm many/7; chmod 600 many/8
        head -c 5000000 /dev/urandom > twice; printf middle | dd of=sparse bs=1 seek=8192000 conv=notrunc status=none
        fallocate -p -o 81920 -l 163840 sparse; truncate -s 20000000 sparse; mkdir new; mv many/9 new; echo 9 > many/9
        setfattr -x user.note moved; setfattr -n user.more -v more moved; ln -sfn other link; touch -d @5 empty
        "$CASK" snapshot db@t; "$CASK" push db@t there
        rm again; mv new many/new; truncate -s 0 sparse; head -c 3000000 /dev/urandom > big; setfattr -n user.raw -v y big
        mknod fifo2 p; rm many/new/9; mv many/10 many/11
        cd ..; "$CASK" snapshot db@u; "$CASK" push db@u there; "$CASK" umount mnt; "$CASK" remote check --read-data
        for snapshot in s t u; do
            "$CASK" export "db@$snapshot" -o "exported-$snapshot.tar"
            "$PYTHON" "$RESTORE" there "db@$snapshot" --key-file key > "restored-$snapshot.tar"
        done
        for run in there/run/*/*; do od -An -tu1 -j8 -N1 "$run"; done | sort -n | xargs"#;
    let formats = bench.sh(".", script, &[]);
    assert!(formats.ends_with("1 2 2\n"), "{formats}");
    for snapshot in ["s", "t", "u"] {
        let [exported, restored] = ["exported", "restored"].map(|what| {
            let name = format!("{what}-{snapshot}");
            (bench.unpack(&format!("{name}.tar"), &name), name)
        });
        assert_eq!(exported.0, restored.0, "{snapshot}");
        let names = [exported.1, restored.1];
        let script = format!(
            "cd {}; find . -type f -print0 | while IFS= read -r -d '' file; do cmp \"$file\" \"../{}/$file\"; done",
            names[0], names[1]
        );
        bench.sh(".", &script, &[]);
    }
}

#[test]
fn a_damaged_pack_is_not_restored() {
    let Some(bench) = Bench::new("echo text > file") else {
        return;
    };
    let script = r#"
        "$CASK" remote add --create there "file://$PWD/there" --key-file key; "$CASK" push db@s there
        for pack in there/pack/*/*; do printf x | dd of="$pack" bs=1 seek=100 conv=notrunc status=none; done
        ! "$PYTHON" "$RESTORE" there db@s --key-file key > damaged.tar 2> error; grep -E 'is damaged: piece [0-9]+ is not' error"#;
    bench.sh(".", script, &[]);
}

/// Most of a pack goes, and the rest of it is in another pack then.
#[test]
fn a_snapshot_whose_chunks_were_moved_is_restored() {
    let Some(bench) =
        Bench::new("for n in 1 2 3 4 5; do head -c 400000 /dev/urandom > file$n; done")
    else {
        return;
    };
    let script = r#"
        "$CASK" remote add --create there "file://$PWD/there" --key-file key; "$CASK" push db@s there
        mkdir part; cp tree/file3 tree/sparse part; "$CASK" import part part; "$CASK" snapshot part@s
        "$CASK" push part@s there; "$CASK" remote forget there:db@s; "$CASK" remote gc; ls there/moved/*
        "$PYTHON" "$RESTORE" there part@s --key-file key | tar -x -C "$(mkdir out; echo out)"
        cmp part/file3 out/file3; cmp part/sparse out/sparse
        for moved in there/moved/*; do printf x | dd of="$moved" bs=1 seek=70 conv=notrunc status=none; done
        ! "$PYTHON" "$RESTORE" there part@s --key-file key > damaged.tar 2> error; grep 'moved/.* is damaged' error
        rm there/moved/*
        ! "$PYTHON" "$RESTORE" there part@s --key-file key > damaged.tar 2> error; grep 'cannot read' error"#;
    bench.sh(".", script, &[]);
}

#[test]
fn a_snapshot_in_a_bucket_is_restored_without_cask() {
    is_restored_from_a_bucket(Kind::SeaweedFs);
}

#[test]
fn a_snapshot_in_garage_is_restored_without_cask() {
    is_restored_from_a_bucket(Kind::Garage);
}

#[track_caller]
fn is_restored_from_a_bucket(kind: Kind) {
    let Some(bench) = Bench::new(FILL) else {
        return;
    };
    let Some(engine) = Engine::any(kind) else {
        return;
    };
    let endpoint = &engine.endpoint;
    let Endpoint {
        access_key,
        secret_key,
        region,
        ..
    } = endpoint;
    let url = format!("s3://{}/a prefix/of.two", endpoint.bucket());
    let http = endpoint.url();
    let script = r#"
        "$CASK" remote add --create there "$URL" --endpoint "$ENDPOINT" --region "$AWS_REGION" --key-file key
        "$CASK" push db@s there; "$CASK" export db@s -o exported.tar
        "$PYTHON" "$RESTORE" "$URL" db@s --endpoint "$ENDPOINT" --key-file key > restored.tar
        ! AWS_SECRET_ACCESS_KEY=wrong "$PYTHON" "$RESTORE" "$URL" db --endpoint "$ENDPOINT" --key-file key 2> error
        grep 403 error"#;
    let environment = [
        ("AWS_ACCESS_KEY_ID", access_key),
        ("AWS_SECRET_ACCESS_KEY", secret_key),
        ("AWS_REGION", region),
        ("URL", &url),
        ("ENDPOINT", &http),
    ];
    bench.sh(
        ".",
        script,
        &environment.map(|(name, value)| (name, OsStr::new(value))),
    );
    bench.compare("exported.tar", "restored.tar");
}
