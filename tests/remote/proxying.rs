//! The proxy in front of a small server: what it passes on unchanged, what it counts, and what each fault looks like
//! from both sides.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::origin::Origin;
use crate::proxy::{Fault, Proxy, When};

const BODY: &[u8] = b"0123456789";
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A server, a proxy before it, and one object.
fn pair() -> (Origin, Proxy) {
    let origin = Origin::start();
    let proxy = Proxy::before(origin.address);
    let answer = ask(&origin.address, &put("/object", BODY));
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    (origin, proxy)
}

fn connect(address: &SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    // A proxy that forgets to close shall not hang the test.
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream
}

/// Sends bytes, says that there will be no more, and reads to the end.
fn ask(address: &SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    read_all(&mut stream)
}

/// What comes until the connection ends, in whatever way.
fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let result = stream.read_to_end(&mut bytes).map_err(|error| error.kind());
    let is_end = matches!(result, Ok(_) | Err(ErrorKind::ConnectionReset));
    assert!(
        is_end,
        "{result:?} after {}",
        String::from_utf8_lossy(&bytes)
    );
    bytes
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < WAIT_MAX, "still not: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn put(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("PUT {target} HTTP/1.1\r\nHost: store\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: store\r\n\r\n").into_bytes()
}

/// The answer to a `GET` of the object.
fn whole_answer() -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", BODY].concat()
}

#[test]
fn requests_of_one_connection_are_answered_in_turn() {
    let (origin, proxy) = pair();
    let requests = [
        put("/a", b"first"),
        b"PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n"
            .to_vec(),
        b"HEAD /object HTTP/1.1\r\n\r\n".to_vec(),
        b"DELETE /nothing HTTP/1.1\r\n\r\n".to_vec(),
        get("/chunked"),
        get("/missing"),
        get("/object"),
        get("/to-end"),
    ];
    let through = ask(&proxy.address(), &requests.concat());
    let directly = ask(&origin.address, &requests.concat());
    assert_eq!(
        String::from_utf8(through).unwrap(),
        String::from_utf8(directly).unwrap()
    );
    assert_eq!(origin.object("/a").unwrap(), b"first");
    assert_eq!(origin.object("/b").unwrap(), b"second");
}

#[test]
fn the_host_stays_as_it_was_sent() {
    let (_origin, proxy) = pair();
    let answer = ask(&proxy.address(), &get("/host"));
    assert!(answer.ends_with(b"\r\n\r\nstore"));
}

#[test]
fn requests_and_bytes_are_counted() {
    let (_origin, proxy) = pair();
    let requests = [
        put("/pack/1", BODY),
        put("/run/1", BODY),
        get("/pack/1"),
        get("/?list-type=2&prefix=pack"),
    ];
    let answer = ask(&proxy.address(), &requests.concat());
    let traffic = proxy.traffic();
    assert_eq!(traffic.count("PUT"), 2);
    assert_eq!(traffic.count("GET"), 1);
    assert_eq!(traffic.count("LIST"), 1);
    assert_eq!(traffic.count_at("PUT", "/pack/"), 1);
    assert_eq!(traffic.requests[1].target, "/run/1");
    assert_eq!(traffic.up, requests.concat().len() as u64);
    assert_eq!(traffic.down, answer.len() as u64);

    proxy.reset_traffic();
    let traffic = proxy.traffic();
    assert_eq!(
        (traffic.requests.len(), traffic.up, traffic.down),
        (0, 0, 0)
    );
}

#[test]
fn a_large_body_goes_both_ways() {
    let (origin, proxy) = pair();
    let body: Vec<u8> = (0..20 << 20)
        .map(|at: u32| at.to_le_bytes()[at as usize % 3])
        .collect();
    ask(&proxy.address(), &put("/large", &body));
    assert!(origin.object("/large").unwrap() == body);
    let answer = ask(&proxy.address(), &get("/large"));
    assert!(answer.ends_with(&body));
}

#[test]
fn a_client_that_waits_to_continue_is_told_to() {
    let (origin, proxy) = pair();
    let mut stream = connect(&proxy.address());
    let head = "PUT /late HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&mut stream).starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(origin.object("/late").unwrap(), b"body");
}

