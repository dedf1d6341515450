//! A volume that is created, mounted, unmounted and mounted again, with the `cask` program.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::{Done, run};
use super::sandbox::{Sandbox, mounts_below};

/// The name of the volume of each [`Mount`].
pub(crate) const VOLUME: &str = "v";

/// A mounted volume and a plain directory beside it, both gone at the end of the test.
pub(crate) struct Mount {
    sandbox: Sandbox,
    root: PathBuf,
}

impl Mount {
    /// Creates and mounts a volume, or says what is missing and returns `None`.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        let sandbox = Sandbox::new()?;
        let root = sandbox.subdir("root");
        let mount = Self::prepare(sandbox, root);
        mount.mount();
        Some(mount)
    }

    /// The same with the volumes in `root`, not mounted yet: for a disk of the test's own.
    #[track_caller]
    pub(crate) fn prepare(sandbox: Sandbox, root: PathBuf) -> Self {
        // Both names have the same length: pjdfstest's results depend on it.
        sandbox.subdir("plain");
        sandbox.subdir("mount");
        let mount = Self { sandbox, root };
        mount.cask(&["create", VOLUME]);
        mount
    }

    /// The mountpoint.
    pub(crate) fn path(&self) -> PathBuf {
        self.sandbox.dir().join("mount")
    }

    /// A plain directory on the same disk.
    pub(crate) fn plain(&self) -> PathBuf {
        self.sandbox.dir().join("plain")
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The volume's directory on the host.
    pub(crate) fn volume_dir(&self) -> PathBuf {
        self.root.join("volumes").join(VOLUME)
    }

    /// Mounts the volume at [`Mount::path`].
    #[track_caller]
    pub(crate) fn mount(&self) {
        self.mount_at(&self.path());
    }

    /// Mounts the volume with a server that logs as `filter` says, to `server.log` beside the volume.
    #[track_caller]
    pub(crate) fn mount_logged(&self, filter: &str) {
        let mut command = self.command(&["mount", VOLUME, &self.path().to_string_lossy()]);
        super::run_ok(command.env("RUST_LOG", filter), 60);
        self.sandbox.note_connections();
    }

    /// The same, with a background as users have it: it leaves alone what is counted.
    #[track_caller]
    pub(crate) fn mount_calmly(&self, filter: &str) {
        let mut command = self.command(&["mount", VOLUME, &self.path().to_string_lossy()]);
        command.env_remove("CASK_TUNING").env("RUST_LOG", filter);
        super::run_ok(&mut command, 60);
        self.sandbox.note_connections();
    }

    /// Mounts the volume at one more place.
    #[track_caller]
    pub(crate) fn mount_at(&self, mountpoint: &Path) {
        self.cask(&["mount", VOLUME, &mountpoint.to_string_lossy()]);
        self.sandbox.note_connections();
    }

    /// Unmounts every mount of the volume in this namespace and waits until the volume is closed.
    #[track_caller]
    pub(crate) fn umount(&self) {
        self.cask(&["umount", VOLUME]);
    }

    /// Unmounts and mounts again.
    #[track_caller]
    pub(crate) fn remount(&self) {
        self.umount();
        self.mount();
    }

    /// A `cask` command with this test's root.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(&binary()), args)
    }

    /// The same of another program.
    pub(crate) fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env("CASK_ROOT", &self.root).args(args);
        command
    }

    /// Runs `cask`, which must succeed. Returns its standard output.
    #[track_caller]
    pub(crate) fn cask(&self, args: &[&str]) -> String {
        let done = self.try_cask(args);
        let log = fs::read_to_string(self.volume_dir().join("server.log")).unwrap_or_default();
        assert!(
            done.status.success(),
            "cask {args:?}: {}--- server.log\n{log}",
            done.output()
        );
        done.stdout
    }

    /// Runs `cask`, whatever comes of it.
    #[track_caller]
    pub(crate) fn try_cask(&self, args: &[&str]) -> Done {
        run(&mut self.command(args), 60)
    }

    /// The pid of the volume's server.
    #[track_caller]
    pub(crate) fn server_pid(&self) -> rustix::process::Pid {
        let json = self.cask(&["inspect", VOLUME]);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let pid = value[0]["Server"]["Pid"].as_i64();
        let pid = pid.unwrap_or_else(|| panic!("no .[0].Server.Pid in {json}"));
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if mounts_below(self.sandbox.dir()).is_empty() {
            return;
        }
        // `cask umount` first: it waits for the server. The sandbox deals with what is left.
        let done = run(&mut self.command(&["umount", VOLUME]), 60);
        if !done.status.success() {
            eprintln!("cask umount at the end of the test: {}", done.output());
        }
    }
}

/// The program under test.
pub(crate) fn binary() -> OsString {
    std::env::var_os("CASK_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_cask").into())
}
