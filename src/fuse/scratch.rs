//! A volume for tests, asked as the kernel asks, without one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::answer::{Answer, Listed, Page, What};
use super::request::{Detail, Listing, Operation, Request, Sent, Wanted};
use super::serve::Serve;
use crate::types::{Attr, Caller, ChunkBytes, FileKind, Ino, Name, NewNode, RequestId};
use crate::volume::{self, Config, Result, RootOwner, SetIdBits, Volume, WriteOrigin};

/// A new volume, which goes when this is dropped.
pub(super) struct Scratch {
    pub(super) volume: Arc<Volume>,
    _dir: tempfile::TempDir,
}

/// A page with room for so many entries.
#[derive(Debug)]
pub(super) struct Sheet {
    room: usize,
    pub(super) entries: Vec<(String, Ino, u64)>,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        let config = Config::new(ChunkBytes::DEFAULT, BTreeMap::new());
        let root = RootOwner {
            uid: 0,
            gid: 0,
            mode: 0o755,
        };
        volume::create(&path, &config, root).unwrap();
        Self {
            volume: Arc::new(Volume::open(&path).unwrap()),
            _dir: dir,
        }
    }

    /// Whether there still is such an inode, once all that has ended is freed.
    pub(super) fn has(&self, ino: Ino) -> bool {
        self.volume.reap().unwrap();
        self.volume.getattr(ino).is_ok()
    }
}

/// The `number`th request of a connection, by the superuser.
pub(super) fn numbered(number: u64, sent: Sent, at: Ino, operation: Operation<'_>) -> Request<'_> {
    Request {
        at,
        caller: Caller::root(),
        id: RequestId::new(7, number),
        sent,
        operation,
    }
}

/// Asks `serve` something that comes once, by the superuser.
pub(super) fn ask(serve: &impl Serve, at: Ino, operation: Operation<'_>) -> Result<Answer> {
    serve.answer(&numbered(1, Sent::Once, at, operation))
}

pub(super) fn name(text: &str) -> &Name {
    Name::parse(text.as_bytes()).unwrap()
}

pub(super) fn look_up(text: &str) -> Operation<'_> {
    let wanted = Wanted::Named(name(text));
    Operation::Lookup { wanted }
}

pub(super) fn node(kind: FileKind) -> NewNode<'static> {
    NewNode {
        kind,
        mode: 0o644,
        umask: 0,
        rdev: 0,
        target: &[],
    }
}

pub(super) fn make_file(text: &str) -> Operation<'_> {
    Operation::Mknod {
        name: name(text),
        new: node(FileKind::File),
    }
}

pub(super) fn write(data: &[u8]) -> Operation<'_> {
    Operation::Write {
        offset: 0,
        data,
        origin: WriteOrigin::Caller,
        bits: SetIdBits::Keep,
    }
}

/// The attributes in an answer.
#[track_caller]
pub(super) fn attr(answer: Result<Answer>) -> Attr {
    match answer {
        Ok(Answer::Entry(told)) => told.attr,
        Ok(Answer::Attr(attr)) => attr,
        other => panic!("no attributes in {other:?}"),
    }
}

/// The directory `dir` from its beginning, as much as fits on a page of `room` entries.
pub(super) fn list(serve: &impl Serve, dir: Ino, detail: Detail, room: usize) -> Sheet {
    let entries = Vec::new();
    let mut sheet = Sheet { room, entries };
    let after = 0;
    let listing = Listing { dir, after, detail };
    serve.list(&listing, &mut sheet).unwrap();
    sheet
}

impl Sheet {
    pub(super) fn names(&self) -> Vec<&str> {
        let names = self.entries.iter();
        names.map(|(name, ..)| name.as_str()).collect()
    }
}

impl Page for Sheet {
    fn add(&mut self, entry: &Listed<'_>) -> ControlFlow<()> {
        if self.entries.len() == self.room {
            return ControlFlow::Break(());
        }
        let name = String::from_utf8(entry.name.to_vec()).unwrap();
        let valid = match entry.what {
            What::Dots(_) => 0,
            What::Entry(told) => told.valid.as_secs(),
        };
        self.entries.push((name, entry.what.ino(), valid));
        ControlFlow::Continue(())
    }
}
