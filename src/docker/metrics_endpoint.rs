//! `/metrics` over HTTP on the loopback: what can be measured of the volumes of a root, for Prometheus to fetch.
//!
//! Whoever has an account on the host may fetch it: it says the names of volumes and how they are used, and nothing of what
//! is in them.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::http::{Answer, Connection, Request};
use super::{Error, Result};
use crate::metrics;
use crate::types::LoopbackAddress;
use crate::volume::store::Store;

const PATH: &str = "/metrics";
/// Who fetches at once. One who says nothing for so long is not waited for.
const THREADS: usize = 4;
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// After a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves the metrics of the volumes of `root` at `address` from now on, for as long as the process lives.
///
/// # Errors
/// [`Error::Io`] when nobody can listen there, as on a port that is in use.
pub fn serve_metrics(root: &Path, address: LoopbackAddress) -> Result<()> {
    let cannot = |e| Error::io(format!("serve metrics at {address}"), e);
    let listener = TcpListener::bind(address.socket()).map_err(cannot)?;
    log::info!(
        "serving metrics at http://{}{PATH}",
        listener.local_addr().map_err(cannot)?
    );
    let (listener, store) = (Arc::new(listener), Arc::new(Store::below(root)));
    for _ in 0..THREADS {
        let (listener, store) = (Arc::clone(&listener), Arc::clone(&store));
        let thread = thread::Builder::new().name("metrics".to_owned());
        thread
            .spawn(move || accept_all(&listener, &store))
            .map_err(cannot)?;
    }
    Ok(())
}

fn accept_all(listener: &TcpListener, store: &Store) {
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => answer_one(stream, store)
                .unwrap_or_else(|e| log::debug!("a fetch of metrics broke: {e}")),
            Err(e) => {
                log::error!("a fetch of metrics is not served: {e}");
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Answers one request, and ends the connection: there are few threads, and who fetches comes seldom.
fn answer_one(stream: TcpStream, store: &Store) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let mut connection = Connection::over(stream);
    let Some(request) = connection.next()? else {
        return Ok(());
    };
    let (status, body) = answer(&request, store);
    let content_type = match status {
        200 => metrics::CONTENT_TYPE,
        _ => "text/plain; charset=utf-8",
    };
    connection.answer(&Answer {
        status,
        content_type,
        body: &body,
    })
}

fn answer(request: &Request, store: &Store) -> (u16, String) {
    // What follows a `?` asks for nothing that there is.
    let path = request.path.split('?').next().unwrap_or_default();
    if path != PATH {
        return (404, format!("there is only {PATH}\n"));
    }
    if request.method != "GET" {
        return (405, format!("{PATH} can only be got\n"));
    }
    match metrics::text(store) {
        Ok(text) => (200, text),
        Err(error) => {
            log::warn!("{PATH}: {error}");
            (500, format!("{error}\n"))
        }
    }
}
