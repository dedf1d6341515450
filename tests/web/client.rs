//! A page that is served for a test, and plain HTTP to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bench, sh};

/// Longer than any answer may take.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A `cask web`, which ends with its guard.
pub(crate) struct Served {
    /// Nothing where the test has started it.
    child: Option<Child>,
    pub(crate) address: String,
    pub(crate) token: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A mounted volume that has 100 000 files in its directory `many`.
pub(crate) fn with_many_files() -> Bench {
    let bench = Bench::with_mount();
    let many = bench.path("mnt/many");
    std::fs::create_dir(&many).unwrap();
    let script = "cd \"$1\" && seq -f 'file-%06.0f' 1 100000 | xargs -n 2000 touch";
    sh(&bench, script, &[&many]);
    bench
}

impl Served {
    /// Serves the bench's root at a free port.
    pub(crate) fn of(bench: &Bench, more: &[&str]) -> Self {
        let arguments = [&["web", "--listen", "127.0.0.1:0"], more].concat();
        let mut command = bench.command(&arguments);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("http://").unwrap();
        let (address, token) = url.split_once("/?token=").unwrap();
        Self {
            child: Some(child),
            address: address.to_owned(),
            token: token.to_owned(),
        }
    }

    /// One that serves already.
    pub(crate) fn other(address: &str, token: &str) -> Self {
        Self {
            child: None,
            address: address.to_owned(),
            token: token.to_owned(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// One request, with these lines as its headers, `Host` among them.
    pub(crate) fn send(&self, head: &str, body: &[u8]) -> Answer {
        exchange(&self.address, head, body)
    }

    /// What is at a path, for who has the token.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &format!("Authorization: Bearer {}\r\n", self.token))
    }

    pub(crate) fn get_with(&self, path: &str, headers: &str) -> Answer {
        let host = &self.address;
        self.send(
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}"),
            b"",
        )
    }

    /// What a form of the page sends.
    pub(crate) fn post(&self, path: &str, form: &str) -> Answer {
        let (host, token) = (&self.address, &self.token);
        self.post_with(
            path,
            form,
            &format!("Origin: http://{host}\r\nAuthorization: Bearer {token}\r\n"),
        )
    }

    pub(crate) fn post_with(&self, path: &str, form: &str, headers: &str) -> Answer {
        let host = &self.address;
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.send(
            &format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{kind}{headers}"),
            form.as_bytes(),
        )
    }

    /// Asks it to end, and waits for that: its exit code.
    pub(crate) fn end(mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap().code().unwrap_or(-1)
    }
}

/// One request, with these lines as its headers, and its answer.
pub(crate) fn exchange(address: &str, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let length = body.len();
    let head = format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut all = Vec::new();
    // Not all close the connection where they were asked to.
    while !is_whole(&all) {
        let mut some = [0; 65_536];
        match stream.read(&mut some) {
            Ok(len) if len > 0 => all.extend(&some[..len]),
            // One that breaks off is what came of it.
            _ => break,
        }
    }
    Answer::parse(&all)
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Answer {
    fn parse(all: &[u8]) -> Self {
        let end = all.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(all)));
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self {
            status: status.parse().unwrap(),
            headers,
            body: all[end + 4..].to_vec(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body);
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// It has this status, and each of these words in it.
    #[track_caller]
    pub(crate) fn says(self, status: u16, words: &[&str]) -> Self {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        for word in words {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
        self
    }
}

/// Whether an answer that says its length has come.
fn is_whole(all: &[u8]) -> bool {
    let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    length.is_some_and(|length| all.len() - end - 4 >= length.trim().parse().unwrap())
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let rest = &body[end + 2..];
        if size == 0 || rest.len() < size + 2 {
            break;
        }
        whole.extend(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}
