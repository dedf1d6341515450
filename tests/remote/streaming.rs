//! Streams from host to host: whole, on top of an earlier snapshot, cut and gone on with, damaged.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::host::{Host, Store};
use crate::inodes::{Facts, Size, plant};
use crate::random::{Random, seed};
use crate::round_trip::{assert_same, mounted_facts, write_beside};
use crate::support::{Outcome, can_mount, run};

const SMALL: Size = Size {
    big_bytes: 3_000_001,
    small_files: 200,
};
const MIB: u64 = 1 << 20;

fn host() -> Host {
    Store::dir().host()
}

/// Sends with these arguments: the stream.
#[track_caller]
fn send(host: &Host, arguments: &[&str]) -> Vec<u8> {
    let path = host.bench.path("stream");
    let mut command = host.command(&[&["send"], arguments].concat());
    let child = command
        .stdin(Stdio::null())
        .stdout(fs::File::create(&path).unwrap())
        .stderr(Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    fs::read(&path).unwrap()
}

fn receive(host: &Host, stream: &[u8], arguments: &[&str]) -> Outcome {
    let path = host.bench.path("incoming");
    fs::write(&path, stream).unwrap();
    let mut command = host.command(&[&["receive"], arguments].concat());
    command.stdin(fs::File::open(&path).unwrap());
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[track_caller]
fn is_whole(host: &Host, volume: &str) {
    host.run(&["check", "--read-data", volume]).succeeds();
}

fn snapshots(host: &Host, volume: &str) -> Vec<String> {
    let listed = host.run(&["snapshot", "ls", volume, "--format", "{{.Name}}"]);
    listed.succeeds().out.lines().map(str::to_owned).collect()
}

/// Changes the volume `db` as long as `work` has it mounted.
#[track_caller]
fn change(host: &Host, work: impl FnOnce(&Path)) {
    let mnt = host.bench.path("mnt");
    let place = mnt.to_str().unwrap();
    host.run(&["mount", "--create", "db", place]).succeeds();
    work(&mnt);
    host.run(&["umount", place]).succeeds();
    host.bench.wait_until_closed("db");
}

fn facts_of(host: &Host, states: &[&str]) -> Vec<BTreeMap<Vec<u8>, Facts>> {
    states
        .iter()
        .map(|state| mounted_facts(host, state))
        .collect()
}

#[test]
fn every_kind_of_inode_arrives_also_on_top_of_an_earlier_snapshot() {
    if !can_mount() {
        return;
    }
    let (here, there) = (host(), host());
    let mnt = here.bench.path("mnt");
    here.run(&["mount", "--create", "db", mnt.to_str().unwrap()])
        .succeeds();
    plant(&mnt, SMALL, 1);
    here.run(&["snapshot", "db@a"]).succeeds();
    let is_over = AtomicBool::new(false);
    let whole = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_beside(&mnt, 0, &is_over));
        let whole = send(&here, &["db@a"]);
        is_over.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        whole
    });
    assert_eq!(receive(&there, &whole, &[]).succeeds().out, "db\n");
    is_whole(&there, "db");
    assert_eq!(snapshots(&there, "db"), ["a"]);

    // What the writer left, what is removed and renamed, attributes, and another file under an old name.
    fs::remove_file(mnt.join("empty")).unwrap();
    fs::rename(mnt.join("big"), mnt.join("moved")).unwrap();
    fs::write(mnt.join("big"), b"another").unwrap();
    fs::hard_link(mnt.join("moved"), mnt.join("many/link")).unwrap();
    fs::remove_dir_all(mnt.join("d")).unwrap();
    fs::create_dir_all(mnt.join("d/e/f")).unwrap();
    let text = OpenOptions::new()
        .write(true)
        .open(mnt.join("text"))
        .unwrap();
    text.set_len(77_777).unwrap();
    text.write_all_at(b"here", 50_000).unwrap();
    drop(text);
    // A file that is open and has no name does not arrive.
    let unnamed = fs::File::create(mnt.join("unnamed")).unwrap();
    unnamed.write_all_at(&[1; 10_000], 0).unwrap();
    fs::remove_file(mnt.join("unnamed")).unwrap();
    here.run(&["snapshot", "db@b"]).succeeds();
    drop(unnamed);
    let more = send(&here, &["db@b", "--from", "@a"]);
    assert_eq!(receive(&there, &more, &["db"]).succeeds().out, "db\n");
    is_whole(&there, "db");
    here.run(&["umount", mnt.to_str().unwrap()]).succeeds();
    here.bench.wait_until_closed("db");
    assert_eq!(snapshots(&there, "db"), ["a", "b"]);
    let sent = facts_of(&here, &["db@a", "db@b", "db@b"]);
    let arrived = facts_of(&there, &["db@a", "db@b", "db"]);
    for (sent, arrived) in sent.iter().zip(&arrived) {
        assert_same(sent, arrived);
    }
    let diff = |host: &Host| host.run(&["diff", "db@a", "db@b"]).succeeds().out;
    assert_eq!(diff(&here), diff(&there));
    assert_eq!(there.left_over(), ["db"]);
    goes_on(&here, &there);
}

