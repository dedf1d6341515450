//! What a disk can hold after a power cut: what was synced, and of the rest any part, torn at sectors.
//!
//! Names in one directory reach the disk in the order in which they were made, as every journal has it; nothing else is
//! assumed of what was not synced.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::trace::Event;
use super::{Random, put};

const SECTOR: usize = 512;
/// Kept aside for a full disk; its bytes mean nothing.
const RESERVE: &str = "reserve";

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Debug, Default, Clone)]
struct Content {
    durable: Vec<u8>,
    /// Not synced yet, with the number of the event.
    pending: Vec<(usize, Change)>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// Files below a directory, as far as they are durable and as the kernel has them.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<Content>,
    /// As the kernel has it.
    now: HashMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    /// By directory, in order.
    pending: BTreeMap<PathBuf, Vec<(usize, NameChange)>>,
}

impl Disk {
    /// What is there before the first event, all of it durable.
    pub(crate) fn of(dir: &Path) -> Self {
        let mut disk = Self::default();
        disk.load(dir);
        disk
    }

    fn load(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.load(&path);
            } else {
                let content = Content {
                    durable: fs::read(&path).unwrap(),
                    pending: Vec::new(),
                };
                self.files.push(content);
                self.now.insert(path.clone(), self.files.len() - 1);
                self.durable.insert(path, self.files.len() - 1);
            }
        }
    }

    pub(crate) fn apply(&mut self, number: usize, event: &Event) {
        match event {
            Event::Open {
                path,
                creates,
                truncates,
            } => self.open(number, path, *creates, *truncates),
            Event::Write { path, at, bytes } => {
                self.change(number, path, Change::Write(*at, bytes.clone()));
            }
            Event::Truncate { path, len } => self.change(number, path, Change::Truncate(*len)),
            Event::Sync { path, since } => self.sync(path, *since),
            Event::Rename { from, to } => {
                if let Some(file) = self.now.remove(from) {
                    self.now.insert(to.clone(), file);
                    self.name(number, to, NameChange::Rename(from.clone(), to.clone()));
                }
            }
            Event::Link { from, to } => {
                if let Some(&file) = self.now.get(from) {
                    self.now.insert(to.clone(), file);
                    self.name(number, to, NameChange::Put(to.clone(), file));
                }
            }
            Event::Remove { path } => {
                if self.now.remove(path).is_some() {
                    self.name(number, path, NameChange::Remove(path.clone()));
                }
            }
            Event::Said { .. } => {}
        }
    }

    fn open(&mut self, number: usize, path: &Path, creates: bool, truncates: bool) {
        if !self.now.contains_key(path) {
            if !creates {
                return;
            }
            self.files.push(Content::default());
            let file = self.files.len() - 1;
            self.now.insert(path.to_owned(), file);
            self.name(number, path, NameChange::Put(path.to_owned(), file));
        } else if truncates {
            self.change(number, path, Change::Truncate(0));
        }
    }

    fn name(&mut self, number: usize, path: &Path, change: NameChange) {
        let parent = path.parent().unwrap().to_owned();
        self.pending
            .entry(parent)
            .or_default()
            .push((number, change));
    }

    fn change(&mut self, number: usize, path: &Path, change: Change) {
        if let Some(&file) = self.now.get(path) {
            self.files[file].pending.push((number, change));
        }
    }

    /// Makes durable what was done to the file, or the directory, before event `since`.
    fn sync(&mut self, path: &Path, since: usize) {
        if let Some(&file) = self.now.get(path) {
            let content = &mut self.files[file];
            let (done, rest): (Vec<_>, Vec<_>) = content
                .pending
                .drain(..)
                .partition(|(number, _)| *number < since);
            content.pending = rest;
            for (_, change) in done {
                apply(&mut content.durable, &change);
            }
        } else if let Some(changes) = self.pending.get_mut(path) {
            let (done, rest): (Vec<_>, Vec<_>) =
                changes.drain(..).partition(|(number, _)| *number < since);
            *changes = rest;
            for (_, change) in done {
                rename(&mut self.durable, &change);
            }
        }
    }

    /// Writes to `target` what the disk could hold were the power cut now, of what was in `dir`.
    pub(crate) fn image(&self, dir: &Path, target: &Path, random: &mut Random) {
        let mut names = self.durable.clone();
        for changes in self.pending.values() {
            let kept = random.below(changes.len() as u64 + 1);
            for (_, change) in changes.iter().take(usize::try_from(kept).unwrap()) {
                rename(&mut names, change);
            }
        }
        for (path, file) in names {
            let below = path.strip_prefix(dir).unwrap();
            if below == Path::new(RESERVE) {
                continue;
            }
            let to = target.join(below);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            put(&to, &self.files[file].cut(random));
        }
        fs::create_dir_all(target.join("segments")).unwrap();
    }
}

impl Content {
    /// What was synced, and of the rest some: all, none, or any of it, torn.
    fn cut(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let kind = random.below(4);
        let prefix = random.below(self.pending.len() as u64 + 1);
        for (i, (_, change)) in (0..).zip(&self.pending) {
            let kept = match kind {
                0 => true,
                1 => i < prefix,
                _ => random.below(3) > 0,
            };
            match change {
                _ if !kept => {}
                Change::Write(at, data) if kind == 3 || (kind == 1 && i + 1 == prefix) => {
                    tear(&mut bytes, *at, data, random);
                }
                change => apply(&mut bytes, change),
            }
        }
        bytes
    }
}

fn tear(bytes: &mut Vec<u8>, at: u64, data: &[u8], random: &mut Random) {
    let mut done = 0;
    while done < data.len() {
        let place = usize::try_from(at).unwrap() + done;
        let len = (SECTOR - place % SECTOR).min(data.len() - done);
        if random.below(8) > 0 {
            apply(
                bytes,
                &Change::Write(place as u64, data[done..done + len].to_vec()),
            );
        }
        done += len;
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(len) => bytes.resize(usize::try_from(*len).unwrap(), 0),
        Change::Write(at, data) => {
            let at = usize::try_from(*at).unwrap();
            if bytes.len() < at + data.len() {
                bytes.resize(at + data.len(), 0);
            }
            bytes[at..at + data.len()].copy_from_slice(data);
        }
    }
}

fn rename(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    match change {
        NameChange::Put(path, file) => drop(names.insert(path.clone(), *file)),
        NameChange::Remove(path) => drop(names.remove(path)),
        NameChange::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}
