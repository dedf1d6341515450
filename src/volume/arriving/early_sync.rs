//! A thread that makes chunks durable while more of them come, so that little is left to wait for at the end.
//!
//! It vouches for nothing: what comes last is synced by whoever ends. But it is the one that hears of bytes which the host
//! has lost, for that is told once (fsync(2)).

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::chunks::{self, ChunkStore, Stream};

/// Bytes that come between two syncs: much more than what a flush of the disk is worth.
const EACH_BYTES: u64 = 32 * 1024 * 1024;

/// Of the chunks of one store.
#[derive(Debug)]
pub(super) struct EarlySync {
    chunks: Arc<ChunkStore>,
    /// Bytes that came since it was asked for last.
    came: Cell<u64>,
    syncing: RefCell<Option<Syncing>>,
}

impl EarlySync {
    pub(super) const fn of(chunks: Arc<ChunkStore>) -> Self {
        Self {
            chunks,
            came: Cell::new(0),
            syncing: RefCell::new(None),
        }
    }

    /// So many bytes were appended. Does not wait.
    pub(super) fn appended(&self, bytes: u64) {
        let came = self.came.get() + bytes;
        self.came.set(came % EACH_BYTES);
        if came < EACH_BYTES {
            return;
        }
        let mut syncing = self.syncing.borrow_mut();
        if syncing.is_none() {
            let chunks = Arc::clone(&self.chunks);
            let sync = move || chunks.sync(Stream::Fresh, |synced| synced).map(drop);
            *syncing = Syncing::start(sync);
        }
        if let Some(syncing) = &*syncing {
            syncing.ask();
        }
    }

    /// Waits for what was begun.
    ///
    /// # Errors
    /// [`chunks::Error::Io`] when a sync failed: what came is then lost, whatever a later sync says.
    pub(super) fn end(&self) -> chunks::Result<()> {
        self.syncing.take().map_or(Ok(()), Syncing::end)
    }
}

/// The thread; it ends with the first error, or when nobody asks any more.
#[derive(Debug)]
struct Syncing {
    /// Nothing once it is to end.
    asking: Option<SyncSender<()>>,
    thread: Option<JoinHandle<chunks::Result<()>>>,
}

impl Syncing {
    /// `None` where the host has no room for one more thread: then all is synced at the end.
    fn start(mut sync: impl FnMut() -> chunks::Result<()> + Send + 'static) -> Option<Self> {
        let (asking, asked) = sync_channel(1);
        let thread = thread::Builder::new().name("early-sync".to_owned());
        let thread = thread.spawn(move || {
            while asked.recv().is_ok() {
                sync()?;
            }
            Ok(())
        });
        let thread = thread.inspect_err(|e| log::debug!("cannot start a thread that syncs: {e}"));
        Some(Self {
            asking: Some(asking),
            thread: Some(thread.ok()?),
        })
    }

    fn ask(&self) {
        if let Some(asking) = &self.asking {
            // It has enough to do where this fails, or has ended with an error, which `end` tells.
            asking.try_send(()).ok();
        }
    }

    fn end(mut self) -> chunks::Result<()> {
        self.asking = None;
        let ended = self.thread.take().map(JoinHandle::join);
        let ended = ended.unwrap_or(Ok(Ok(())));
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Syncing {
    /// After an error elsewhere: its files may go once it has ended.
    fn drop(&mut self) {
        self.asking = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::*;
    use crate::chunks::NewChunk;
    use crate::types::SegmentId;

    #[test]
    fn what_came_is_synced_once_there_is_enough_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = ChunkStore::open(dir.path(), SegmentId::from_raw(1)).unwrap();
        let store = Arc::new(store);
        let early = EarlySync::of(Arc::clone(&store));
        let chunk = NewChunk::of(b"bytes");
        drop(store.append(Stream::Fresh, &[&chunk]).unwrap());
        early.appended(EACH_BYTES - 1);
        early.end().unwrap();
        assert!(store.has_unsynced(Stream::Fresh));
        early.appended(1);
        early.end().unwrap();
        assert!(!store.has_unsynced(Stream::Fresh));
    }

    #[test]
    fn an_error_that_the_host_tells_once_is_told_at_the_end() {
        let mut syncs = 0;
        let syncing = Syncing::start(move || {
            syncs += 1;
            let lost = chunks::Error::Io {
                op: "sync",
                path: PathBuf::new(),
                source: io::ErrorKind::Other.into(),
            };
            if syncs == 1 { Err(lost) } else { Ok(()) }
        });
        let syncing = syncing.unwrap();
        for _ in 0..100 {
            syncing.ask();
            thread::yield_now();
        }
        assert!(matches!(syncing.end(), Err(chunks::Error::Io { .. })));
    }
}