#[test]
fn an_answer_before_the_end_of_the_body_arrives() {
    let (_origin, proxy) = pair();
    let answer = ask(&proxy.address(), &put("/early", &vec![7; 8 << 20]));
    assert!(answer.ends_with(b"\r\n\r\nno"), "{}", answer.len());
}

#[test]
fn an_overloaded_service_is_played_without_the_server() {
    let (origin, proxy) = pair();
    proxy.add(When::request("PUT", "/a").nth(2), Fault::SLOW_DOWN);
    proxy.add(When::request("HEAD", ""), Fault::TOO_MANY_REQUESTS);
    let requests = [
        put("/a", b"one"),
        put("/a", b"two"),
        b"HEAD /object HTTP/1.1\r\n\r\n".to_vec(),
        get("/object"),
    ];
    // All on one connection, which goes on.
    let answers = String::from_utf8(ask(&proxy.address(), &requests.concat())).unwrap();
    let statuses: Vec<_> = answers
        .split("HTTP/1.1 ")
        .map(|answer| answer.get(..3))
        .collect();
    assert_eq!(statuses[1..], ["200", "503", "429", "200"].map(Some));
    assert_eq!(answers.matches("<Code>SlowDown</Code>").count(), 1);
    assert_eq!(origin.object("/a").unwrap(), b"one");
}

#[test]
fn a_client_that_waits_to_continue_is_refused_at_once() {
    let (_origin, proxy) = pair();
    proxy.add(When::any(), Fault::CONFLICT);
    let mut stream = connect(&proxy.address());
    let head = "PUT /a HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = String::from_utf8(read_all(&mut stream)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(
        answer.contains("<Code>ConditionalRequestConflict</Code>"),
        "{answer}"
    );
}

#[test]
fn a_closed_request_never_reaches_the_server() {
    let (origin, proxy) = pair();
    proxy.add(When::request("PUT", "/a").times(1), Fault::Close);
    assert_eq!(ask(&proxy.address(), &put("/a", BODY)), b"");
    assert_eq!(origin.object("/a"), None);
    assert_ne!(ask(&proxy.address(), &put("/a", BODY)), b"");
}

#[test]
fn a_rule_may_begin_late() {
    let (_origin, proxy) = pair();
    proxy.add(When::request("GET", "/object").from(3), Fault::SLOW_DOWN);
    let answers = ask(&proxy.address(), &get("/object").repeat(4));
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2);
    assert_eq!(answers.matches("HTTP/1.1 503 ").count(), 2);
}

#[test]
fn a_lost_answer_leaves_its_effect() {
    let (origin, proxy) = pair();
    proxy.add(When::request("PUT", "/a"), Fault::LoseAnswer);
    assert_eq!(ask(&proxy.address(), &put("/a", BODY)), b"");
    assert_eq!(origin.object("/a").unwrap(), BODY);
    assert_eq!(proxy.traffic().down, 0);
}

#[test]
fn a_request_is_cut_where_it_is_told() {
    let (origin, proxy) = pair();
    proxy.add(When::request("PUT", "/a"), Fault::CutRequest(4));
    proxy.add(When::request("PUT", "/whole"), Fault::CutRequest(99));
    assert_eq!(ask(&proxy.address(), &put("/a", BODY)), b"");
    let head = put("/a", BODY).len() - BODY.len();
    assert_eq!(proxy.traffic().up, head as u64 + 4);
    assert_eq!(origin.object("/a"), None);
    assert_eq!(ask(&proxy.address(), &put("/whole", BODY)), b"");
    wait_for("the server has read it", || {
        origin.object("/whole").is_some()
    });
    assert_eq!(origin.object("/whole").unwrap(), BODY);
}

#[test]
fn an_answer_is_cut_where_it_is_told() {
    let whole = whole_answer();
    let head = whole.len() - BODY.len();
    for (fault, kept) in [
        (Fault::CutAnswer(0), 0),
        (Fault::CutAnswer(3), 3),
        (Fault::HalfAnswer, 5),
        (Fault::CutAnswer(99), 10),
    ] {
        let (_origin, proxy) = pair();
        proxy.add(When::any().nth(1), fault);
        let two = [get("/object"), get("/object")].concat();
        assert_eq!(
            ask(&proxy.address(), &two),
            whole[..head + kept],
            "{fault:?}"
        );
    }
}

