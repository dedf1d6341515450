//! What one writer was promised, and the check of a directory against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use crate::harness::Random;

/// One step of a writer. At most one file is open at a time.
#[derive(Debug, Clone)]
pub(super) enum Call {
    MakeRoot,
    Create {
        name: String,
    },
    Open {
        name: String,
    },
    Write {
        offset: usize,
        len: usize,
        seed: u64,
    },
    Fsync,
    Close,
    Truncate {
        name: String,
        len: usize,
    },
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
    Unlink {
        name: String,
    },
    Chmod {
        name: String,
        mode: u32,
    },
    MakeDir {
        name: String,
    },
    RemoveDir {
        name: String,
    },
    Symlink {
        name: String,
    },
}

const SIZE_MAX: usize = 400_000;
const MODES: &[u32] = &[0o600, 0o644, 0o755, 0o640];

/// A file's content: what is durable, and what was written since.
#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    mode: Option<u32>,
}

#[derive(Debug, Clone)]
enum Entry {
    /// A number in `State::contents`: hard links share it.
    File(usize),
    Dir,
    Symlink,
}

#[derive(Debug, Clone, Default)]
struct State {
    root: bool,
    entries: BTreeMap<String, Entry>,
    contents: Vec<Content>,
    open: Option<usize>,
}

/// The state that was acknowledged, and the call that had not returned.
#[derive(Default)]
pub(super) struct Model {
    state: State,
    in_flight: Option<Call>,
    pub(super) acknowledged: usize,
}

impl Call {
    /// A call that must succeed in `model`'s state.
    pub(super) fn random(random: &mut Random, model: &Model, is_open: bool) -> Self {
        let state = &model.state;
        if is_open {
            return match random.below(6) {
                0..3 => Self::Write {
                    offset: random.index(SIZE_MAX / 2),
                    len: 1 + random.index(SIZE_MAX / 2),
                    seed: random.next(),
                },
                3 => Self::Fsync,
                _ => Self::Close,
            };
        }
        let new = format!("n{}", random.below(1 << 40));
        let of = |wanted: fn(&Entry) -> bool| -> Vec<&String> {
            state
                .entries
                .iter()
                .filter(|(_, entry)| wanted(entry))
                .map(|(name, _)| name)
                .collect()
        };
        let files = of(|entry| matches!(entry, Entry::File(_)));
        let dirs = of(|entry| matches!(entry, Entry::Dir));
        if files.len() < 4 {
            return Self::Create { name: new };
        }
        let name = random.pick(&files).clone();
        match random.below(16) {
            0..4 => Self::Create { name: new },
            4..6 => Self::Open { name },
            6 => Self::Truncate {
                name,
                len: random.index(SIZE_MAX),
            },
            7..9 => Self::Rename {
                from: name,
                to: new,
            },
            9 => Self::Rename {
                from: name,
                to: random.pick(&files).clone(),
            },
            10 => Self::Link {
                from: name,
                to: new,
            },
            11 => Self::Chmod {
                name,
                mode: random.pick(MODES),
            },
            12 if dirs.is_empty() => Self::MakeDir { name: new },
            12 => Self::RemoveDir {
                name: random.pick(&dirs).clone(),
            },
            13 => Self::MakeDir { name: new },
            14 if files.len() > 30 => Self::Unlink { name },
            14 => Self::Symlink { name: new },
            _ => Self::Unlink { name },
        }
    }

