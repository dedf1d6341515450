//! What `cask rm` asks, what it refuses, and what it leaves alone.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::support::{Bench, CASK, Outcome, can_mount};

/// Volumes `db` with a file, `snap` with a snapshot only, and `empty`; none is mounted.
fn prepared() -> Bench {
    let bench = Bench::with_mount();
    fs::write(bench.path("mnt/file"), "text").unwrap();
    bench.run(&["umount", "db"]).succeeds();
    for name in ["snap", "empty"] {
        bench.run(&["create", name]).succeeds();
    }
    bench.run(&["snapshot", "snap@s"]).succeeds();
    bench
}

fn names(bench: &Bench) -> String {
    bench.run(&["ls", "-q"]).succeeds().out
}

/// Runs the program on a terminal on which `answer` is typed; what it shows there is `out`.
pub(crate) fn on_a_terminal(bench: &Bench, arguments: &str, answer: &str) -> Outcome {
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &format!("{CASK} {arguments}"), "/dev/null"]);
    command.env("CASK_ROOT", bench.path("root"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(answer.as_bytes()).unwrap();
    drop(input);
    let done = child.wait_with_output().unwrap();
    Outcome {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::new(),
    }
}

#[test]
fn without_a_terminal_only_force_removes_what_holds_data() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    bench.run(&["rm", "db"]).fails(
        1,
        &["volume \"db\" holds 4B in 1 file", "no terminal", "use -f"],
    );
    bench
        .run(&["rm", "snap"])
        .fails(1, &["volume \"snap\" holds 1 snapshot", "use -f"]);
    // One that must be asked about keeps the others, too.
    bench.run(&["rm", "empty", "db"]).fails(1, &["use -f"]);
    assert_eq!(names(&bench), "db\nempty\nsnap\n");
    assert_eq!(bench.run(&["rm", "empty"]).succeeds().out, "empty\n");
    let forced = bench.run(&["rm", "-f", "nope", "db", "snap"]).succeeds();
    assert_eq!(forced.out, "db\nsnap\n");
    assert_eq!(names(&bench), "");
}

#[test]
fn on_a_terminal_the_user_is_asked() {
    if !can_mount() {
        return;
    }
    let bench = prepared();
    for no in ["n\n", "\n", "yo\n", ""] {
        let asked = on_a_terminal(&bench, "rm db", no).succeeds();
        let question = "holds 4B in 1 file or directory. Remove it for good? [y/N]";
        assert!(asked.out.contains(question), "{asked:?}");
        assert_eq!(names(&bench), "db\nempty\nsnap\n");
    }
    let unasked = on_a_terminal(&bench, "rm empty", "").succeeds();
    assert!(!unasked.out.contains("[y/N]"), "{unasked:?}");
    // A no is about one volume.
    on_a_terminal(&bench, "rm db snap", "n\ny\n").succeeds();
    assert_eq!(names(&bench), "db\n");
    on_a_terminal(&bench, "rm db", "yes\n").succeeds();
    assert_eq!(names(&bench), "");
}

#[test]
fn what_is_protected_stays_until_that_is_lifted() {
    let bench = Bench::with_volume();
    let dir = bench.text("by-dir");
    bench.run(&["create", &dir]).succeeds();
    let protected = |volume: &str| {
        let format = ["inspect", volume, "--format", "{{.Protected}}"];
        bench.run(&format).succeeds().out
    };
    for volume in ["db", &dir] {
        assert_eq!(protected(volume), "false\n");
        bench.run(&["set", volume, "protect=on"]).succeeds();
        assert_eq!(protected(volume), "true\n");
        let before = bench.inventory();
        let lift = format!("`cask set {volume} protect=off`");
        for arguments in [&["rm", volume][..], &["rm", "-f", volume]] {
            bench.run(arguments).fails(5, &["is protected", &lift]);
        }
        assert_eq!(bench.inventory(), before);
        // What else is set is kept, and the other way round.
        bench.run(&["set", volume, "label.a=b"]).succeeds();
        assert_eq!(protected(volume), "true\n");
        bench.run(&["set", volume, "protect=off"]).succeeds();
        let label = ["inspect", volume, "--format", "{{.Labels.a}}"];
        assert_eq!(bench.run(&label).succeeds().out, "b\n");
        bench.run(&["rm", volume]).succeeds();
    }
}

#[test]
fn protection_outlives_what_else_is_wrong() {
    let bench = Bench::with_volume();
    bench.run(&["set", "db", "protect=on"]).succeeds();
    bench.run(&["rename", "db", "new"]).succeeds();
    let config = bench.volume_dir("new").join("volume.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"format\": 5", "\"format\": 99")).unwrap();
    bench.run(&["rm", "-f", "new"]).fails(5, &["is protected"]);
}

#[test]
fn what_cannot_be_protected() {
    let bench = Bench::with_volume();
    bench.run(&["create", "--ephemeral", "passing"]).succeeds();
    let before = bench.inventory();
    bench
        .run(&["set", "passing", "label.a=b", "protect=on"])
        .fails(1, &["volume \"passing\" is ephemeral", "cask clone"]);
    for bad in ["protect=yes", "protect=", "protect"] {
        bench.run(&["set", "db", bad]).fails(2, &[bad, "on"]);
    }
    assert_eq!(bench.inventory(), before);
    bench.run(&["set", "passing", "protect=off"]).succeeds();
}