#[test]
fn chunks_are_cut_by_the_bytes_that_they_hold() {
    let (_origin, proxy) = pair();
    proxy.add(When::any(), Fault::CutAnswer(6));
    let answer = String::from_utf8(ask(&proxy.address(), &get("/chunked"))).unwrap();
    assert!(
        answer.ends_with("\r\n\r\n5;a=b\r\nHello\r\nb\r\n,"),
        "{answer}"
    );
}

#[test]
fn one_byte_comes_flipped_and_the_rest_as_it_was() {
    let (_origin, proxy) = pair();
    proxy.add(When::any().nth(1), Fault::FlipByte(3));
    proxy.add(When::any().nth(2), Fault::FlipByte(10));
    let two = [get("/object"), get("/object")].concat();
    let answers = ask(&proxy.address(), &two);
    let (first, second) = answers.split_at(answers.len() / 2);
    assert!(first.ends_with(b"\r\n\r\n0122456789"));
    assert_eq!(second, whole_answer());
}

#[test]
fn delays_add_up_and_leave_other_connections_alone() {
    let (_origin, proxy) = pair();
    let part = Duration::from_millis(150);
    proxy.add(When::request("GET", "/object"), Fault::Delay(part));
    proxy.add(When::request("GET", ""), Fault::Delay(part));
    let start = Instant::now();
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| ask(&proxy.address(), &get("/object"))))
            .collect();
        for one in slow {
            assert_eq!(one.join().unwrap(), whole_answer());
        }
    });
    // One after another would be 3 s.
    assert!(
        (2 * part..10 * part).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_answer_stalls_and_goes_on() {
    let (_origin, proxy) = pair();
    let pause = Duration::from_millis(300);
    proxy.add(When::any(), Fault::Stall(4, pause));
    let mut stream = connect(&proxy.address());
    stream.write_all(&get("/object")).unwrap();
    let whole = whole_answer();
    let mut begin = vec![0; whole.len() - 6];
    stream.read_exact(&mut begin).unwrap();
    let start = Instant::now();
    stream.shutdown(Shutdown::Write).unwrap();
    let end = read_all(&mut stream);
    assert!(start.elapsed() > pause / 2, "{:?}", start.elapsed());
    assert_eq!([begin, end].concat(), whole);
}

#[test]
fn a_rule_sees_each_request_before_the_server_does() {
    let (origin, proxy) = pair();
    let (sender, seen) = mpsc::channel();
    proxy.add_rule(move |request| {
        sender.send(request.target.clone()).unwrap();
        (request.target == "/b").then_some(Fault::Close)
    });
    ask(
        &proxy.address(),
        &[put("/a", BODY), put("/b", BODY)].concat(),
    );
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(origin.object("/b"), None);
    proxy.clear();
    assert_ne!(ask(&proxy.address(), &put("/b", BODY)), b"");
}

#[test]
fn connections_are_refused_for_a_while() {
    let (_origin, proxy) = pair();
    let mut early = connect(&proxy.address());
    for _ in 0..3 {
        proxy.refuse();
        let refused = TcpStream::connect(proxy.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(read_all(&mut early), b"");

        proxy.resume();
        early = connect(&proxy.address());
        early.write_all(&get("/object")).unwrap();
        let mut answer = vec![0; whole_answer().len()];
        early.read_exact(&mut answer).unwrap();
        assert_eq!(answer, whole_answer());
    }
}

#[test]
fn a_client_that_is_gone_is_gone_for_the_server_too() {
    let (origin, proxy) = pair();
    let mut stream = connect(&proxy.address());
    let request = put("/half", BODY);
    stream.write_all(&request[..request.len() - 5]).unwrap();
    wait_for("the server is asked", || origin.clients() == 1);
    drop(stream);
    wait_for("the server is left alone", || origin.clients() == 0);
    assert_eq!(origin.object("/half"), None);
}

#[test]
fn a_server_that_is_gone_looks_like_a_cut_connection() {
    let (_origin, proxy) = pair();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    drop(proxy);
    let proxy = Proxy::before(nobody);
    assert_eq!(ask(&proxy.address(), &get("/object")), b"");
}
