//! Which requests something is done to, and what.

use std::time::Duration;

use super::traffic::Request;

/// Decides about each request in turn.
pub(super) type Rule = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// What is done to a request. Offsets count bytes of the body, without the framing of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It reaches the engine later.
    Delay(Duration),
    /// The proxy answers with this status and an S3 error of this code. The engine hears nothing.
    Answer(u16, &'static str),
    /// The connection is closed. The engine hears nothing.
    Close,
    /// The engine gets the head and so much of the body (all of it where it is shorter), then both connections are closed.
    CutRequest(u64),
    /// The engine does what it was asked and answers. The client sees the connection closed instead.
    LoseAnswer,
    /// The client gets the head of the answer and so much of its body, then the connection is closed.
    CutAnswer(u64),
    /// As [`CutAnswer`](Self::CutAnswer), after half of the `Content-Length`; a chunked body ends after its first byte.
    HalfAnswer,
    /// One bit of the byte at this offset of the answer's body is another. Nothing, where the body is shorter.
    FlipByte(u64),
    /// At this offset, the answer's body pauses for so long.
    Stall(u64, Duration),
}

impl Fault {
    /// What an overloaded S3 service answers.
    pub(crate) const SLOW_DOWN: Self = Self::Answer(503, "SlowDown");
    /// What some other services answer then.
    pub(crate) const TOO_MANY_REQUESTS: Self = Self::Answer(429, "SlowDown");
    /// What AWS answers to one of two conditional writes at the same time.
    pub(crate) const CONFLICT: Self = Self::Answer(409, "ConditionalRequestConflict");
}

/// Picks requests by kind, path and number.
#[derive(Clone, Debug)]
pub(crate) struct When {
    kind: Option<String>,
    path: String,
    first: u64,
    last: u64,
    seen: u64,
}

impl When {
    /// All requests.
    pub(crate) fn any() -> Self {
        Self {
            kind: None,
            path: String::new(),
            first: 1,
            last: u64::MAX,
            seen: 0,
        }
    }

    /// The requests of a kind (see [`Request::kind`]) with `path` anywhere in their target.
    pub(crate) fn request(kind: &str, path: &str) -> Self {
        Self {
            kind: Some(kind.to_owned()),
            path: path.to_owned(),
            ..Self::any()
        }
    }

    /// Of these, the `n`-th only, counted from 1.
    pub(crate) fn nth(self, n: u64) -> Self {
        Self {
            first: n,
            last: n,
            ..self
        }
    }

    /// Of these, the first `n` only.
    pub(crate) fn times(self, n: u64) -> Self {
        Self { last: n, ..self }
    }

    /// Of these, the `n`-th and all later ones, counted from 1.
    pub(crate) fn from(self, n: u64) -> Self {
        Self { first: n, ..self }
    }

    /// Whether it is this request's turn. Counts it.
    pub(super) fn picks(&mut self, request: &Request) -> bool {
        let is_kind = self.kind.as_ref().is_none_or(|kind| kind == request.kind());
        if !is_kind || !request.target.contains(&self.path) {
            return false;
        }
        self.seen += 1;
        (self.first..=self.last).contains(&self.seen)
    }
}
