//! Snapshots of the volume, clones of them, and their removal, each looked at.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

use crate::Soak;
use crate::harness::{VOLUME, drop_caches};

const KEPT: usize = 5;
const MARK: &str = "mark";

pub(crate) struct Snapshots<'a> {
    soak: &'a Soak,
    kept: Vec<u32>,
    done: Done,
}

#[derive(Debug, Default)]
pub(crate) struct Done {
    snapshots: u32,
    clones: u32,
    diffs: u32,
    mounts: u32,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            snapshots,
            clones,
            diffs,
            mounts,
        } = self;
        write!(
            f,
            "{snapshots} snapshots, {clones} clones, {diffs} diffs, {mounts} mounts of snapshots"
        )
    }
}

impl<'a> Snapshots<'a> {
    pub(crate) fn new(soak: &'a Soak) -> Self {
        Self {
            soak,
            kept: Vec::new(),
            done: Done::default(),
        }
    }

    pub(crate) fn run(mut self) -> Done {
        while self.soak.goes_on() {
            self.take();
            match self.done.snapshots % 6 {
                1 => self.clone_newest(),
                3 => self.diff(),
                5 => self.mount_oldest(),
                _ => {}
            }
            if self.kept.len() > KEPT {
                let oldest = self.kept.remove(0);
                self.cask(&["snapshot", "rm", &named(oldest)], &[3, 5]);
            }
            self.soak.pause(Duration::from_millis(300));
        }
        self.done
    }

    /// Runs `cask`. A server that is killed may have done what was asked without saying so; the second try, which the
    /// command makes by itself, then ends with one of `also`. So it is with what a container on the host has a copy of (5).
    fn cask(&self, arguments: &[&str], also: &[i32]) -> String {
        let done = self.soak.mount.try_cask(arguments);
        let code = done.status.code();
        let is_well = code.is_some_and(|code| code == 0 || also.contains(&code));
        assert!(is_well, "cask {arguments:?}: {}", done.output());
        done.stdout
    }

    fn take(&mut self) {
        let number = self.done.snapshots;
        let mut mark = File::create(self.soak.mount.path().join(MARK)).unwrap();
        write!(mark, "{number}").unwrap();
        mark.sync_all().unwrap();
        self.cask(&["snapshot", &named(number)], &[4]);
        self.kept.push(number);
        self.done.snapshots += 1;
    }

    fn clone_newest(&mut self) {
        let Some(&newest) = self.kept.last() else {
            return;
        };
        self.cask(&["clone", &named(newest), "clone"], &[4]);
        self.cask(&["check", "clone"], &[]);
        let copied = self.soak.mount.sandbox().dir().join("copied");
        let target = copied.to_string_lossy();
        self.cask(&["cp", &format!("clone:/{MARK}"), &target], &[]);
        assert_eq!(fs::read_to_string(&copied).unwrap(), newest.to_string());
        fs::remove_file(copied).unwrap();
        self.cask(&["rm", "-f", "clone"], &[]);
        self.done.clones += 1;
    }

    fn diff(&mut self) {
        let Some(&newest) = self.kept.last() else {
            return;
        };
        self.cask(&["diff", &named(newest)], &[]);
        self.done.diffs += 1;
    }

    fn mount_oldest(&mut self) {
        let Some(&oldest) = self.kept.first() else {
            return;
        };
        let dir = self.soak.mount.sandbox().dir().join("snapshot");
        let path = dir.to_string_lossy();
        self.cask(&["mount", "--create", &named(oldest), &path], &[]);
        self.soak.mount.sandbox().note_connections();
        drop_caches();
        let mark = fs::read_to_string(dir.join(MARK)).unwrap();
        assert_eq!(mark, oldest.to_string());
        self.cask(&["umount", &path], &[5]);
        self.done.mounts += 1;
    }
}

fn named(number: u32) -> String {
    format!("{VOLUME}@s{number}")
}
