//! Engines end with those who started them, in whatever way, and leave nothing.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::engines::{Engine, Kind};

const WAIT_MAX: Duration = Duration::from_secs(20);

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < WAIT_MAX, "still not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn answers(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
#[ignore = "it is what another test kills"]
fn holds_an_engine() {
    let engine = Engine::own(Kind::SeaweedFs).unwrap();
    eprintln!("{} {}", engine.endpoint, engine.home().unwrap().display());
    loop {
        std::thread::park();
    }
}

#[test]
fn an_engine_ends_with_a_test_that_is_killed() {
    if Kind::SeaweedFs.missing().is_some() {
        // Says so.
        assert!(Engine::own(Kind::SeaweedFs).is_none());
        return;
    }
    let mut holder = Command::new(std::env::current_exe().unwrap());
    holder.args([
        "--exact",
        "--ignored",
        "--nocapture",
        "ending::holds_an_engine",
    ]);
    holder.stdout(Stdio::null());
    let mut holder = holder.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(holder.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let (endpoint, home) = line.trim().rsplit_once(' ').unwrap();
    let (address, _) = endpoint.split_once(' ').unwrap();
    let address = address.parse().unwrap();
    assert!(answers(address));
    let sockets = || sockets_of(Path::new(home));
    assert_eq!(sockets().len(), 4, "{:?}", sockets());
    let left = sockets();

    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_for("the engine has ended", || !answers(address));

    // The next one finds what the killed one could not remove.
    drop(Engine::own(Kind::Rclone));
    assert!(!Path::new(home).exists());
    let left: Vec<_> = left.iter().filter(|path| path.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The files that SeaweedFS makes outside its directory and that exist.
fn sockets_of(home: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(home.join("elsewhere")).unwrap();
    let paths = text.lines().map(PathBuf::from);
    paths.filter(|path| path.exists()).collect()
}

#[test]
fn an_engine_ends_with_a_test_that_panics() {
    let Some(engine) = Engine::own(Kind::Rclone) else {
        return;
    };
    let (address, home) = (engine.endpoint.address, engine.home().unwrap().to_owned());
    assert!(home.exists() && answers(address));
    let test = std::thread::spawn(move || {
        let _engine = engine;
        std::panic::resume_unwind(Box::new("a test fails"));
    });
    test.join().unwrap_err();
    assert!(!answers(address));
    assert!(!home.exists());
}

/// It takes 20 minutes to build, and `test.sh` installs none.
#[test]
fn without_garage_its_tests_say_so_and_pass_under_ci() {
    let programs = tempfile::tempdir().unwrap();
    for name in ["curl", "setpriv"] {
        let Some(program) = Engine::program(name) else {
            assert!(Engine::any(Kind::Rclone).is_none());
            return;
        };
        std::os::unix::fs::symlink(program, programs.path().join(name)).unwrap();
    }
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "--nocapture", "answering::garage_knows_its_keys"]);
    test.env("PATH", programs.path()).env("CI", "true");
    test.env("XDG_CACHE_HOME", programs.path());
    // One that names nothing is as good as none.
    test.env("CASK_GARAGE", "")
        .env_remove(Kind::Garage.variable());
    let output = test.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("skipped: Garage is optional"), "{told}");
}