/// A third snapshot, back to what was, and back to the host that the volume came from.
#[track_caller]
fn goes_on(here: &Host, there: &Host) {
    here.run(&["rollback", "db@a"]).succeeds();
    here.run(&["snapshot", "db@c"]).succeeds();
    let back = send(here, &["db@c", "--from", "b"]);
    receive(there, &back, &[]).succeeds();
    is_whole(there, "db");
    let (sent, arrived) = (mounted_facts(here, "db@a"), mounted_facts(there, "db"));
    assert_same(&sent, &arrived);
    change(there, |mnt| fs::write(mnt.join("there"), b"there").unwrap());
    there.run(&["snapshot", "db@d"]).succeeds();
    let home = send(there, &["db@d", "--from", "@c"]);
    receive(here, &home, &[]).succeeds();
    is_whole(here, "db");
    assert_same(&mounted_facts(there, "db"), &mounted_facts(here, "db"));
    let old = snapshots(here, "db");
    assert!(old.ends_with(&["c".to_owned(), "d".to_owned()]), "{old:?}");
    for name in &old[..old.len() - 1] {
        here.run(&["snapshot", "rm", &format!("db@{name}")])
            .succeeds();
    }
    here.run(&["gc", "db"]).succeeds();
    is_whole(here, "db");
    assert_same(&mounted_facts(there, "db"), &mounted_facts(here, "db"));
}

#[test]
fn a_stream_on_top_of_a_snapshot_is_as_long_as_what_is_new() {
    const FILE_BYTES: u64 = 256 * MIB;
    if !can_mount() {
        return;
    }
    let (here, there) = (host().untuned(), host().untuned());
    let mut random = Random::new(seed());
    let bytes = random.bytes(usize::try_from(FILE_BYTES).unwrap());
    here.make_volume("db", &[("table", &bytes)]);
    drop(bytes);
    here.run(&["snapshot", "db@a"]).succeeds();
    receive(&there, &send(&here, &["db@a"]), &[]).succeeds();
    change(&here, |mnt| {
        let file = OpenOptions::new()
            .write(true)
            .open(mnt.join("table"))
            .unwrap();
        for _ in 0..1000 {
            let page = random.below(FILE_BYTES / 4096) * 4096;
            file.write_all_at(&random.bytes(4096), page).unwrap();
        }
        file.sync_all().unwrap();
    });
    here.run(&["snapshot", "db@b"]).succeeds();
    let more = send(&here, &["db@b", "--from", "@a"]);
    assert!(
        more.len() as u64 <= 5 * MIB,
        "{} bytes are sent",
        more.len()
    );
    receive(&there, &more, &[]).succeeds();
    is_whole(&there, "db");
    assert!(here.read("db", "table") == there.read("db", "table"));
}

