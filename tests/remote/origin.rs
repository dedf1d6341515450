//! A small HTTP server that the proxy's own tests put behind it: it keeps what it is sent and answers in every form.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What it was sent, by target.
type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Serves until the test ends.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    objects: Objects,
    clients: Arc<AtomicU64>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            objects: Objects::default(),
            clients: Arc::default(),
        };
        let (objects, clients) = (Arc::clone(&origin.objects), Arc::clone(&origin.clients));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (objects, clients) = (Arc::clone(&objects), Arc::clone(&clients));
                clients.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    serve(&stream.unwrap(), &objects);
                    clients.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        origin
    }

    /// How many connections there are.
    pub(crate) fn clients(&self) -> u64 {
        self.clients.load(Ordering::SeqCst)
    }

    /// The body of the last whole `PUT` to this target.
    pub(crate) fn object(&self, target: &str) -> Option<Vec<u8>> {
        self.objects.lock().unwrap().get(target).cloned()
    }
}

/// One client. An error is its end, as far as this server cares.
fn serve(stream: &TcpStream, objects: &Objects) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let head = read_head(&mut reader)?;
        let mut words = head.lines().next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        if target == "/early" {
            let text = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
            return (&*stream).write_all(text.as_bytes()).ok();
        }
        if field(&head, "expect").is_some() {
            (&*stream)
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .ok()?;
        }
        let body = read_body(&mut reader, &head)?;
        if method == "PUT" {
            objects.lock().unwrap().insert(target.to_owned(), body);
        }
        let kept = objects.lock().unwrap().get(target).cloned();
        let answer = answer(method, target, &head, kept.as_deref());
        (&*stream).write_all(&answer).ok()?;
        if target == "/to-end" {
            return None;
        }
    }
}

/// `/host`: the `Host` that was sent. `/chunked`, `/to-end`: as they say. Else the object.
fn answer(method: &str, target: &str, head: &str, kept: Option<&[u8]>) -> Vec<u8> {
    let with_length = |body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    match (method, target, kept) {
        ("HEAD", ..) => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec(),
        ("DELETE", ..) => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        ("PUT", ..) => with_length(b""),
        (_, "/host", _) => with_length(field(head, "host").unwrap().as_bytes()),
        (_, "/chunked", _) => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              5;a=b\r\nHello\r\nb\r\n, \r\nchunks!\r\n0\r\nX-Sum: 1\r\n\r\n"
            .to_vec(),
        (_, "/to-end", _) => b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec(),
        (_, _, Some(body)) => with_length(body),
        (_, _, None) => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
}

fn read_head(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn read_body(reader: &mut BufReader<&TcpStream>, head: &str) -> Option<Vec<u8>> {
    if field(head, "transfer-encoding").is_none() {
        let length = field(head, "content-length")
            .unwrap_or("0")
            .parse()
            .unwrap();
        return read_exactly(reader, length);
    }
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        body.extend(read_exactly(reader, length)?);
        assert_eq!(read_exactly(reader, 2)?, b"\r\n");
        if length == 0 {
            return Some(body);
        }
    }
}

fn read_exactly(reader: &mut BufReader<&TcpStream>, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}
