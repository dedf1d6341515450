//! Messages of HTTP/1.1 (RFC 9112): heads, and how long a body is. Their bytes are passed on as they came.

use std::io::{self, BufRead, ErrorKind, Read as _};

/// More than any client or engine sends.
const HEAD_MAX: u64 = 1 << 20;

/// First line and fields.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    text: String,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// With the connection.
    ToEnd,
}

/// Takes a body as it is read.
pub(super) trait Sink {
    /// Bytes of the body itself.
    fn body(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Bytes between chunks.
    fn framing(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Head {
    /// Reads a head; nothing where the connection ended before one.
    ///
    /// # Errors
    /// Those of the connection; `UnexpectedEof` and `InvalidData` for what is no head.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let (mut from, mut bytes) = (from.take(HEAD_MAX), Vec::new());
        while !bytes.ends_with(b"\r\n\r\n") {
            if from.read_until(b'\n', &mut bytes)? == 0 {
                return match bytes.len() {
                    0 => Ok(None),
                    _ => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(Self { bytes, text }))
    }

    /// The word of the first line, counted from 0.
    pub(super) fn word(&self, index: usize) -> &str {
        let first = self.text.lines().next().unwrap_or_default();
        first.split(' ').nth(index).unwrap_or_default()
    }

    /// The status of an answer.
    ///
    /// # Errors
    /// `InvalidData` for what is no answer.
    pub(super) fn status(&self) -> io::Result<u16> {
        let status = self.word(1).parse();
        status.map_err(|_| io::Error::new(ErrorKind::InvalidData, self.text.clone()))
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.text.lines().skip(1);
        let mut fields = fields.filter_map(|line| line.split_once(':'));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// Whether the sender closes the connection after this message.
    pub(super) fn is_last(&self) -> bool {
        let closes = self.has("connection", "close");
        let is_old = self.text.starts_with("HTTP/1.0 ") || self.word(2) == "HTTP/1.0";
        closes || (is_old && !self.has("connection", "keep-alive"))
    }

    /// The body of a request: none, unless the head says otherwise.
    pub(super) fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::Length(0))
    }

    /// The body of an answer to a request with `method` (RFC 9112, 6.3).
    pub(super) fn answer_framing(&self, method: &str, status: u16) -> Framing {
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return Framing::Length(0);
        }
        self.framing().unwrap_or(Framing::ToEnd)
    }

    fn framing(&self) -> Option<Framing> {
        if self.has("transfer-encoding", "chunked") {
            return Some(Framing::Chunked);
        }
        let length = self.field("content-length")?.parse().ok()?;
        Some(Framing::Length(length))
    }

    fn has(&self, name: &str, word: &str) -> bool {
        let words = self.field(name).unwrap_or_default().split(',');
        words
            .map(str::trim)
            .any(|one| one.eq_ignore_ascii_case(word))
    }
}

/// Copies a body as it comes.
///
/// # Errors
/// Those of both sides; `UnexpectedEof` where the body ends too early, `InvalidData` for a bad chunk.
pub(super) fn copy(
    from: &mut impl BufRead,
    framing: Framing,
    to: &mut impl Sink,
) -> io::Result<()> {
    match framing {
        Framing::Length(length) => copy_bytes(from, length, to),
        Framing::Chunked => copy_chunks(from, to),
        Framing::ToEnd => copy_to_end(from, to),
    }
}

fn copy_bytes(from: &mut impl BufRead, mut left: u64, to: &mut impl Sink) -> io::Result<()> {
    while left > 0 {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        to.body(&bytes[..length])?;
        from.consume(length);
        left -= length as u64;
    }
    Ok(())
}

fn copy_chunks(from: &mut impl BufRead, to: &mut impl Sink) -> io::Result<()> {
    loop {
        let line = read_line(from)?;
        to.framing(&line)?;
        let length = chunk_length(&line)?;
        if length == 0 {
            break;
        }
        copy_bytes(from, length, to)?;
        to.framing(&read_line(from)?)?;
    }
    // Trailer fields, and the empty line that ends them.
    loop {
        let line = read_line(from)?;
        to.framing(&line)?;
        if line == b"\r\n" {
            return Ok(());
        }
    }
}

fn copy_to_end(from: &mut impl BufRead, to: &mut impl Sink) -> io::Result<()> {
    loop {
        let length = {
            let bytes = from.fill_buf()?;
            to.body(bytes)?;
            bytes.len()
        };
        if length == 0 {
            return Ok(());
        }
        from.consume(length);
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(HEAD_MAX).read_until(b'\n', &mut line)?;
    match line.ends_with(b"\r\n") {
        true => Ok(line),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// The length before the extensions of a chunk, which aws-chunked clients use.
fn chunk_length(line: &[u8]) -> io::Result<u64> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))
}