/// Whatever happens to names, bytes and attributes between two snapshots.
#[test]
fn rounds_of_random_changes_arrive() {
    if !can_mount() {
        return;
    }
    let (here, there) = (host(), host());
    let mut random = Random::new(seed());
    change(&here, |mnt| plant(mnt, SMALL, 2));
    here.run(&["snapshot", "db@s0"]).succeeds();
    receive(&there, &send(&here, &["db@s0"]), &[]).succeeds();
    for round in 1..7 {
        change(&here, |mnt| {
            (0..200).for_each(|_| disturb(mnt, &mut random));
        });
        let (old, new) = (format!("@s{}", round - 1), format!("db@s{round}"));
        here.run(&["snapshot", &new]).succeeds();
        let more = send(&here, &[&new, "--from", &old]);
        receive(&there, &more, &[]).succeeds();
        is_whole(&there, "db");
        assert_same(&mounted_facts(&here, &new), &mounted_facts(&there, "db"));
        let diff = |host: &Host| {
            host.run(&["diff", &format!("db{old}"), &new])
                .succeeds()
                .out
        };
        assert_eq!(diff(&here), diff(&there));
    }
    for round in 0..6 {
        let state = format!("db@s{round}");
        assert_same(
            &mounted_facts(&here, &state),
            &mounted_facts(&there, &state),
        );
    }
}

/// Some change or other; one that cannot be is none.
fn disturb(mnt: &Path, random: &mut Random) {
    let mut name = || mnt.join("many").join(random.index(300).to_string());
    let (one, other) = (name(), name());
    let open = |path: &Path| {
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)
    };
    match random.index(8) {
        0 => drop(fs::remove_file(one)),
        1 => drop(fs::rename(one, other)),
        2 => drop(fs::hard_link(one, other)),
        3 => drop(fs::remove_file(&one).and_then(|()| fs::create_dir(&one))),
        4 => drop(fs::remove_dir(&one)),
        5 => drop(std::os::unix::fs::symlink("where", one)),
        6 => {
            let len = 1 + random.index(50_000);
            let bytes = random.bytes(len);
            let off = random.below(200_000);
            drop(open(&one).and_then(|file| file.write_all_at(&bytes, off)));
        }
        _ => {
            let len = random.below(100_000);
            drop(open(&one).and_then(|file| file.set_len(len)));
        }
    }
}

/// A volume of some frames, and a whole stream of it.
fn some_frames(here: &Host) -> Vec<u8> {
    let mut random = Random::new(seed());
    let (one, other) = (random.bytes(2_500_000), random.bytes(1_900_000));
    let small: Vec<(String, Vec<u8>)> = (0..50)
        .map(|number| (format!("small {number}"), random.bytes(10 + number)))
        .collect();
    let mut files: Vec<(&str, &[u8])> = vec![("one", &one), ("other", &other)];
    files.extend(
        small
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    );
    here.make_volume("db", &files);
    here.run(&["snapshot", "db@a"]).succeeds();
    send(here, &["db@a"])
}

#[test]
fn a_stream_that_is_cut_is_gone_on_with() {
    let (here, there) = (host(), host());
    let whole = some_frames(&here);
    let step = whole.len() / 11;
    let cuts = (0..whole.len())
        .step_by(step)
        .chain([1, 8, 12, 13, 600, whole.len() - 1]);
    for at in cuts {
        let cut = receive(&there, &whole[..at], &[]);
        cut.fails(
            1,
            &[if at > 0 && at < 8 {
                "no stream"
            } else {
                "too early"
            }],
        );
        assert!(there.volumes().is_empty(), "cut at {at}");
        if at > 600 {
            let token = there.run(&["receive", "--token", "db"]).succeeds().out;
            let rest = send(&here, &["db", "--resume", token.trim()]);
            if at > 2 * step {
                assert!(rest.len() < whole.len(), "cut at {at}: {token}");
            }
            receive(&there, &rest, &[]).succeeds();
        } else {
            receive(&there, &whole, &[]).succeeds();
        }
        is_whole(&there, "db");
        assert!(here.read("db", "one") == there.read("db", "one"));
        there.run(&["rm", "--force", "db"]);
        there.run(&["rm", "db"]);
        assert!(there.volumes().is_empty());
    }
}

