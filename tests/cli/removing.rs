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
