//! What a server does not have from whoever mounted: signals, limits, turns, variables. And its log.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bench, CASK, Outcome, can_mount, run, wait_for};

/// Runs the program given to it with signals ignored and blocked, out of turn, and with a limit of its own.
const HOSTILE: &str = r#"
import os, resource, signal, sys
for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_STACK):
    hard = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (200 if limit != resource.RLIMIT_STACK else 1 << 20, hard))
os.umask(0)
os.nice(7)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
open("/proc/self/oom_score_adj", "w").write("500")
os.environ.update(LANG="tr_TR.UTF-8", LD_BIND_NOW="1", SECRET="of the shell", CASK_SETTING="kept")
os.execvp(sys.argv[1], sys.argv[1:])
"#;

fn hostile(bench: &Bench, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("python3");
    command.args(["-c", HOSTILE, CASK]).args(arguments);
    command.env("CASK_ROOT", bench.path("root"));
    run(command.current_dir(bench.path("")))
}

/// Runs a shell's line with limits that nobody behind it may raise.
fn limited(bench: &Bench, line: &str) -> Outcome {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_resource", "bash", "-c", line]);
    command
        .env("CASK_ROOT", bench.path("root"))
        .env("CASK", CASK);
    run(command.current_dir(bench.path("")))
}

fn read(pid: u32, file: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().to_owned()
}

/// What of `pid` must be the same whoever started it.
fn surroundings(pid: u32) -> Vec<String> {
    let status = read(pid, "status");
    let mut found: Vec<String> = ["SigBlk:", "SigIgn:", "SigCgt:", "Cpus_allowed:", "Umask:"]
        .iter()
        .map(|name| format!("{name} {}", field(&status, name)))
        .collect();
    let stat = read(pid, "stat");
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // proc_pid_stat(5): nice is the 19th field, the policy the 41st.
    found.push(format!("nice {} policy {}", fields[16], fields[38]));
    found.push(read(pid, "oom_score_adj"));
    found.push(read(pid, "limits"));
    found.push(
        fs::read_link(format!("/proc/{pid}/cwd"))
            .unwrap()
            .display()
            .to_string(),
    );
    found
}

fn processes(bench: &Bench) -> [u32; 2] {
    let out = bench.run(&[
        "inspect",
        "db",
        "--format",
        "{{.Server.Pid}} {{.Server.Keeper}}",
    ]);
    let out = out.succeeds().out;
    let mut numbers = out.split_whitespace().map(|number| number.parse().unwrap());
    [numbers.next().unwrap(), numbers.next().unwrap()]
}

#[test]
fn nothing_of_who_mounts_reaches_the_server() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let usual = processes(&bench).map(surroundings);
    bench.run(&["umount", "db"]).succeeds();
    hostile(&bench, &["mount", "db", "mnt"]).succeeds();
    let processes = processes(&bench);
    assert_eq!(processes.map(surroundings), usual);
    for pid in processes {
        let environment = read(pid, "environ");
        assert!(environment.contains("CASK_SETTING=kept"), "{environment}");
        for theirs in ["SECRET", "LANG", "LD_BIND_NOW", "CASK_TEST_NOTHING"] {
            assert!(!environment.contains(theirs), "{theirs}: {environment}");
        }
    }
    hostile(&bench, &["umount", "db"]).succeeds();
}

#[test]
fn commands_and_successors_work_where_children_are_not_waited_for() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    hostile(&bench, &["mount", "db", "mnt"]).succeeds();
    fs::write(bench.path("mnt/f"), "one").unwrap();
    kill(bench.server_of("db"));
    assert_eq!(fs::read_to_string(bench.path("mnt/f")).unwrap(), "one");
    for arguments in [
        &["clone", "db", "other"][..],
        &["export", "db", "-o", "x.tar"],
        &["ls"],
        &["umount", "db"],
    ] {
        hostile(&bench, arguments).succeeds();
    }
}