/// Cut more than once, also on top of a snapshot; and what is left never stands in the way.
#[test]
fn what_is_left_of_a_stream_goes_on_or_goes() {
    if !can_mount() {
        return;
    }
    let (here, there) = (host(), host());
    let whole = some_frames(&here);
    receive(&there, &whole, &[]).succeeds();
    let bytes = Random::new(seed() + 1).bytes(3_000_000);
    change(&here, |mnt| fs::write(mnt.join("more"), &bytes).unwrap());
    here.run(&["snapshot", "db@b"]).succeeds();
    let more = send(&here, &["db@b", "--from", "@a"]);
    let told = receive(&there, &more[..more.len() / 2], &[]).fails(1, &["--resume", "--abort"]);
    let token = there.run(&["receive", "--token", "db"]).succeeds().out;
    assert!(told.err.contains(token.trim()), "{}", told.err);
    assert_eq!(there.volumes(), ["db"]);
    assert_eq!(snapshots(&there, "db"), ["a"]);
    let rest = send(&here, &["db", "--resume", token.trim()]);
    receive(&there, &rest[..rest.len() * 3 / 4], &[]).fails(1, &["too early"]);
    // What an earlier token says is less than what is there, which does no harm.
    receive(&there, &rest, &[]).succeeds();
    is_whole(&there, "db");
    assert!(there.read("db", "more") == bytes);
    assert_eq!(there.left_over(), ["db"]);
}

#[test]
fn other_tokens_are_refused_and_what_is_left_can_be_removed() {
    let (here, there) = (host(), host());
    let whole = some_frames(&here);
    receive(&there, &whole[..whole.len() / 2], &[]).fails(1, &["too early"]);
    let token = there.run(&["receive", "--token", "db"]).succeeds().out;
    let rest = send(&here, &["db", "--resume", token.trim()]);
    there.run(&["receive", "--abort", "db"]).succeeds();
    assert!(there.left_over().is_empty());
    there
        .run(&["receive", "--abort", "db"])
        .fails(3, &["nothing is left"]);
    there
        .run(&["receive", "--token", "db"])
        .fails(3, &["nothing is left"]);
    receive(&there, &rest, &[]).fails(1, &["was not received here", "without --resume"]);
    assert!(there.left_over().is_empty());

    let refused = |token: &str| Outcome {
        // What was written before it was found out is no whole stream.
        out: String::new(),
        ..here.run(&["send", "db", "--resume", token])
    };
    refused("1.x").fails(2, &["no token"]);
    let parts: Vec<&str> = token.trim().split('.').collect();
    let (epoch, last) = (parts[2], parts[5]);
    let other = token.replace(last, &last.chars().rev().collect::<String>());
    refused(other.trim()).fails(1, &["not of this stream"]);
    let other = token.replace(&format!(".{epoch}.0."), ".9.0.");
    refused(other.trim()).fails(2, &["not there any more"]);
    here.run(&["clone", "db", "twin"]).succeeds();
    here.run(&["send", "twin", "--resume", token.trim()])
        .fails(2, &["another volume"]);

    // A stream of something else takes the place of what is left.
    receive(&there, &whole[..whole.len() / 2], &[]).fails(1, &["too early"]);
    here.run(&["snapshot", "twin@t"]).succeeds();
    receive(&there, &send(&here, &["twin@t"]), &["db"]).succeeds();
    is_whole(&there, "db");
    assert_eq!(there.left_over(), ["db"]);
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let (here, there) = (host(), host());
    let mut whole = some_frames(&here);
    let len = whole.len();
    for at in (0..64)
        .chain((64..len).step_by(len / 25))
        .chain(len - 40..len)
    {
        whole[at] ^= 4;
        receive(&there, &whole, &[]).fails(1, &["stream"]);
        assert!(there.volumes().is_empty(), "flipped at {at}");
        whole[at] ^= 4;
    }
    // What came in between of all those is what it should be.
    receive(&there, &whole, &[]).succeeds();
    is_whole(&there, "db");
}

