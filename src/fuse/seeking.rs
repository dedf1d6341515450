//! LSEEK on the head: where data and holes are, once the kernel has sent what it holds.
//!
//! Under the write-back cache the kernel asks without having sent its dirty pages, and where they are it alone knows. So
//! it is made to send them first, by somebody who is not this process, and on a thread that serves nothing else: what
//! it sends are WRITE requests.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use fuser::Errno;

use super::answer::{Answer, Seeking};
use super::replies::Pending;
use crate::types::Ino;
use crate::volume::{Reading, Volume};

/// Has the kernel send what it holds of a file, and returns when it was answered. Never called by a thread that serves
/// requests.
pub type Flush = Box<dyn Fn(Ino) -> io::Result<()> + Send>;

/// The thread that answers LSEEK requests, which ends with this.
pub(super) struct Seeks {
    sender: Option<Sender<(Seeking, Pending)>>,
    thread: Option<JoinHandle<()>>,
}

impl Seeks {
    /// Answers for `volume`, with `flush`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(volume: &Arc<Volume>, flush: Flush) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        // Requests that wait here must not keep the volume from being closed.
        let volume = Arc::downgrade(volume);
        let thread = thread::Builder::new().name("seeks".to_owned());
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread.spawn(move || answer_all(&receiver, &volume, &flush))?),
        })
    }

    /// Has `pending` answered once the kernel has sent what it holds.
    pub(super) fn answer(&self, seeking: Seeking, pending: Pending) {
        // One that cannot be sent is dropped, and answers EIO by that.
        let sent = self
            .sender
            .as_ref()
            .map(|sender| sender.send((seeking, pending)).map_err(drop));
        if !matches!(sent, Some(Ok(()))) {
            log::error!("nobody answers where the data of {} is", seeking.ino);
        }
    }
}

fn answer_all(requests: &Receiver<(Seeking, Pending)>, volume: &Weak<Volume>, flush: &Flush) {
    for (Seeking { ino, offset, seek }, pending) in requests {
        if let Err(error) = flush(ino)
            && let Some(errno) = errno_of(&error)
        {
            log::info!(
                "holes of {ino} are not told, for what is held of it cannot be had: {error}"
            );
            pending.error(errno);
            continue;
        }
        let Some(volume) = volume.upgrade() else {
            pending.error(Errno::EIO);
            continue;
        };
        let found = Reading::Head(&volume).seek(ino, offset, seek);
        pending.send(found.map(Answer::Offset));
    }
}

/// What a failed flush makes of the answer; none if it can be given all the same.
fn errno_of(error: &io::Error) -> Option<Errno> {
    use io::ErrorKind::{
        FileTooLarge, NotFound, PermissionDenied, QuotaExceeded, StaleNetworkFileHandle,
        StorageFull,
    };
    match error.kind() {
        // Nobody may: the kernel takes files for whole from now on, and asks no more.
        PermissionDenied => Some(Errno::ENOSYS),
        // What was refused is remembered as data, and a file that is gone is not found.
        StorageFull | QuotaExceeded | FileTooLarge | StaleNetworkFileHandle | NotFound => None,
        _ if error.raw_os_error() == Some(libc::EIO) => None,
        _ => Some(Errno::EIO),
    }
}

impl Drop for Seeks {
    /// Waits for the thread: the volume must not be held when the connection has ended.
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that answers where data is panicked");
        }
    }
}

impl fmt::Debug for Seeks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seeks")
    }
}