#[test]
fn a_server_works_within_limits_that_it_may_not_raise() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_volume();
    let bytes: Vec<u8> = (0..5_000_000_u64)
        .flat_map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect();
    for (number, limit) in ["-f 20000", "-n 64", "-S -n 20", "-c 0", "-v 3000000"]
        .iter()
        .enumerate()
    {
        limited(
            &bench,
            &format!("ulimit {limit} && exec $CASK mount db mnt"),
        )
        .succeeds();
        let file = bench.path(&format!("mnt/f{number}"));
        fs::write(&file, &bytes).unwrap();
        for small in 0..100 {
            fs::write(bench.path(&format!("mnt/small-{small}")), "small").unwrap();
        }
        assert!(fs::read(&file).unwrap() == bytes, "{limit}");
        let log = fs::read_to_string(bench.volume_dir("db").join("server.log")).unwrap();
        assert!(
            !log.contains("died") && !log.contains("disk is full"),
            "{log}"
        );
        bench.run(&["umount", "db"]).succeeds();
    }
}

#[test]
fn a_limit_under_which_no_server_works_is_named_and_nothing_is_left() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    fs::create_dir(bench.path("root")).unwrap();
    let before = volumes(&bench);
    for (limit, words) in [
        (
            "-n 50",
            "open files (ulimit -n) is 50, and a server needs 64",
        ),
        ("-f 8000", "bytes of a file (ulimit -f)"),
        ("-v 1500000", "address space (ulimit -v)"),
        (
            "-t 1000",
            "processor time (ulimit -t) is 1000, and a server needs none",
        ),
    ] {
        for way in ["", "--foreground"] {
            let line = format!("ulimit {limit} && exec $CASK mount {way} --create new at");
            limited(&bench, &line).fails(1, &[words]);
            assert_eq!(volumes(&bench), before, "{limit}");
            assert!(!bench.path("at").exists() && bench.mounts().is_empty());
        }
    }
}

fn volumes(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.path("root/volumes"))
        .into_iter()
        .flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".lock").collect()
}

/// What the kernel refuses comes after a server has started.
#[test]
fn a_mount_that_fails_late_leaves_neither_volume_nor_server() {
    if !can_mount() {
        return;
    }
    let bench = Bench::new();
    for way in ["", "--foreground"] {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-sys_admin", "bash", "-c"]);
        command.arg(format!("exec $CASK mount {way} --create new a/b"));
        command
            .env("CASK_ROOT", bench.path("root"))
            .env("CASK", CASK);
        let failed = run(command.current_dir(bench.path("")));
        failed.fails(1, &["the kernel refuses"]);
        assert_eq!(volumes(&bench), Vec::<String>::new());
        assert!(!bench.path("a").exists());
    }
    let ours = |line: &[u8]| String::from_utf8_lossy(line).contains(&bench.text("root"));
    wait_for("no server is left", || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        !lines.any(|line| ours(&line))
    });
}

const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

#[test]
fn the_log_of_a_running_server_has_a_bound() {
    if !can_mount() {
        return;
    }
    let bench = Bench::with_mount();
    let (log, old) = ("server.log", "server.log.old");
    let at = |name: &str| bench.volume_dir("db").join(name);
    for _ in 0..2 {
        fill(&at(log));
        hang_up(bench.server_of("db"));
        wait_for("a new log", || {
            at(log)
                .metadata()
                .is_ok_and(|log| log.len() < LOG_BYTES_MAX)
        });
        assert!(at(old).metadata().unwrap().len() >= LOG_BYTES_MAX);
    }
    let text = |_: ()| fs::read_to_string(at(log)).unwrap();
    wait_for("the server's line", || text(()).contains("signal 1"));
    let inode = at(log).metadata().unwrap().ino();
    // The supervisor's turn: it goes on in the server's new file.
    kill(bench.server_of("db"));
    wait_for("the keeper's line", || text(()).contains("the server died"));
    hang_up(bench.server_of("db"));
    wait_for("the next server's line", || {
        text(()).matches("signal 1").count() == 2
    });
    assert_eq!(at(log).metadata().unwrap().ino(), inode);
    assert!(!at("server.log.old.old").exists());
}

fn fill(log: &Path) {
    let mut file = fs::File::options().append(true).open(log).unwrap();
    let bytes = vec![b'x'; usize::try_from(LOG_BYTES_MAX).unwrap()];
    file.write_all(&bytes).unwrap();
}

fn kill(server: Pid) {
    kill_process(server, Signal::KILL).unwrap();
}

fn hang_up(server: Pid) {
    kill_process(server, Signal::HUP).unwrap();
}