#[test]
fn what_is_no_whole_stream_is_refused_by_name() {
    let (here, there) = (host(), host());
    let mut whole = some_frames(&here);
    let random = Random::new(seed()).bytes(100_000);
    receive(&there, &random, &["db"]).fails(1, &["no stream of cask send"]);
    receive(&there, b"", &["db"]).fails(1, &["too early, after 0 bytes"]);
    let tar = here.bench.path("tar");
    here.run(&["export", "db", "-o", tar.to_str().unwrap()])
        .succeeds();
    receive(&there, &fs::read(tar).unwrap(), &["db"]).fails(1, &["no stream of cask send"]);
    whole[8] = 2;
    receive(&there, &whole, &[]).fails(1, &["has format 2", "newer cask"]);
    whole[8] = 1;
    assert!(there.left_over().is_empty());
    whole.push(0);
    receive(&there, &whole, &[]).fails(1, &["more follows"]);
    assert!(there.volumes().is_empty());
    whole.pop();
    receive(&there, &whole, &["db"]).succeeds();
    receive(&there, &whole, &["db"]).fails(4, &["exists already"]);
    let dir = there.bench.path("elsewhere/vol");
    receive(&there, &whole, &[dir.to_str().unwrap()]).succeeds();
    is_whole(&there, dir.to_str().unwrap());
}

#[test]
fn a_volume_that_is_not_as_it_was_is_left_alone() {
    if !can_mount() {
        return;
    }
    let (here, there) = (host(), host());
    let whole = some_frames(&here);
    receive(&there, &whole, &[]).succeeds();
    change(&here, |mnt| fs::write(mnt.join("new"), b"new").unwrap());
    here.run(&["snapshot", "db@b"]).succeeds();
    let more = send(&here, &["db@b", "--from", "@a"]);
    here.run(&["send", "db@a", "--from", "@b"])
        .fails(2, &["no later one"]);
    here.run(&["send", "db@b", "--from", "@x"])
        .fails(3, &["no snapshot"]);

    receive(&there, &more, &["n"]).fails(3, &["no volume \"n\""]);
    there.make_volume("n", &[("one", b"1")]);
    receive(&there, &more, &["n"]).fails(3, &["no snapshot \"a\""]);
    there.run(&["snapshot", "n@a"]).succeeds();
    receive(&there, &more, &["n"]).fails(1, &["another than the stream builds on"]);

    let mnt = there.bench.path("mnt");
    let place = mnt.to_str().unwrap();
    there.run(&["mount", "db", place]).succeeds();
    fs::write(mnt.join("mine"), b"mine").unwrap();
    receive(&there, &more, &[]).fails(5, &["is mounted at"]);
    there.run(&["umount", place]).succeeds();
    there.bench.wait_until_closed("db");
    receive(&there, &more, &[]).fails(1, &["has changed since", "--force"]);
    assert_eq!(there.read("db", "mine"), b"mine");
    let kept = receive(&there, &more, &["--force"]).succeeds().out;
    let kept = kept.trim();
    assert!(kept.starts_with("db@before-receive-"), "{kept}");
    is_whole(&there, "db");
    assert_eq!(there.read("db", "new"), b"new");
    assert_eq!(there.read(kept, "mine"), b"mine");
    there
        .run(&["cp", "db:/mine", there.bench.path("no").to_str().unwrap()])
        .fails(1, &["there is no /mine"]);
    receive(&there, &more, &[]).fails(4, &["\"b\" already"]);
}

/// The receiver's disk is full, and then it is not.
#[test]
fn a_full_disk_ends_a_stream_that_can_go_on() {
    let (here, there) = (host(), host());
    if !can_mount() {
        return;
    }
    let whole = some_frames(&here);
    let stream = there.bench.path("incoming");
    fs::write(&stream, &whole).unwrap();
    let script = r#"mount -t tmpfs -o size=3m none "$2" || exit 77
        "$CASK" receive "$2/db" < "$1" && exit 1
        test ! -e "$2/db" || exit 2
        token=$("$CASK" receive --token "$2/db") || exit 3
        mount -o remount,size=300m "$2" || exit 4
        "$CASK" receive "$2/db" < "$1" || exit 5
        "$CASK" check --read-data "$2/db" || exit 6"#;
    let told = on_a_small_disk(&there, script, &[&stream]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.err.contains("no space"), "{}", told.err);
}

