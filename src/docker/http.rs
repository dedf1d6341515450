//! One HTTP/1.1 connection: what is asked on it, and answered.
//!
//! Each has a thread of its own: engines keep connections open that they do not use, and these shall be in no other's
//! way.

use std::io::{self, BufRead, BufReader, Read, Write};

/// The request line and the headers are never longer.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
/// No request of the protocol is longer.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// A call, and its arguments.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// Whether the client goes on after the answer.
    pub(super) stays: bool,
}

/// What is answered to a call.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// 200, or one of those of RFC 9110 that say why not.
    pub(super) status: u16,
    pub(super) content_type: &'a str,
    pub(super) body: &'a str,
}

/// The engine's end of it is a client's.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Connection<S> {
    pub(super) fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// The next request; nothing when the client is done.
    pub(super) fn next(&mut self) -> io::Result<Option<Request>> {
        let mut head = self.stream.by_ref().take(HEAD_BYTES_MAX);
        let Some(first) = line(&mut head)? else {
            return Ok(None);
        };
        let mut request = request_line(&first)?;
        let mut length = 0;
        loop {
            let header = line(&mut head)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let Some((name, value)) = header.split_once(':') else {
                break;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(|_| bad("its length"))?,
                "transfer-encoding" => return Err(bad("a body without a length")),
                "connection" => request.stays = !value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        if length > BODY_BYTES_MAX {
            return Err(bad("a body of such a length"));
        }
        self.stream
            .by_ref()
            .take(length)
            .read_to_end(&mut request.body)?;
        if (request.body.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(request))
    }

    pub(super) fn answer(&mut self, answer: &Answer<'_>) -> io::Result<()> {
        let Answer {
            status,
            content_type,
            body,
        } = answer;
        let (reason, length) = (reason(*status), body.len());
        // RFC 9110, 15.5.6: who may not use a method is told which he may.
        let allow = if *status == 405 { "Allow: GET\r\n" } else { "" };
        let answer = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{allow}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(answer.as_bytes())
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Failed",
    }
}

/// A line without its end; nothing where the client is done.
fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        return Err(bad("a line of such a length"));
    }
    Ok(Some(line.trim_end().to_owned()))
}

fn request_line(line: &str) -> io::Result<Request> {
    let mut words = line.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(path), Some("HTTP/1.1"), None) => Ok(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            stays: true,
            ..Request::default()
        }),
        (Some(method), Some(path), Some("HTTP/1.0"), None) => Ok(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            ..Request::default()
        }),
        _ => Err(bad("it is not HTTP")),
    }
}

fn bad(what: &str) -> io::Error {
    let text = format!("the request cannot be understood: {what}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    /// What the connection makes of `bytes`, and whether it takes them for an error.
    fn requests(bytes: &[u8]) -> (Vec<Request>, bool) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let bytes = bytes.to_owned();
        let client = thread::spawn(move || drop(theirs.write_all(&bytes)));
        let (mut connection, mut found) = (Connection::over(ours), Vec::new());
        let failed = loop {
            match connection.next() {
                Ok(Some(request)) => found.push(request),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        drop(connection);
        client.join().unwrap();
        (found, failed)
    }

    #[test]
    fn requests_follow_one_another() {
        let (found, failed) = requests(
            b"POST /a HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 3\r\n\r\nabcPOST /b HTTP/1.1\r\n\r\n\
              POST /c HTTP/1.1\r\nConnection: close\r\n\r\n",
        );
        let seen: Vec<_> = found
            .iter()
            .map(|r| (r.path.as_str(), r.body.as_slice(), r.stays))
            .collect();
        let expected: [(&str, &[u8], bool); 3] =
            [("/a", b"abc", true), ("/b", b"", true), ("/c", b"", false)];
        assert_eq!(seen, expected);
        assert!(!failed);
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        let long = format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
        for bytes in [
            "nonsense\r\n\r\n",
            "POST /a HTTP/1.1",
            "POST /a HTTP/1.1\r\nHost: x\r\n",
            "POST /a HTTP/2\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
            "POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "\u{16}\u{3}\u{1}\r\n",
            &long,
        ] {
            let (found, failed) = requests(bytes.as_bytes());
            assert!(found.is_empty() && failed, "{bytes:?}: {found:?}");
        }
    }
}
