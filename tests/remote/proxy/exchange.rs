//! One connection of a client: its requests, one after another, each passed on as its rules say.

use std::io::{self, BufReader, ErrorKind, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::http::{self, Framing, Head, Sink};
use super::traffic::Request;
use super::{Open, Shared};

/// How long a body may go on coming after the engine has answered.
const LATE_BODY_MAX: Duration = Duration::from_secs(5);

/// What becomes of the client's connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    KeepOpen,
    Close,
}

/// Serves a client until one of the two closes the connection.
pub(super) fn serve(client: &Open) {
    let mut reader = BufReader::new(&client.stream);
    // A fault of the connection ends it: the client sees as much.
    while let Ok(Some(head)) = Head::read(&mut reader) {
        if !matches!(exchange(client, &mut reader, &head), Ok(After::KeepOpen)) {
            return;
        }
    }
}

fn exchange(client: &Open, reader: &mut BufReader<&TcpStream>, head: &Head) -> io::Result<After> {
    let shared = &client.shared;
    count(&shared.up, &head.bytes);
    let fate = shared.decide(&Request {
        method: head.word(0).to_owned(),
        target: head.word(1).to_owned(),
        is_whole: !head
            .bytes
            .to_ascii_lowercase()
            .windows(8)
            .any(|at| at == b"\r\nrange:"),
    });
    std::thread::sleep(fate.delay);
    match fate.fault {
        Some(Fault::Close) => Ok(After::Close),
        Some(Fault::Answer(status, code)) => answer(client, reader, head, status, code),
        Some(Fault::CutRequest(length)) => cut_request(shared, reader, head, length),
        fault => forward(client, reader, head, fault),
    }
}

/// Answers in place of the engine.
fn answer(
    client: &Open,
    reader: &mut BufReader<&TcpStream>,
    head: &Head,
    status: u16,
    code: &str,
) -> io::Result<After> {
    // A client that waits for `100 Continue` will not send the body after another answer.
    let waits = head.field("expect").is_some();
    if !waits {
        let mut nowhere = Wire::new(None, &client.shared.up);
        http::copy(reader, head.request_framing(), &mut nowhere)?;
    }
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>As the test wants it.\
         </Message><Resource>{}</Resource><RequestId>0</RequestId></Error>",
        head.word(1).split('?').next().unwrap_or_default(),
    );
    let (length, connection) = (body.len(), if waits { "close" } else { "keep-alive" });
    if head.word(0) == "HEAD" {
        body.clear();
    }
    let text = format!(
        "HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\
         Connection: {connection}\r\n\r\n{body}"
    );
    count(&client.shared.down, text.as_bytes());
    (&client.stream).write_all(text.as_bytes())?;
    let is_last = waits || head.is_last();
    Ok(if is_last {
        After::Close
    } else {
        After::KeepOpen
    })
}

/// Sends the engine a part of a request and hangs up.
fn cut_request(
    shared: &std::sync::Arc<Shared>,
    reader: &mut BufReader<&TcpStream>,
    head: &Head,
    length: u64,
) -> io::Result<After> {
    let origin = Open::new(shared, TcpStream::connect(shared.origin)?);
    (&origin.stream).write_all(&head.bytes)?;
    let mut wire = Wire::new(Some(&origin.stream), &shared.up);
    wire.mark = Some((length, Mark::Cut));
    // Fails at the cut, if not before.
    http::copy(reader, head.request_framing(), &mut wire).ok();
    Ok(After::Close)
}

/// Passes a request on and its answer back. The body goes in a thread of its own: an engine may answer before it has
/// read all, and does so with `100 Continue`.
fn forward(
    client: &Open,
    reader: &mut BufReader<&TcpStream>,
    head: &Head,
    fault: Option<Fault>,
) -> io::Result<After> {
    let shared = &client.shared;
    let origin = Open::new(shared, TcpStream::connect(shared.origin)?);
    (&origin.stream).write_all(&head.bytes)?;
    std::thread::scope(|scope| {
        let mut wire = Wire::new(Some(&origin.stream), &shared.up);
        wire.when_lost = WhenLost::Discard;
        let framing = head.request_framing();
        let engine = &origin.stream;
        let body = scope.spawn(move || {
            http::copy(reader, framing, &mut wire).inspect_err(|_| {
                // A client that is gone. The engine would wait for the rest, and the answer for the engine.
                engine.shutdown(Shutdown::Both).ok();
            })
        });
        let after = relay_answer(client, &origin, head, fault);
        // Closing while the client sends would reset the connection, and take the answer from it.
        if after.is_err() || !ends_within(&body, LATE_BODY_MAX) {
            // The thread may wait for either.
            client.stream.shutdown(Shutdown::Both).ok();
            origin.stream.shutdown(Shutdown::Both).ok();
        }
        body.join().unwrap()?;
        after
    })
}

