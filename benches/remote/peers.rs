//! Other programs that keep files in a bucket, those that are here: in `PATH`, or where `./test.sh` puts programs.
//!
//! How to get them: each one's own file says. borg is none of them: 1.2, which Debian has, knows no S3.

mod juicefs;
mod rclone;
mod restic;
mod rustic;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::engines::{Endpoint, Engine};
use super::host::BUCKET;

/// A program, with a place of its own in the bucket and a directory of its own on the host.
pub(crate) trait Peer {
    fn name(&self) -> &'static str;

    /// Stores what is in this directory; of what it has stored before, what changed.
    fn store(&self, files: &Path);

    /// Where the files are that are changed: as they are on the host, unless it keeps its own.
    fn live(&self, files: &Path) -> PathBuf {
        files.to_owned()
    }

    /// Gets all of it back, as a host does that has nothing of it; nothing where it has no such way.
    fn get(&self, to: &Path);

    /// Removes what was stored before the last time, and what nothing needs then. Whether it knows such a thing.
    fn collect(&self) -> bool {
        false
    }

    /// Presents what is stored, as on a host that has nothing of it, while `act` looks at it. Whether it can.
    fn mounted(&self, _act: &mut dyn FnMut(&Path)) -> bool {
        false
    }
}

/// Makes a new place for a program that is there.
type Make = fn(PathBuf, Home) -> Box<dyn Peer>;

/// Where a program may keep what.
#[derive(Clone)]
pub(crate) struct Home {
    endpoint: Endpoint,
    /// Of its objects.
    prefix: String,
    dir: PathBuf,
}

impl Home {
    fn of(name: &str, (endpoint, prefix, dir): (&Endpoint, &str, &Path)) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        Self {
            endpoint: endpoint.clone(),
            prefix: format!("{name}-{prefix}"),
            dir,
        }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("HOME", &self.dir)
            .env("AWS_ACCESS_KEY_ID", &self.endpoint.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.endpoint.secret_key)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// Runs it; it must succeed. What it says is told then only: some say much on standard error.
fn run(command: &mut Command) {
    let said = command.stderr(Stdio::piped()).output().unwrap();
    assert!(
        said.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
}

/// Those that are here, each with a new place; of the others it is said that they are not.
pub(crate) fn all(endpoint: &Endpoint, prefix: &str, dir: &Path) -> Vec<Box<dyn Peer>> {
    let place = (endpoint, prefix, dir);
    let makers: [(&str, Make); 4] = [
        ("restic", restic::make),
        ("rustic", rustic::make),
        ("juicefs", juicefs::make),
        ("rclone", rclone::make),
    ];
    let mut found = Vec::new();
    for (name, make) in makers {
        match Engine::program(name) {
            Some(program) => found.push(make(program, Home::of(name, place))),
            None => eprintln!("{name} is not here"),
        }
    }
    found
}
