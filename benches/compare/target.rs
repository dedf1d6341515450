//! What is measured: a plain directory, a cask volume, or a peer that somebody else has mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Directories that are made to have the bitmaps of all their groups read.
const WARM_UP_DIRS: usize = 200;

/// One of the filesystems that are compared.
pub(crate) struct Target {
    pub(crate) name: String,
    dir: PathBuf,
    volume: Option<Volume>,
}

/// A mounted volume; unmounted and removed when it goes.
struct Volume {
    root: PathBuf,
    mountpoint: PathBuf,
    peak_rss: u64,
}

const NAME: &str = "compare";

impl Target {
    pub(crate) fn plain(scratch: &Path) -> Self {
        let dir = scratch.join("plain");
        fs::create_dir(&dir).unwrap();
        Self {
            name: "plain".to_owned(),
            dir,
            volume: None,
        }
    }

    pub(crate) fn cask(scratch: &Path) -> Self {
        let (root, mountpoint) = (scratch.join("root"), scratch.join("cask"));
        fs::create_dir(&mountpoint).unwrap();
        let volume = Volume {
            root,
            mountpoint: mountpoint.clone(),
            peak_rss: 0,
        };
        volume.cask(&["create", NAME]);
        volume.mount();
        Self {
            name: "cask".to_owned(),
            dir: mountpoint,
            volume: Some(volume),
        }
    }

    pub(crate) fn peer(name: &str, dir: &Path) -> Self {
        assert!(dir.is_dir(), "{} is no directory", dir.display());
        Self {
            name: name.to_owned(),
            dir: dir.to_owned(),
            volume: None,
        }
    }

    /// A new empty directory on the target.
    pub(crate) fn fresh_dir(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir(&dir).unwrap();
        super::measuring::open_to_all(&dir);
        self.warm_up();
        dir
    }

    /// Ends the shadow of a [`Self::make_cold`] that came before: ext4 reads its bitmaps back when files are made in new
    /// directories, and what is not called cold must not wait for that.
    pub(crate) fn warm_up(&self) {
        let base = self.dir.join("warm-up");
        for number in 0..WARM_UP_DIRS {
            let dir = base.join(format!("{number}"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("file"), [7; 16 * 1024]).unwrap();
        }
        settle();
        fs::remove_dir_all(&base).unwrap();
    }

    /// Forgets everything cached: the kernel's caches, and with a remount the server's.
    pub(crate) fn make_cold(&mut self) {
        if let Some(volume) = &mut self.volume {
            volume.note_rss();
            volume.umount();
            volume.mount();
        }
        settle();
        fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    }

    /// What the target takes on the disk, with nothing in it that could be given back.
    pub(crate) fn disk_bytes(&self) -> u64 {
        settle();
        if let Some(volume) = &self.volume {
            volume.cask(&["gc", "-q", NAME]);
        }
        let dir = self
            .volume
            .as_ref()
            .map_or(&self.dir, |volume| &volume.root);
        let du = Command::new("du")
            .arg("-s")
            .arg("-B1")
            .arg(dir)
            .output()
            .unwrap();
        let said = String::from_utf8(du.stdout).unwrap();
        said.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Has a volume give back what it can, beside what comes next.
    pub(crate) fn start_gc(&self) -> Option<Child> {
        let volume = self.volume.as_ref()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_cask"));
        command
            .env("CASK_ROOT", &volume.root)
            .args(["gc", "-q", NAME]);
        Some(command.spawn().unwrap())
    }

    /// The most memory that the server had, in KiB.
    pub(crate) fn peak_rss(&mut self) -> Option<u64> {
        let volume = self.volume.as_mut()?;
        volume.note_rss();
        Some(volume.peak_rss)
    }
}

/// Writes out what other measurements left.
pub(crate) fn settle() {
    rustix::fs::sync();
}

impl Volume {
    fn cask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cask"));
        let output = command
            .env("CASK_ROOT", &self.root)
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cask {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn mount(&self) {
        self.cask(&["mount", NAME, self.mountpoint.to_str().unwrap()]);
    }

    fn umount(&self) {
        self.cask(&["umount", NAME]);
    }

    fn note_rss(&mut self) {
        let json = self.cask(&["inspect", NAME]);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let pid = value[0]["Server"]["Pid"].as_i64().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        self.peak_rss = self.peak_rss.max(kib);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cask"));
        // Also after a panic, when a program may still be there: then the directory stays and says so.
        if let Err(error) = command
            .env("CASK_ROOT", &self.root)
            .args(["umount", NAME])
            .status()
        {
            eprintln!("cannot unmount {}: {error}", self.mountpoint.display());
        }
    }
}
