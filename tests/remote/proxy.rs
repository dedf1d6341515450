//! A proxy in front of an engine: it counts what passes, and does to a request what a rule says.
//!
//! Knows HTTP/1.1 (keep-alive, lengths, chunks) and nothing of S3 but the form of its errors. Each request goes to the
//! engine on a connection of its own, so that an idle one that the engine closed is never mistaken for a fault.

mod exchange;
mod fault;
mod http;
mod traffic;

pub(crate) use fault::{Fault, When};
pub(crate) use traffic::{Request, Traffic};

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use fault::Rule;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// Listens on a loopback port until it is dropped.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    /// Nothing while connections are refused.
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// What the threads of all connections have in common.
struct Shared {
    origin: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    up: AtomicU64,
    down: AtomicU64,
    open: Mutex<BTreeMap<u64, TcpStream>>,
    last_id: AtomicU64,
}

/// What becomes of one request.
struct Fate {
    delay: Duration,
    fault: Option<Fault>,
}

impl Proxy {
    /// A proxy in front of the engine that listens at `origin`. It begins without rules.
    pub(crate) fn before(origin: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::new(Shared::new(origin)),
            listener,
            acceptor: Mutex::default(),
        };
        proxy.resume();
        proxy
    }

    /// Where clients find it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does `fault` to the requests that `when` picks. All rules see each request: delays add up, of the other faults
    /// the rule that was added first wins.
    pub(crate) fn add(&self, mut when: When, fault: Fault) {
        self.add_rule(move |request| when.picks(request).then_some(fault));
    }

    /// As [`add`](Self::add), by any rule. It is called for one request at a time, in the order of their arrival, before
    /// anything of the request is passed on: what it does is done before the engine has heard of the request.
    pub(crate) fn add_rule(&self, rule: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.shared.rules.lock().unwrap().push(Box::new(rule));
    }

    /// Forgets all rules.
    pub(crate) fn clear(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// What passed since the start, or since the last [`reset_traffic`](Self::reset_traffic).
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.shared.requests.lock().unwrap().clone(),
            up: self.shared.up.load(Ordering::Relaxed),
            down: self.shared.down.load(Ordering::Relaxed),
        }
    }

    /// Counts from nothing again.
    pub(crate) fn reset_traffic(&self) {
        self.shared.requests.lock().unwrap().clear();
        self.shared.up.store(0, Ordering::Relaxed);
        self.shared.down.store(0, Ordering::Relaxed);
    }

    /// Cuts all connections and refuses new ones (`ECONNREFUSED`) until [`resume`](Self::resume).
    pub(crate) fn refuse(&self) {
        let mut acceptor = self.acceptor.lock().unwrap();
        let Some(thread) = acceptor.take() else {
            return;
        };
        // The socket keeps its port, and an accept(2) under way returns.
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).unwrap();
        thread.join().unwrap();
        self.cut_all();
    }

    /// Accepts connections again, at the same address.
    pub(crate) fn resume(&self) {
        let mut acceptor = self.acceptor.lock().unwrap();
        if acceptor.is_none() {
            rustix::net::listen(&self.listener, BACKLOG).unwrap();
            *acceptor = Some(self.accept());
        }
    }

    /// Cuts the connections there are; new ones are welcome.
    pub(crate) fn cut_all(&self) {
        for stream in self.shared.open.lock().unwrap().values() {
            // One that has ended by itself is cut already.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn accept(&self) -> JoinHandle<()> {
        let listener = self.listener.try_clone().unwrap();
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                // Known before its thread runs: `refuse` cuts it in any case.
                let open = Open::new(&shared, client);
                std::thread::spawn(move || exchange::serve(&open));
            }
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn new(origin: SocketAddr) -> Self {
        Self {
            origin,
            rules: Mutex::default(),
            requests: Mutex::default(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            open: Mutex::default(),
            last_id: AtomicU64::new(0),
        }
    }

    /// Counts a request and asks the rules about it.
    fn decide(&self, request: &Request) -> Fate {
        self.requests.lock().unwrap().push(request.clone());
        let mut fate = Fate {
            delay: Duration::ZERO,
            fault: None,
        };
        for rule in self.rules.lock().unwrap().iter_mut() {
            match rule(request) {
                Some(Fault::Delay(delay)) => fate.delay += delay,
                fault => fate.fault = fate.fault.or(fault),
            }
        }
        fate
    }
}

/// A connection that [`Proxy::cut_all`] can cut, as long as this lives; closed when it goes.
struct Open {
    stream: TcpStream,
    id: u64,
    shared: Arc<Shared>,
}

impl Open {
    fn new(shared: &Arc<Shared>, stream: TcpStream) -> Self {
        // Chunks go out in small pieces, which would wait for each other's acknowledgement.
        stream.set_nodelay(true).unwrap();
        let id = shared.last_id.fetch_add(1, Ordering::Relaxed);
        let copy = stream.try_clone().unwrap();
        shared.open.lock().unwrap().insert(id, copy);
        Self {
            stream,
            id,
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Copies of the descriptor would keep it open.
        self.stream.shutdown(Shutdown::Both).ok();
        self.shared.open.lock().unwrap().remove(&self.id);
    }
}

/// A port by its number. A socket that was bound to "any" loses the port when it stops listening.
fn free_port() -> u16 {
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    any.local_addr().unwrap().port()
}
