//! The asking side of the control protocol.

use std::io::{self, Read};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::message::WORK;
use super::{
    Answer, Ask, Change, Device, Fault, GroupPart, Op, Received, Request, Status, Told, Tree,
    VERSIONS, Versions, Wire, WireError, address,
};
use crate::types::{Measured, SnapshotName, Usage};

/// How long a server may take to say who it is, which needs nothing but its attention.
const STATUS_WAIT_MAX: Duration = Duration::from_secs(15);

/// A connection to a volume's server.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

/// What comes of long work before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes are done.
    Progress(u64),
    /// Some of the changes, in their order.
    Changes(Vec<Change>),
}

/// A state that is read out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateRead {
    /// Whether it may change meanwhile.
    pub live: bool,
    /// Whether the server tells which rows changed since a snapshot.
    pub tells_changes: bool,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server ended, or was killed.
    #[error("the volume's server has ended")]
    Ended,
    /// The server takes too long.
    #[error("the volume's server does not answer")]
    Silent,
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
            WireError::Io(e) if is_silence(&e) => Self::Silent,
            WireError::Io(_)
            | WireError::TooLong(_)
            | WireError::NotUnderstood(_)
            | WireError::NoCommon(_) => Self::Wire(error),
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        // A read that has waited as long as it may says EAGAIN (socket(7), SO_RCVTIMEO).
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected
    )
}

impl Client {
    /// Connects to the server of the volume in `dir`, which may be of another cask; `None` when there is none.
    ///
    /// # Errors
    /// No permission, or `dir` cannot be opened.
    pub fn connect(dir: &Path) -> io::Result<Option<Self>> {
        Ok(address::connect(dir)?.map(|stream| Self::speaking(stream, VERSIONS)))
    }

    /// Asks over a connection to another process, or thread, of this very program.
    #[must_use]
    pub fn over(stream: UnixStream) -> Self {
        Self::speaking(stream, Versions::only(VERSIONS.newest()))
    }

    fn speaking(stream: UnixStream, versions: Versions) -> Self {
        Self {
            wire: Wire::asking(stream, versions),
        }
    }

    /// Asks who the server is and what it does.
    ///
    /// # Errors
    /// [`Error::Silent`] after a while; see [`Error`].
    pub fn status(&mut self) -> Result<Status, Error> {
        self.send(&Request::Status, None)?;
        self.receive_within(STATUS_WAIT_MAX).and_then(expect_status)
    }

    /// Waits until a server that was just started has opened its volume, which may take a recovery.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Fault`] says why the volume could not be opened.
    pub fn await_start(&mut self) -> Result<Status, Error> {
        expect_status(self.call(&Request::Status, None)?.body)
    }

