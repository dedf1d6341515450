//! restic: `apt install restic`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BUCKET, Home, Peer, run};

struct Restic {
    program: PathBuf,
    home: Home,
}

pub(super) fn make(program: PathBuf, home: Home) -> Box<dyn Peer> {
    let restic = Restic { program, home };
    run(restic.command("cache").arg("init"));
    Box::new(restic)
}

impl Restic {
    fn command(&self, cache: &str) -> Command {
        let url = self.home.endpoint.url();
        let mut command = self.home.command(&self.program);
        command
            .env("RESTIC_PASSWORD", "bench")
            .env("RESTIC_CACHE_DIR", self.home.dir.join(cache))
            .args(["-q", "-r"])
            .arg(format!("s3:{url}/{BUCKET}/{}", self.home.prefix));
        command
    }
}

impl Peer for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn store(&self, files: &Path) {
        run(self.command("cache").arg("backup").arg(files));
    }

    fn get(&self, to: &Path) {
        let mut command = self.command("another cache");
        run(command.args(["restore", "latest", "--target"]).arg(to));
    }

    fn collect(&self) -> bool {
        let mut command = self.command("cache");
        run(command.args(["forget", "--keep-last", "1", "--prune"]));
        true
    }
}
