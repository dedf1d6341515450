//! The asking side of the control protocol.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Answer, Device, Fault, Op, Received, Request, Status, Wire, WireError, address};

/// A connection to a volume's server.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server ended, or was killed.
    #[error("the volume's server has ended")]
    Ended,
    /// The server says no.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The connection failed, or what came was no answer.
    #[error(transparent)]
    Wire(WireError),
    /// The answer belongs to another request.
    #[error("the volume's server answered something else than was asked")]
    Mismatch,
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(e) if is_end(&e) => Self::Ended,
            WireError::Io(_)
            | WireError::TooLong
            | WireError::NotUnderstood(_)
            | WireError::Version(_) => Self::Wire(error),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

impl Client {
    /// Connects to the server of the volume in `dir`; `None` when there is none.
    ///
    /// # Errors
    /// No permission, or `dir` cannot be opened.
    pub fn connect(dir: &Path) -> io::Result<Option<Self>> {
        Ok(address::connect(dir)?.map(Self::over))
    }

    /// Asks over a connection that is there already.
    #[must_use]
    pub fn over(stream: UnixStream) -> Self {
        Self {
            wire: Wire::new(stream),
        }
    }

    /// Asks who the server is and what it does.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn status(&mut self) -> Result<Status, Error> {
        let answer = self.call(Request::Status, None)?.body;
        if let Answer::Status(status) = answer {
            return Ok(status);
        }
        Err(unexpected(answer))
    }

    /// Hands over a `/dev/fuse` descriptor; returns when the handshake is done.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn attach(&mut self, device: Device, fuse: BorrowedFd<'_>) -> Result<(), Error> {
        let answer = self.call(Request::Attach { device }, Some(fuse))?.body;
        if answer == Answer::Attached {
            return Ok(());
        }
        Err(unexpected(answer))
    }

    /// Fetches the server's `/dev/fuse` descriptor.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn descriptor(&mut self) -> Result<OwnedFd, Error> {
        let received = self.call(Request::Descriptor, None)?;
        match (received.body, received.descriptor) {
            (Answer::Descriptor, Some(descriptor)) => Ok(descriptor),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Has the server do something with its volume.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn perform(&mut self, op: Op) -> Result<Answer, Error> {
        let answer = self.call(Request::Perform { op }, None)?.body;
        if let Answer::Fault(fault) = answer {
            return Err(fault.into());
        }
        Ok(answer)
    }

    /// Waits until the server's process is gone, and with it its hold on the volume; says whether
    /// that came true within `patience`.
    ///
    /// # Errors
    /// When the connection fails otherwise than by its end.
    pub fn wait_for_end(&mut self, patience: Duration) -> io::Result<bool> {
        let mut stream = self.wire.stream();
        stream.set_read_timeout(Some(patience))?;
        let outcome = stream.read(&mut [0]);
        stream.set_read_timeout(None)?;
        match outcome {
            Ok(_) => Ok(true),
            Err(e) if is_end(&e) => Ok(true),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    fn call(
        &mut self,
        request: Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Received<Answer>, Error> {
        self.wire
            .send(&request, descriptor)
            .map_err(WireError::from)?;
        self.wire.receive()?.ok_or(Error::Ended)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.stream().as_fd()
    }
}

fn unexpected(answer: Answer) -> Error {
    if let Answer::Fault(fault) = answer {
        return Error::Fault(fault);
    }
    Error::Mismatch
}
