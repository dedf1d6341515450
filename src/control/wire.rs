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

use super::message::VERSIONS;
use super::versions::{NoCommon, Versions};

/// The longest line, in bytes, of whoever asks.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// The longest line, in bytes, of a server, which may tell of many files.
const ANSWER_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// One end of a control connection.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    speaks: Versions,
    /// In which version to speak, once the other side was heard: the highest common one.
    agreed: Option<u32>,
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
    /// The two sides have no version in common.
    #[error(transparent)]
    NoCommon(#[from] NoCommon),
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    version: u32,
    speaks: Versions,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
    /// A program that says nothing speaks that one version only.
    speaks: Option<Versions>,
}

impl Wire {
    /// The server's end of `stream`.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self::limited(stream, VERSIONS, REQUEST_BYTES_MAX)
    }

    /// An end of `stream`, on which another protocol of this kind is spoken in these versions.
    #[must_use]
    pub fn speaking(stream: UnixStream, speaks: Versions) -> Self {
        Self::limited(stream, speaks, REQUEST_BYTES_MAX)
    }

    /// The end of `stream` that asks, in these versions.
    #[must_use]
    pub(super) fn asking(stream: UnixStream, speaks: Versions) -> Self {
        Self::limited(stream, speaks, ANSWER_BYTES_MAX)
    }

    fn limited(stream: UnixStream, speaks: Versions, limit: usize) -> Self {
        Self {
            stream,
            speaks,
            agreed: None,
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

    /// The version that both sides use; nothing before a message of the other one was received.
    #[must_use]
    pub const fn agreed(&self) -> Option<u32> {
        self.agreed
    }

    /// Whether the other side must be heard before the version of what is said to it is known.
    #[must_use]
    pub(super) fn must_agree(&self) -> bool {
        self.agreed.is_none() && self.speaks.oldest() < self.speaks.newest()
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
        let speaks = self.speaks;
        // The oldest before anything is agreed on: a program that knows of no ranges refuses every version but its own.
        let version = self.agreed.unwrap_or(speaks.oldest());
        let mut line = serde_json::to_vec(&Outgoing {
            version,
            speaks,
            body,
        })?;
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
                // The other side may be gone: that is an error of this call, and no SIGPIPE for the process.
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
        // Taken before the line is understood, or not: it must never pass for that of the next message.
        let descriptor = self.descriptor.take();
        self.agree(&serde_json::from_slice(&line)?)?;
        let body = serde_json::from_slice(&line)?;
        Ok(Some(Received { body, descriptor }))
    }

    fn agree(&mut self, said: &Versioned) -> Result<(), NoCommon> {
        let ours = self.speaks;
        let theirs = said.speaks.unwrap_or(Versions::only(said.version));
        let common = ours.common(theirs);
        // Only a refusal can follow where there is none: said in a version of theirs, it is read by every program.
        self.agreed = common.or(Some(theirs.newest()));
        match common {
            Some(_) => Ok(()),
            None => Err(NoCommon { theirs, ours }),
        }
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
        // Reading a line may have brought some of what is behind it.
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

    use super::super::{Answer, Device, Fault, FaultKind, Request, Tree};
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
            Err(WireError::NoCommon(no)) if no.theirs == Versions::only(1)
        ));
        assert!(matches!(
            b.receive::<Answer>(),
            Err(WireError::NotUnderstood(_))
        ));
        raw.write_all(&vec![b'x'; REQUEST_BYTES_MAX + 16 * 1024])
            .unwrap();
        assert!(matches!(b.receive::<Answer>(), Err(WireError::TooLong(_))));
    }

    fn speaking(ours: Versions, theirs: Versions) -> (Wire, Wire) {
        let (a, b) = UnixStream::pair().unwrap();
        (Wire::speaking(a, ours), Wire::speaking(b, theirs))
    }

    #[test]
    fn two_ranges_agree_whoever_is_the_newer() {
        let cases = [
            ((2, 2), (2, 5), Some(2)),
            ((1, 3), (2, 5), Some(3)),
            ((3, 4), (4, 6), Some(4)),
            ((1, 2), (3, 4), None),
        ];
        let cases = cases
            .into_iter()
            .flat_map(|(one, other, common)| [(one, other, common), (other, one, common)]);
        for ((oldest, newest), (from, to), common) in cases {
            let (mut a, mut b) = speaking(Versions::of(oldest, newest), Versions::of(from, to));
            a.send(&Request::Status, None).unwrap();
            let heard = b.receive::<Request>();
            assert_eq!(
                heard.is_ok(),
                common.is_some(),
                "{oldest}-{newest}, {from}-{to}"
            );
            b.send(&Answer::Done, None).unwrap();
            let answered = a.receive::<Answer>();
            assert_eq!(answered.is_ok(), common.is_some());
            if common.is_some() {
                assert_eq!((a.agreed(), b.agreed()), (common, common));
            }
        }
    }

    #[test]
    fn a_refusal_is_read_by_a_program_that_knows_of_no_ranges() {
        let (mut raw, ours) = UnixStream::pair().unwrap();
        let mut ours = Wire::new(ours);
        raw.write_all(b"{\"version\":1,\"request\":\"status\"}\n")
            .unwrap();
        assert!(ours.receive::<Request>().is_err());
        let fault = Fault {
            kind: FaultKind::Refused,
            message: "no".to_owned(),
        };
        ours.send(&Answer::Fault(fault), None).unwrap();
        drop(ours);
        let mut said = String::new();
        raw.read_to_string(&mut said).unwrap();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (&said["version"], &said["message"]),
            (&1.into(), &"no".into())
        );
    }
}