/// The disk is full when the next state of a volume is made of what came: the volume is as it was.
#[test]
fn a_full_disk_leaves_the_volume_that_was_to_change() {
    let (here, there) = (host(), host());
    if !can_mount() {
        return;
    }
    let whole = there.bench.path("whole");
    fs::write(&whole, some_frames(&here)).unwrap();
    let bytes = Random::new(seed() + 1).bytes(2_000_000);
    change(&here, |mnt| fs::write(mnt.join("more"), &bytes).unwrap());
    here.run(&["snapshot", "db@b"]).succeeds();
    let more = there.bench.path("more");
    fs::write(&more, send(&here, &["db@b", "--from", "@a"])).unwrap();
    let script = r#"mount -t tmpfs -o size=300m none "$3" || exit 77
        "$CASK" receive "$3/db" < "$1" || exit 1
        for spare in 100 1500 2100 2300 2400 2500; do
            used=$(df --output=used -k "$3" | tail -n 1)
            mount -o remount,size=$((used + spare))k "$3" || exit 2
            "$CASK" receive "$3/db" < "$2" && echo fits && exit 0
            mount -o remount,size=300m "$3" || exit 3
            "$CASK" check --read-data "$3/db" || exit 4
            test "$("$CASK" snapshot ls "$3/db" --format '{{.Name}}')" = a || exit 5
            "$CASK" receive --abort "$3/db"
        done
        "$CASK" receive "$3/db" < "$2" && "$CASK" check --read-data "$3/db""#;
    let told = on_a_small_disk(&there, script, &[&whole, &more]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.err.contains("no space"), "{}", told.err);
}

/// Runs a script in a mount namespace of its own; its last argument is a place for a small disk.
fn on_a_small_disk(host: &Host, script: &str, arguments: &[&Path]) -> Outcome {
    let small = host.bench.path("small");
    fs::create_dir(&small).unwrap();
    let cask = host.command(&[]);
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]);
    command.args(arguments).arg(&small);
    command.env("CASK", cask.get_program());
    for (name, value) in cask.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    run(&mut command)
}

/// Whenever the program dies, the volume is what it was or what it is to be, and the stream can go on.
#[test]
fn a_receive_that_is_killed_leaves_one_state_or_the_other() {
    let (here, there) = (host(), host());
    if !can_mount() {
        return;
    }
    let whole = some_frames(&here);
    let bytes = Random::new(seed() + 1).bytes(3_000_000);
    change(&here, |mnt| fs::write(mnt.join("more"), &bytes).unwrap());
    here.run(&["snapshot", "db@b"]).succeeds();
    let more = send(&here, &["db@b", "--from", "@a"]);
    let killed = |stream: &[u8], after: u64| {
        let path = there.bench.path("incoming");
        fs::write(&path, stream).unwrap();
        let mut command = there.command(&["receive", "db"]);
        command.stdin(fs::File::open(&path).unwrap());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        std::thread::sleep(std::time::Duration::from_millis(after));
        child.as_mut().unwrap().kill().unwrap();
        child.unwrap().wait().unwrap();
    };
    for after in 0.. {
        killed(&whole, after * 25);
        if there.volumes().is_empty() {
            continue;
        }
        is_whole(&there, "db");
        break;
    }
    for after in 0.. {
        killed(&more, after * 17);
        is_whole(&there, "db");
        assert!(there.read("db@a", "one") == here.read("db@a", "one"));
        if snapshots(&there, "db") != ["a"] {
            break;
        }
        there
            .run(&["cp", "db:/more", there.bench.path("no").to_str().unwrap()])
            .fails(1, &["there is no /more"]);
    }
    assert!(there.read("db", "more") == bytes);
    // It may have been killed between its last rename and the removal of what it needed.
    there.run(&["receive", "--abort", "db"]);
    assert_eq!(there.left_over(), ["db"]);
}