    pub(super) fn perform(&self, dir: &Path, open: &mut Option<File>) -> io::Result<()> {
        match self {
            Self::MakeRoot => fs::create_dir(dir),
            Self::Create { name } => {
                *open = Some(File::create_new(dir.join(name))?);
                Ok(())
            }
            Self::Open { name } => {
                *open = Some(
                    File::options()
                        .read(true)
                        .write(true)
                        .open(dir.join(name))?,
                );
                Ok(())
            }
            Self::Write { offset, len, seed } => {
                let bytes = Random::new(*seed).bytes(*len);
                open.as_ref().unwrap().write_all_at(&bytes, *offset as u64)
            }
            Self::Fsync => open.as_ref().unwrap().sync_all(),
            Self::Close => crate::harness::close(open.take().unwrap()),
            Self::Truncate { name, len } => {
                let path = dir.join(name).into_os_string().into_encoded_bytes();
                let path = std::ffi::CString::new(path).unwrap();
                crate::harness::truncate(&path, *len as u64)
            }
            Self::Rename { from, to } => fs::rename(dir.join(from), dir.join(to)),
            Self::Link { from, to } => fs::hard_link(dir.join(from), dir.join(to)),
            Self::Unlink { name } => fs::remove_file(dir.join(name)),
            Self::Chmod { name, mode } => {
                fs::set_permissions(dir.join(name), fs::Permissions::from_mode(*mode))
            }
            Self::MakeDir { name } => fs::create_dir(dir.join(name)),
            Self::RemoveDir { name } => fs::remove_dir(dir.join(name)),
            Self::Symlink { name } => std::os::unix::fs::symlink("somewhere", dir.join(name)),
        }
    }
}

impl State {
    fn apply(&mut self, call: &Call) {
        match call.clone() {
            Call::MakeRoot => self.root = true,
            Call::Create { name } => {
                self.contents.push(Content::default());
                self.entries
                    .insert(name, Entry::File(self.contents.len() - 1));
                self.open = Some(self.contents.len() - 1);
            }
            Call::Open { name } => self.open = Some(self.file(&name)),
            Call::Write { offset, len, seed } => {
                let bytes = Random::new(seed).bytes(len);
                self.contents[self.open.unwrap()]
                    .pending
                    .push((offset, bytes));
            }
            Call::Fsync => self.contents[self.open.unwrap()].settle(),
            Call::Close => self.contents[self.open.take().unwrap()].settle(),
            Call::Truncate { name, len } => {
                let file = self.file(&name);
                self.contents[file].durable.resize(len, 0);
            }
            Call::Rename { from, to } => self.rename(&from, to),
            Call::Link { from, to } => {
                let file = self.file(&from);
                self.entries.insert(to, Entry::File(file));
            }
            Call::Unlink { name } | Call::RemoveDir { name } => {
                self.entries.remove(&name);
            }
            Call::Chmod { name, mode } => {
                let file = self.file(&name);
                self.contents[file].mode = Some(mode);
            }
            Call::MakeDir { name } => {
                self.entries.insert(name, Entry::Dir);
            }
            Call::Symlink { name } => {
                self.entries.insert(name, Entry::Symlink);
            }
        }
    }

    /// Renaming one link of a file onto another does nothing, says POSIX.
    fn rename(&mut self, from: &str, to: String) {
        let file = self.file(from);
        if matches!(self.entries.get(&to), Some(Entry::File(other)) if *other == file) {
            return;
        }
        self.entries.remove(from);
        self.entries.insert(to, Entry::File(file));
    }

    fn file(&self, name: &str) -> usize {
        match self.entries.get(name) {
            Some(Entry::File(file)) => *file,
            other => panic!("{name} is {other:?}"),
        }
    }

    /// Says what in `dir` does not fit this state.
    fn complaint(&self, dir: &Path, names: &BTreeSet<String>) -> Option<String> {
        let expected: BTreeSet<_> = self.entries.keys().cloned().collect();
        if expected != *names {
            let lost: Vec<_> = expected.difference(names).collect();
            let extra: Vec<_> = names.difference(&expected).collect();
            return Some(format!("lost {lost:?}, nobody made {extra:?}"));
        }
        self.entries.iter().find_map(|(name, entry)| {
            let path = dir.join(name);
            let complaint = match entry {
                Entry::File(file) => self.contents[*file].complaint(&path),
                Entry::Dir => (!path.is_dir()).then(|| "not a directory".to_owned()),
                Entry::Symlink => fs::read_link(&path).err().map(|error| error.to_string()),
            };
            complaint.map(|complaint| format!("{name}: {complaint}"))
        })
    }
}

