//! A program that changes files at random, knows what must be in them, and looks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::harness::Random;

const FILES_MAX: usize = 40;
const BYTES_MAX: usize = 600_000;

pub(crate) struct Writer {
    dir: PathBuf,
    random: Random,
    files: BTreeMap<String, Vec<u8>>,
    made: u64,
    steps: u64,
}

impl Writer {
    pub(crate) fn new(dir: PathBuf, seed: u64) -> Self {
        fs::create_dir(&dir).unwrap();
        Self {
            dir,
            random: Random::new(seed),
            files: BTreeMap::new(),
            made: 0,
            steps: 0,
        }
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn step(&mut self) {
        self.steps += 1;
        match self.random.below(20) {
            _ if self.files.is_empty() => self.create(),
            0..5 => self.create(),
            5..11 => self.write(),
            11..13 => self.truncate(),
            13..15 => self.rename(),
            15 => self.copy(),
            16 => self.remove(),
            _ => {
                let name = self.any();
                self.check(&name);
            }
        }
    }

    fn any(&mut self) -> String {
        let at = self.random.index(self.files.len());
        self.files.keys().nth(at).unwrap().clone()
    }

    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("f{}", self.made)
    }

    fn create(&mut self) {
        if self.files.len() >= FILES_MAX {
            return self.remove();
        }
        let (name, len) = (self.fresh(), self.random.index(BYTES_MAX));
        let bytes = self.random.bytes(len);
        fs::write(self.dir.join(&name), &bytes).unwrap();
        self.files.insert(name, bytes);
    }

    fn write(&mut self) {
        let name = self.any();
        let (at, len) = (self.random.index(BYTES_MAX), 1 + self.random.index(50_000));
        let bytes = self.random.bytes(len);
        let file = File::options()
            .write(true)
            .open(self.dir.join(&name))
            .unwrap();
        file.write_all_at(&bytes, at as u64).unwrap();
        if self.random.below(3) == 0 {
            file.sync_all().unwrap();
        }
        let held = self.files.get_mut(&name).unwrap();
        held.resize(held.len().max(at + len), 0);
        held[at..at + len].copy_from_slice(&bytes);
    }

    fn truncate(&mut self) {
        let (name, len) = (self.any(), self.random.index(BYTES_MAX));
        let file = File::options()
            .write(true)
            .open(self.dir.join(&name))
            .unwrap();
        file.set_len(len as u64).unwrap();
        self.files.get_mut(&name).unwrap().resize(len, 0);
    }

    /// To a new name, or over another file.
    fn rename(&mut self) {
        let from = self.any();
        let to = if self.random.below(2) == 0 {
            self.fresh()
        } else {
            self.any()
        };
        fs::rename(self.dir.join(&from), self.dir.join(&to)).unwrap();
        let bytes = self.files.remove(&from).unwrap();
        self.files.insert(to, bytes);
    }

    fn copy(&mut self) {
        let (from, to) = (self.any(), self.fresh());
        fs::copy(self.dir.join(&from), self.dir.join(&to)).unwrap();
        let bytes = self.files[&from].clone();
        self.files.insert(to, bytes);
    }

    fn remove(&mut self) {
        let name = self.any();
        fs::remove_file(self.dir.join(&name)).unwrap();
        self.files.remove(&name);
    }

    fn check(&self, name: &str) {
        let found = fs::read(self.dir.join(name))
            .unwrap_or_else(|error| panic!("{}/{name}: {error}", self.dir.display()));
        let expected = &self.files[name];
        let context = || format!("{}/{name} after {} steps", self.dir.display(), self.steps);
        assert_eq!(found.len(), expected.len(), "{}", context());
        let differs = found.iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{}", context());
    }

    /// Every file is there, and nothing else.
    pub(crate) fn check_all(&self) {
        let entries = fs::read_dir(&self.dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, self.files.keys().cloned().collect::<Vec<_>>());
        names.iter().for_each(|name| self.check(name));
    }
}