    /// Hands over a `/dev/fuse` descriptor; returns when the handshake is done.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn attach(
        &mut self,
        tree: &Tree,
        device: Device,
        fuse: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let tree = tree.clone();
        let answer = self
            .call(&Request::Attach { tree, device }, Some(fuse))?
            .body;
        if answer == Answer::Attached {
            return Ok(());
        }
        Err(unexpected(answer))
    }

    /// Fetches the server's `/dev/fuse` descriptor of the mount that shows `tree`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn descriptor(&mut self, tree: &Tree) -> Result<OwnedFd, Error> {
        let received = self.call(&Request::Descriptor { tree: tree.clone() }, None)?;
        match (received.body, received.descriptor) {
            (Answer::Descriptor, Some(descriptor)) => Ok(descriptor),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Asks what the server has counted, which it says within `wait_max`.
    ///
    /// # Errors
    /// [`Error::Silent`] if it does not; [`Error::Fault`] from a server of an earlier cask; see [`Error`].
    pub fn measure(&mut self, wait_max: Duration) -> Result<Measured, Error> {
        match self.call_within(&Request::Measure, wait_max)? {
            Answer::Measured(measured) => Ok(measured),
            other => Err(unexpected(other)),
        }
    }

    /// Asks what the volume holds, which the server says within `wait_max`.
    ///
    /// # Errors
    /// [`Error::Silent`] if it does not; see [`Error`].
    pub fn usage(&mut self, wait_max: Duration) -> Result<Usage, Error> {
        match self.call_within(&Request::Perform { op: Op::Usage }, wait_max)? {
            Answer::Usage(usage) => Ok(usage),
            other => Err(unexpected(other)),
        }
    }

    fn call_within(&mut self, request: &Request, wait_max: Duration) -> Result<Answer, Error> {
        if self.wire.must_agree() {
            let status = Request::Status;
            self.wire.send(&status, None).map_err(WireError::from)?;
            self.receive_within(wait_max).and_then(expect_status)?;
        }
        self.wire.send(request, None).map_err(WireError::from)?;
        self.receive_within(wait_max)
    }

    /// Has the server do something with its volume.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn perform(&mut self, op: Op) -> Result<Answer, Error> {
        let answer = self.call(&Request::Perform { op }, None)?.body;
        if let Answer::Fault(fault) = answer {
            return Err(fault.into());
        }
        Ok(answer)
    }

    /// Begins work that may take long: [`Self::next_of_work`] tells what comes of it. It ends early with the connection.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin_work(&mut self, op: Op) -> Result<(), Error> {
        if self.wire.must_agree() {
            self.status()?;
        }
        let request = if self.wire.agreed() < Some(WORK) {
            Request::Perform { op }
        } else {
            Request::Work { op }
        };
        self.send(&request, None)
    }

    /// After [`Self::begin_work`]: the next piece, or the answer after the last. A server of an earlier cask says all in
    /// one piece, and nothing before it is done.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn next_of_work(&mut self) -> Result<ControlFlow<Answer, Piece>, Error> {
        match self.wire.receive()?.ok_or(Error::Ended)?.body {
            Answer::Progress { done } => Ok(ControlFlow::Continue(Piece::Progress(done))),
            Answer::Changes { list } if self.wire.agreed() >= Some(WORK) => {
                Ok(ControlFlow::Continue(Piece::Changes(list)))
            }
            Answer::Fault(fault) => Err(fault.into()),
            answer => Ok(ControlFlow::Break(answer)),
        }
    }

    /// Has a state of the volume read out over this connection: `from`, or as it is now.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin_reading(&mut self, from: Option<&SnapshotName>) -> Result<StateRead, Error> {
        let from = from.cloned();
        match self.call(&Request::Read { from }, None)?.body {
            Answer::Reading {
                live,
                tells_changes,
            } => Ok(StateRead {
                live,
                tells_changes,
            }),
            other => Err(unexpected(other)),
        }
    }

    /// Ends what [`Self::begin_reading`] or [`Self::begin_work`] began, or tried to. If the server ends for that, returns
    /// when it has closed the volume.
    ///
    /// # Errors
    /// [`Error::Fault`] when the volume could not be closed in order.
    pub fn end(mut self) -> Result<(), Error> {
        // Of a connection that is over nothing more is heard.
        if self.wire.stream().shutdown(Shutdown::Write).is_err() {
            return Ok(());
        }
        loop {
            match self.wire.receive::<Answer>() {
                Ok(Some(received)) => {
                    if let Answer::Fault(fault) = received.body {
                        return Err(fault.into());
                    }
                }
                // What was asked for and not read any more.
                Err(WireError::NotUnderstood(_)) => {}
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    /// After [`Self::begin_reading`]: asks something of the state.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn ask(&mut self, ask: &Ask) -> Result<Told, Error> {
        self.wire.send(ask, None).map_err(WireError::from)?;
        match self.wire.receive()?.ok_or(Error::Ended)?.body {
            Told::Fault(fault) => Err(fault.into()),
            told => Ok(told),
        }
    }

    /// The bytes behind [`Told::Bytes`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn receive_bytes(&mut self, len: u64) -> Result<Vec<u8>, Error> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = self.wire.receive_bytes(len).map_err(WireError::from)?;
        bytes.ok_or(Error::Ended)
    }

    /// Has every change of the volume wait for a group snapshot; [`Error::Silent`] if that is not so within `wait_max`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn hold_for_group(&mut self, part: GroupPart, wait_max: Duration) -> Result<(), Error> {
        self.send(&Request::HoldForGroup { part }, None)?;
        self.expect_within(&Answer::Held, wait_max)
    }

    /// Has the volume that holds its changes take its snapshot. [`Self::prepared_within`] tells when it has.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn prepare_in_group(&mut self) -> Result<(), Error> {
        self.send(&Request::PrepareInGroup, None)
    }

    /// Waits until the snapshot of a group is durable.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn prepared_within(&mut self, wait_max: Duration) -> Result<(), Error> {
        self.expect_within(&Answer::Prepared, wait_max)
    }

    /// Has the volume act on what became of the group snapshot. [`Self::concluded_within`] tells when it has.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn conclude_in_group(&mut self) -> Result<(), Error> {
        self.send(&Request::ConcludeInGroup, None)
    }

    /// Waits until the volume has acted on what became of the group snapshot.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn concluded_within(&mut self, wait_max: Duration) -> Result<(), Error> {
        self.expect_within(&Answer::Done, wait_max)
    }

    fn send(&mut self, request: &Request, descriptor: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        // In whose version a request is understood is known once the server was heard, and this is asked alike in all.
        if self.wire.must_agree() && *request != Request::Status {
            self.status()?;
        }
        Ok(self
            .wire
            .send(request, descriptor)
            .map_err(WireError::from)?)
    }

    fn expect_within(&mut self, expected: &Answer, wait_max: Duration) -> Result<(), Error> {
        let answer = self.receive_within(wait_max)?;
        if answer == *expected {
            return Ok(());
        }
        Err(unexpected(answer))
    }

    /// Has the server tell when the volume is closed: [`Self::closed_within`] then waits for that, and
    /// nothing else can be asked over this connection.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn await_close(&mut self) -> Result<(), Error> {
        let answer = self.call(&Request::AwaitClose, None)?.body;
        if answer == Answer::Watching {
            return Ok(());
        }
        Err(unexpected(answer))
    }

    /// Has `program`, an open file, serve the volume instead of this server, which ends.
    ///
    /// # Errors
    /// See [`Error`]: the server lives on.
    pub fn replace(&mut self, program: BorrowedFd<'_>) -> Result<(), Error> {
        match self.call(&Request::Replace, Some(program)) {
            // A server that gives way to the program ends, without a word.
            Err(Error::Ended) => Ok(()),
            Ok(answer) => Err(unexpected(answer.body)),
            Err(error) => Err(error),
        }
    }

    /// Whether the volume was closed within `wait_max`.
    ///
    /// # Errors
    /// [`Error::Fault`] if it could not be closed in order, [`Error::Ended`] if the server died instead.
    pub fn closed_within(&mut self, wait_max: Duration) -> Result<bool, Error> {
        match self.receive_within(wait_max) {
            Err(Error::Silent) => Ok(false),
            Ok(Answer::Closed) => Ok(true),
            Ok(other) => Err(unexpected(other)),
            Err(error) => Err(error),
        }
    }

    fn receive_within(&mut self, wait_max: Duration) -> Result<Answer, Error> {
        let limit =
            |stream: &UnixStream, limit| stream.set_read_timeout(limit).map_err(WireError::from);
        limit(self.wire.stream(), Some(wait_max))?;
        let received = self.wire.receive()?;
        limit(self.wire.stream(), None)?;
        received.map(|received| received.body).ok_or(Error::Ended)
    }

    /// Waits until the server's process is gone, and with it its hold on the volume; says whether
    /// that came true within `wait_max`.
    ///
    /// # Errors
    /// When the connection fails otherwise than by its end.
    pub fn wait_for_end(&mut self, wait_max: Duration) -> io::Result<bool> {
        let mut stream = self.wire.stream();
        stream.set_read_timeout(Some(wait_max))?;
        let outcome = stream.read(&mut [0]);
        stream.set_read_timeout(None)?;
        match outcome {
            Ok(_) => Ok(true),
            Err(e) if is_end(&e) => Ok(true),
            Err(e) if is_silence(&e) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn call(
        &mut self,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Received<Answer>, Error> {
        self.send(request, descriptor)?;
        self.wire.receive()?.ok_or(Error::Ended)
    }
}

fn expect_status(answer: Answer) -> Result<Status, Error> {
    if let Answer::Status(status) = answer {
        return Ok(status);
    }
    Err(unexpected(answer))
}

fn unexpected(answer: Answer) -> Error {
    if let Answer::Fault(fault) = answer {
        return Error::Fault(fault);
    }
    Error::Mismatch
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::thread;

    use serde_json::Value;

    use super::*;

    const STATUS: &str = r#""answer":"status","pid":1,"uuid":"3d9a1b0e-7c1f-4f0a-9a52-0d5f6c8e1a77","phase":"serving","device":null,"snapshots":null"#;

    /// Has a client of `versions` ask for `Sync` of a server that begins its answers with `head`. What it got, and in
    /// which versions it asked for what.
    fn talk(versions: Versions, head: &'static str) -> (Result<Answer, Error>, Vec<Value>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serving = thread::spawn(move || {
            let mut asked = Vec::new();
            for line in BufReader::new(&theirs).lines() {
                let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let body = match request["request"].as_str() {
                    Some("status") => STATUS,
                    _ => r#""answer":"synced""#,
                };
                asked.push(request);
                writeln!(&theirs, "{{{head},{body}}}").unwrap();
            }
            asked
        });
        let mut client = Client::speaking(ours, versions);
        let answer = client.perform(Op::Sync);
        drop(client);
        (answer, serving.join().unwrap())
    }

    #[test]
    fn a_newer_client_asks_an_older_server_in_the_highest_version_of_both() {
        let today = r#""version":2"#;
        let (answer, asked) = talk(Versions::of(2, 4), today);
        assert_eq!(answer.unwrap(), Answer::Synced);
        let versions: Vec<_> = asked.iter().map(|request| &request["version"]).collect();
        assert_eq!(versions, [2, 2]);
        let (answer, asked) = talk(Versions::of(2, 4), r#""version":3,"speaks":[3,9]"#);
        assert_eq!(answer.unwrap(), Answer::Synced);
        let versions: Vec<_> = asked.iter().map(|request| &request["version"]).collect();
        assert_eq!(versions, [2, 4]);
    }

    #[test]
    fn this_client_asks_a_newer_server_in_its_own_version() {
        let (answer, asked) = talk(VERSIONS, r#""version":2,"speaks":[1,9]"#);
        assert_eq!(answer.unwrap(), Answer::Synced);
        let versions: Vec<_> = asked.iter().map(|request| &request["version"]).collect();
        assert_eq!(versions, [2, 3]);
        assert_eq!(asked[1]["speaks"], serde_json::json!([2, 3]));
    }

    /// What a client that begins work gets of a server that begins its answers with `head`, and what it asked for.
    fn talk_of_work(head: &'static str, answers: &[&'static str]) -> (Vec<String>, Value) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let said = answers.to_vec();
        let serving = thread::spawn(move || {
            let mut lines = BufReader::new(&theirs).lines();
            lines.next().unwrap().unwrap();
            writeln!(&theirs, "{{{head},{STATUS}}}").unwrap();
            let asked = lines.next().unwrap().unwrap();
            for answer in said {
                writeln!(&theirs, "{{{head},{answer}}}").unwrap();
            }
            serde_json::from_str(&asked).unwrap()
        });
        let mut client = Client::speaking(ours, VERSIONS);
        client.begin_work(Op::Collect).unwrap();
        let came = answers
            .iter()
            .map(|_| format!("{:?}", client.next_of_work().unwrap()));
        (came.collect(), serving.join().unwrap())
    }

    #[test]
    fn long_work_is_asked_for_as_the_server_knows_it() {
        let done = r#""answer":"done""#;
        let (came, asked) = talk_of_work(r#""version":2"#, &[done]);
        assert_eq!(came, ["Break(Done)"]);
        assert_eq!(
            (&asked["version"], &asked["request"]),
            (&2.into(), &"perform".into())
        );
        let pieces = [
            r#""answer":"progress","done":7"#,
            r#""answer":"changes","list":[]"#,
            done,
        ];
        let (came, asked) = talk_of_work(r#""version":3,"speaks":[2,3]"#, &pieces);
        assert_eq!(
            came,
            [
                "Continue(Progress(7))",
                "Continue(Changes([]))",
                "Break(Done)"
            ]
        );
        assert_eq!(
            (&asked["version"], &asked["request"]),
            (&3.into(), &"work".into())
        );
    }

    #[test]
    fn without_a_common_version_the_error_names_both_ranges_and_a_way_out() {
        let (answer, _) = talk(Versions::of(3, 4), r#""version":7,"speaks":[7,9]"#);
        let said = answer.unwrap_err().to_string();
        for part in ["versions 7 to 9", "versions 3 to 4", "mount it again"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