impl Content {
    fn settle(&mut self) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            let end = offset + bytes.len();
            if self.durable.len() < end {
                self.durable.resize(end, 0);
            }
            self.durable[offset..end].copy_from_slice(&bytes);
        }
    }

    fn complaint(&self, path: &Path) -> Option<String> {
        let found = match fs::read(path) {
            Ok(found) => found,
            Err(error) => return Some(format!("cannot be read: {error}")),
        };
        if let Some(mode) = self.mode {
            let found = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            if found != mode {
                return Some(format!("mode {found:o}, not {mode:o}"));
            }
        }
        let most = self
            .pending
            .iter()
            .map(|(offset, bytes)| offset + bytes.len())
            .max();
        let most = most.unwrap_or(0).max(self.durable.len());
        if found.len() < self.durable.len() || found.len() > most {
            return Some(format!(
                "{} bytes, not {} to {most}",
                found.len(),
                self.durable.len()
            ));
        }
        if self.pending.is_empty() {
            let wrong = found
                .iter()
                .zip(&self.durable)
                .position(|(one, other)| one != other)?;
            return Some(format!("durable byte {wrong} of {} is lost", found.len()));
        }
        // Beyond the durable end a hole reads as zeros; everything else somebody must have written.
        let is_written = |(index, byte): (usize, &u8)| {
            let durable = self.durable.get(index).copied().unwrap_or(0) == *byte;
            durable
                || self.pending.iter().any(|(offset, bytes)| {
                    index
                        .checked_sub(*offset)
                        .and_then(|index| bytes.get(index))
                        == Some(byte)
                })
        };
        let wrong = found
            .iter()
            .enumerate()
            .position(|pair| !is_written(pair))?;
        Some(format!("nobody wrote byte {wrong} of {}", found.len()))
    }
}

impl Model {
    pub(super) fn begin(&mut self, call: Call) {
        self.in_flight = Some(call);
    }

    pub(super) fn finish(&mut self) {
        let call = self.in_flight.take().unwrap();
        self.state.apply(&call);
        self.acknowledged += 1;
    }

    /// As `finish`, for a call that returned after the kill: a `close` then promises nothing.
    pub(super) fn finish_late(&mut self) {
        match self.in_flight {
            Some(Call::Close) => {
                self.in_flight = None;
                self.state.open = None;
            }
            _ => self.finish(),
        }
    }

    pub(super) fn in_flight(&self) -> &Option<Call> {
        &self.in_flight
    }

    /// Panics unless `dir` holds what was acknowledged, with or without the call that was under way.
    #[track_caller]
    pub(super) fn check(&mut self, dir: &Path, context: &str) {
        if !self.state.root && !dir.exists() {
            return;
        }
        let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{context}: {error}"));
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = names.collect();
        let Some(without) = self.state.complaint(dir, &names) else {
            return;
        };
        let call = self.in_flight.clone();
        let mut after = self.state.clone();
        if let Some(call) = &call {
            after.apply_in_flight(call);
        }
        let with = after.complaint(dir, &names);
        assert!(
            with.is_none(),
            "{context}: {without}; with {call:?} under way: {with:?}"
        );
        // From now on only this state may be seen.
        self.state = after;
    }
}

impl State {
    /// As `apply`, for a call that did not return: its bytes may be there, but need not.
    fn apply_in_flight(&mut self, call: &Call) {
        match call {
            Call::Fsync | Call::Close => {}
            Call::Open { .. }
            | Call::MakeRoot
            | Call::Create { .. }
            | Call::Write { .. }
            | Call::Truncate { .. }
            | Call::Rename { .. }
            | Call::Link { .. }
            | Call::Unlink { .. }
            | Call::Chmod { .. }
            | Call::MakeDir { .. }
            | Call::RemoveDir { .. }
            | Call::Symlink { .. } => self.apply(call),
        }
    }
}