fn ends_within<T>(thread: &ScopedJoinHandle<'_, T>, limit: Duration) -> bool {
    let start = Instant::now();
    while !thread.is_finished() && start.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(1));
    }
    thread.is_finished()
}

/// Passes the engine's answer to the client, changed by `fault`.
fn relay_answer(
    client: &Open,
    origin: &Open,
    request: &Head,
    fault: Option<Fault>,
) -> io::Result<After> {
    let (shared, uncounted) = (&client.shared, AtomicU64::new(0));
    let mut reader = BufReader::with_capacity(1 << 16, &origin.stream);
    let mut wire = Wire::new(Some(&client.stream), &shared.down);
    let (head, status) = loop {
        let Some(head) = Head::read(&mut reader)? else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let status = head.status()?;
        // Interim answers come before the one that counts.
        if !matches!(status, 100..=199) {
            break (head, status);
        }
        wire.framing(&head.bytes)?;
    };
    if fault == Some(Fault::LoseAnswer) {
        wire = Wire::new(None, &uncounted);
    }
    let framing = head.answer_framing(request.word(0), status);
    wire.framing(&head.bytes)?;
    wire.mark = fault.and_then(|fault| mark(fault, framing));
    http::copy(&mut reader, framing, &mut wire)?;
    let is_last = head.is_last() || request.is_last() || framing == Framing::ToEnd;
    let is_cut = matches!(wire.mark, Some((_, Mark::Cut)));
    let is_lost = wire.to.is_none();
    Ok(match is_last || is_cut || is_lost {
        true => After::Close,
        false => After::KeepOpen,
    })
}

/// What a fault does to a body that is framed so.
fn mark(fault: Fault, framing: Framing) -> Option<(u64, Mark)> {
    match fault {
        Fault::CutAnswer(at) => Some((at, Mark::Cut)),
        Fault::HalfAnswer => match framing {
            Framing::Length(length) => Some((length / 2, Mark::Cut)),
            Framing::Chunked | Framing::ToEnd => Some((1, Mark::Cut)),
        },
        Fault::FlipByte(at) => Some((at, Mark::Flip)),
        Fault::Stall(at, pause) => Some((at, Mark::Stall(pause))),
        Fault::Delay(_)
        | Fault::Answer(..)
        | Fault::Close
        | Fault::CutRequest(_)
        | Fault::LoseAnswer => None,
    }
}

/// One direction of a message: counts it, and spoils its body at one place.
struct Wire<'a> {
    /// Nothing where the bytes shall go nowhere.
    to: Option<&'a TcpStream>,
    counter: &'a AtomicU64,
    mark: Option<(u64, Mark)>,
    /// Bytes of the body so far.
    at: u64,
    when_lost: WhenLost,
}

/// What becomes of a message whose receiver hangs up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenLost {
    Fail,
    /// It is read to its end: the receiver has answered already.
    Discard,
}

/// What happens at a place of a body.
#[derive(Clone, Copy)]
enum Mark {
    Cut,
    Flip,
    Stall(Duration),
}

impl<'a> Wire<'a> {
    fn new(to: Option<&'a TcpStream>, counter: &'a AtomicU64) -> Self {
        Self {
            to,
            counter,
            mark: None,
            at: 0,
            when_lost: WhenLost::Fail,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        count(self.counter, bytes);
        let Some(mut to) = self.to else {
            return Ok(());
        };
        let result = to.write_all(bytes);
        if result.is_err() && self.when_lost == WhenLost::Discard {
            self.to = None;
            return Ok(());
        }
        result
    }

    /// Writes `bytes`, the first of which is the marked one.
    fn write_marked(&mut self, mark: Mark, bytes: &[u8]) -> io::Result<()> {
        match mark {
            Mark::Cut => Err(ErrorKind::ConnectionAborted.into()),
            Mark::Flip => {
                self.write(&[bytes[0] ^ 1])?;
                self.write(&bytes[1..])
            }
            Mark::Stall(pause) => {
                std::thread::sleep(pause);
                self.write(bytes)
            }
        }
    }
}

impl Sink for Wire<'_> {
    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        let begin = self.at;
        self.at += bytes.len() as u64;
        let Some((at, mark)) = self.mark.filter(|(at, _)| (begin..self.at).contains(at)) else {
            return self.write(bytes);
        };
        let (before, marked) = bytes.split_at(usize::try_from(at - begin).unwrap());
        self.write(before)?;
        self.write_marked(mark, marked)
    }

    fn framing(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }
}

fn count(counter: &AtomicU64, bytes: &[u8]) {
    counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
}
