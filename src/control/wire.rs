//! Lines of JSON over a Unix stream, with at most one descriptor beside each.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::VERSION;

/// The longest line, in bytes, of whoever asks.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The longest line, in bytes, of a server, which may tell of many files.
const ANSWER_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// One end of a control connection.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    version: u32,
    limit: usize,
    pending: Vec<u8>,
    /// How much of `pending` has no end of a line in it.
    searched: usize,
    descriptor: Option<OwnedFd>,
}

/// A message and the descriptor that came with it.
#[derive(Debug)]
pub struct Received<T> {
    /// The message.
    pub body: T,
    /// The descriptor, if there was one.
    pub descriptor: Option<OwnedFd>,
}

/// Why no message could be received.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection failed.
    #[error("the control connection failed")]
    Io(#[from] io::Error),
    /// The line was over the limit.
    #[error("a message is longer than {0} bytes")]
    TooLong(usize),
    /// The line was no message of this protocol.
    #[error("a message cannot be understood: {0}")]
    NotUnderstood(#[from] serde_json::Error),
    /// The other side is of another version.
    #[error("the other side speaks version {0} of the protocol, this cask {1}")]
    Version(u32, u32),
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    version: u32,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Wire {
    /// The server's end of `stream`.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self::limited(stream, VERSION, REQUEST_BYTES_MAX)
    }

    /// An end of `stream`, on which another protocol of this kind is spoken in this version.
    #[must_use]
    pub fn speaking(stream: UnixStream, version: u32) -> Self {
        Self::limited(stream, version, REQUEST_BYTES_MAX)
    }

    /// The end of `stream` that asks.
    #[must_use]
    pub(super) fn asking(stream: UnixStream) -> Self {
        Self::limited(stream, VERSION, ANSWER_BYTES_MAX)
    }

    fn limited(stream: UnixStream, version: u32, limit: usize) -> Self {
        Self {
            stream,
            version,
            limit,
            pending: Vec::new(),
            searched: 0,
            descriptor: None,
        }
    }

    /// The connection itself.
    #[must_use]
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Sends one message, and a copy of `descriptor` with its first byte.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send<T: Serialize>(
        &mut self,
        body: &T,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let version = self.version;
        let mut line = serde_json::to_vec(&Outgoing { version, body })?;
        line.push(b'\n');
        let mut sent = self.send_some(&line, descriptor)?;
        while sent < line.len() {
            sent += self.send_some(&line[sent..], None)?;
        }
        Ok(())
    }

    fn send_some(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = descriptor.map(|fd| [fd]);
        if let Some(fds) = &descriptors
            && !control.push(SendAncillaryMessage::ScmRights(fds))
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(
                &self.stream,
                &[IoSlice::new(bytes)],
                &mut control,
                SendFlags::NOSIGNAL,
            )
        })
        .map_err(Into::into)
    }

    /// The next message; `None` at the end of the connection.
    ///
    /// # Errors
    /// See [`WireError`]. Only after [`WireError::NotUnderstood`] can the connection be used further.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<Received<T>>, WireError> {
        let Some(line) = self.receive_line()? else {
            return Ok(None);
        };
        let descriptor = self.descriptor.take();
        let Versioned { version } = serde_json::from_slice(&line)?;
        if version != self.version {
            return Err(WireError::Version(version, self.version));
        }
        let body = serde_json::from_slice(&line)?;
        Ok(Some(Received { body, descriptor }))
    }

    /// Sends bytes as they are, behind the message that announces them.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            sent += self.send_some(&bytes[sent..], None)?;
        }
        Ok(())
    }

    /// The next `len` bytes, behind the message that announced them; `None` when the connection ends before.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn receive_bytes(&mut self, len: usize) -> io::Result<Option<Vec<u8>>> {
        let early = self.pending.len().min(len);
        let mut bytes: Vec<u8> = self.pending.drain(..early).collect();
        bytes.resize(len, 0);
        match (&self.stream).read_exact(&mut bytes[early..]) {
            Ok(()) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn receive_line(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        loop {
            let fresh = &self.pending[self.searched..];
            if let Some(end) = fresh.iter().position(|&byte| byte == b'\n') {
                let rest = self.pending.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.pending, rest)));
            }
            self.searched = self.pending.len();
            if self.pending.len() > self.limit {
                return Err(WireError::TooLong(self.limit));
            }
            if self.receive_some()? == 0 {
                return Ok(None);
            }
        }
    }

    fn receive_some(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(
                self.stream.as_fd(),
                &mut [IoSliceMut::new(&mut bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptor = descriptors.last();
            }
        }
        self.pending.extend_from_slice(&bytes[..received.bytes]);
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::super::{Answer, Device, Request, Tree};
    use super::*;

    fn pair() -> (Wire, Wire) {
        let (a, b) = UnixStream::pair().unwrap();
        (Wire::new(a), Wire::new(b))
    }

    #[test]
    fn a_message_arrives_with_its_descriptor() {
        let (mut a, mut b) = pair();
        let attach = || Request::Attach {
            tree: Tree::Head,
            device: Device { major: 0, minor: 7 },
        };
        let null = File::open("/dev/null").unwrap();
        a.send(&attach(), Some(null.as_fd())).unwrap();
        a.send(&Request::Status, None).unwrap();
        let first = b.receive::<Request>().unwrap().unwrap();
        assert_eq!(first.body, attach());
        assert!(first.descriptor.is_some());
        let second = b.receive::<Request>().unwrap().unwrap();
        assert!(second.descriptor.is_none());
        drop(a);
        assert!(b.receive::<Request>().unwrap().is_none());
    }

    #[test]
    fn other_versions_and_endless_lines_are_refused() {
        let (a, mut b) = pair();
        let mut raw = a.stream();
        raw.write_all(b"{\"version\":1,\"answer\":\"synced\"}\n{\"version\":2}\n")
            .unwrap();
        assert!(matches!(
            b.receive::<Answer>(),
            Err(WireError::Version(1, _))
        ));
        assert!(matches!(
            b.receive::<Answer>(),
            Err(WireError::NotUnderstood(_))
        ));
        raw.write_all(&vec![b'x'; REQUEST_BYTES_MAX + 16 * 1024])
            .unwrap();
        assert!(matches!(b.receive::<Answer>(), Err(WireError::TooLong(_))));
    }
}
