//! rustic: `cargo install rustic-rs --locked`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BUCKET, Home, Peer, run};

struct Rustic {
    program: PathBuf,
    home: Home,
}

pub(super) fn make(program: PathBuf, home: Home) -> Box<dyn Peer> {
    let rustic = Rustic { program, home };
    let home = &rustic.home;
    let profile = format!(
        "[repository]\nrepository = \"opendal:s3\"\npassword = \"bench\"\n\n\
         [repository.options]\nbucket = \"{BUCKET}\"\nroot = \"/{}\"\nendpoint = \"{}\"\n\
         region = \"{}\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        home.prefix,
        home.endpoint.url(),
        home.endpoint.region,
        home.endpoint.access_key,
        home.endpoint.secret_key,
    );
    // It looks for its profile where it is started.
    fs::write(home.dir.join("rustic.toml"), profile).unwrap();
    run(rustic.command("cache").arg("init"));
    Box::new(rustic)
}

impl Rustic {
    fn command(&self, cache: &str) -> Command {
        let mut command = self.home.command(&self.program);
        command
            .env("RUSTIC_CACHE_DIR", self.home.dir.join(cache))
            .args(["--no-progress", "--log-level", "warn"]);
        command
    }
}

impl Peer for Rustic {
    fn name(&self) -> &'static str {
        "rustic"
    }

    fn store(&self, files: &Path) {
        run(self.command("cache").arg("backup").arg(files));
    }

    fn get(&self, to: &Path) {
        let mut command = self.command("another cache");
        run(command.args(["restore", "latest"]).arg(to));
    }

    fn collect(&self) -> bool {
        let mut command = self.command("cache");
        // What nothing needs is marked, and removed by one that comes a day later.
        run(command.args(["forget", "--keep-last", "1", "--prune"]));
        true
    }
}
