//! Real S3 engines on loopback: one that runs for all tests, or one of a test's own, gone with it.
//!
//! `test.sh` starts each engine once (`serve.rs`) and tells the tests in `CASK_TEST_S3_*`: see [`Endpoint`]. A test that
//! finds nothing there starts its own. Knows nothing of cask; requests of its own go through `curl`.

#![allow(
    dead_code,
    reason = "the tests and the program that serves them need different parts"
)]

mod ceph;
mod endpoint;
mod garage;
mod home;
mod port;
mod process;
mod programs;
mod rclone;
mod s3rver;
mod seaweedfs;

pub(crate) use endpoint::Endpoint;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use home::Home;
use port::Port;
use process::Process;
use programs::Program;

/// Longer than Ceph needs on a busy machine.
const READY_MAX: Duration = Duration::from_secs(120);

/// The engines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Conditional writes of all kinds; `LIST` is not in byte order.
    SeaweedFs,
    /// The gateway of Ceph: `If-Match` only with a bare `ETag`, ignored on `DELETE`.
    Ceph,
    /// `rclone serve s3`: accepts conditions and ignores them.
    Rclone,
    /// Accepts conditions and ignores them. Only where its program is found.
    Garage,
    /// Ignores conditions, tears reads during overwrites, shows uploads that were cut. No multipart uploads.
    S3rver,
}

/// An engine that answers.
pub(crate) struct Engine {
    pub(crate) endpoint: Endpoint,
    /// Nothing where it runs for all tests.
    running: Option<Running>,
}

/// Its processes, then its data: ended and removed in this order.
struct Running {
    processes: Vec<Process>,
    home: Home,
    /// Kept from others until the end.
    _ports: Vec<Port>,
    endpoint: Endpoint,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::SeaweedFs,
        Self::Ceph,
        Self::Rclone,
        Self::Garage,
        Self::S3rver,
    ];

    /// The environment variable with the [`Endpoint`] of the one that runs for all tests.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::SeaweedFs => "CASK_TEST_S3_SEAWEEDFS",
            Self::Ceph => "CASK_TEST_S3_CEPH",
            Self::Rclone => "CASK_TEST_S3_RCLONE",
            Self::Garage => "CASK_TEST_S3_GARAGE",
            Self::S3rver => "CASK_TEST_S3_S3RVER",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::SeaweedFs => &seaweedfs::PROGRAMS,
            Self::Ceph => &ceph::PROGRAMS,
            Self::Rclone => &rclone::PROGRAMS,
            Self::Garage => &garage::PROGRAMS,
            Self::S3rver => &s3rver::PROGRAMS,
        }
    }

    /// A program that it needs and that is not here.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let needed = ["curl", "setpriv"].iter().chain(self.programs());
        needed.copied().find(|name| Program::find(name).is_none())
    }

    #[track_caller]
    fn skip_without(self, program: &str) {
        if program == garage::PROGRAM {
            eprintln!(
                "skipped: {self:?} is optional, also under CI: no {program}; CASK_GARAGE may name it"
            );
        } else {
            skip(&format!("{self:?} needs {program}: ./test.sh installs it"));
        }
    }

    fn start(self, home: Home) -> Running {
        match self {
            Self::SeaweedFs => seaweedfs::start(home),
            Self::Ceph => ceph::start(home),
            Self::Rclone => rclone::start(home),
            Self::Garage => garage::start(home),
            Self::S3rver => s3rver::start(home),
        }
    }
}

impl Engine {
    /// The engine that runs for all tests, else one of the test's own. `None` where it cannot run here, with a word
    /// about what is missing; under `CI` that is a failure, but for Garage, which takes 20 minutes to build.
    #[track_caller]
    pub(crate) fn any(kind: Kind) -> Option<Self> {
        match std::env::var(kind.variable()) {
            Ok(text) => Some(Self {
                endpoint: text.parse().unwrap(),
                running: None,
            }),
            Err(_) => Self::own(kind),
        }
    }

    /// One that nobody else uses, and that is gone at the end. `None` as for [`any`](Self::any).
    ///
    /// It is killed when the thread that calls this ends, however that comes about.
    #[track_caller]
    pub(crate) fn own(kind: Kind) -> Option<Self> {
        if let Some(program) = kind.missing() {
            kind.skip_without(program);
            return None;
        }
        let mut running = kind.start(Home::new());
        running.wait_until_ready();
        Some(Self {
            endpoint: running.endpoint.clone(),
            running: Some(running),
        })
    }

    /// Where a program is that some engine needs: rclone is a client as well.
    pub(crate) fn program(name: &str) -> Option<PathBuf> {
        Program::find(name).map(|program| program.0)
    }

    /// The directory of one of the test's own.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.running.as_ref().map(|running| running.home.dir())
    }
}

impl Running {
    /// An engine may listen long before it can keep anything.
    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        while !self.keeps_an_object() {
            let is_dead = self.processes.iter_mut().any(Process::has_ended);
            assert!(
                !is_dead && start.elapsed() < READY_MAX,
                "no answer after {} s: {}",
                start.elapsed().as_secs(),
                self.home.logs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn keeps_an_object(&self) -> bool {
        let try_put = |path: &str, body: &[u8]| self.endpoint.request("PUT", path, body);
        // The second try may find the bucket of the first.
        try_put("/is-ready", b"").is_some()
            && try_put("/is-ready/object", b"x").is_some_and(|answer| answer.status == 200)
    }
}

/// Says why a test does nothing. Under `CI` nothing may be missing.
#[track_caller]
pub(crate) fn skip(missing: &str) {
    let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!is_ci, "CI must not skip: {missing}");
    eprintln!("skipped: {missing}");
}
