//! Calls of the protocol without an engine: HTTP, byte by byte.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// What a call was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// It succeeded, as dockerd and Podman both understand it.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let err = self.body.get("Err").and_then(Value::as_str);
        assert_eq!(err.unwrap_or_default(), "", "{self:?}");
        self.body
    }

    /// It failed, as dockerd and Podman both understand it. Returns why.
    #[track_caller]
    pub(crate) fn fails(self) -> String {
        assert_eq!(self.status, 500, "{self:?}");
        let why = self.body["Err"].as_str().unwrap_or_default().to_owned();
        assert!(!why.is_empty(), "{self:?}");
        why
    }
}

/// A call as dockerd makes it: no content type.
#[track_caller]
pub(crate) fn call(socket: &Path, name: &str, body: &str) -> Answer {
    let name = match name {
        "Plugin.Activate" => name.to_owned(),
        _ => format!("VolumeDriver.{name}"),
    };
    let mut stream = connect(socket);
    stream
        .write_all(request(&name, "", body).as_bytes())
        .unwrap();
    read_answer(&mut stream)
}

/// The bytes of a request, with these headers besides.
pub(crate) fn request(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /{path} HTTP/1.1\r\nHost: plugin.moby.localhost\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\
         {headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

#[track_caller]
pub(crate) fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Reads one answer and leaves the connection open.
#[track_caller]
pub(crate) fn read_answer(stream: &mut UnixStream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = vec![0; content_length(&head)];
    stream.read_exact(&mut body).unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Answer { status, body }
}

fn content_length(head: &str) -> usize {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length
        .unwrap_or_else(|| panic!("no length: {head}"))
        .trim()
        .parse()
        .unwrap()
}
