//! HTTP on Unix sockets: a path is a call, a body its arguments.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use serde_json::Value;
use tiny_http::{Header, Request, Response, Server};

use super::protocol::{self, Body};
use super::{Engine, Error, Plugin, Result};

/// No request of the protocol is longer.
const BODY_BYTES_MAX: u64 = 1024 * 1024;
/// Calls that are served at once, for each engine.
const THREADS: usize = 8;

/// A socket that an engine calls.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    engine: Engine,
}

impl Listener {
    /// A socket that somebody else bound and passed on.
    #[must_use]
    pub const fn of(socket: UnixListener, engine: Engine) -> Self {
        Self { socket, engine }
    }

    /// Makes the socket at `path`, in place of one that an earlier plugin left.
    ///
    /// # Errors
    /// I/O errors.
    pub fn bind(path: &Path, engine: Engine) -> Result<Self> {
        let cannot = |e| Error::io(format!("listen on {}", path.display()), e);
        if let Some(dir) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o755)
                .create(dir)
                .map_err(cannot)?;
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(cannot(e)),
            _ => {}
        }
        let socket = UnixListener::bind(path).map_err(cannot)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(cannot)?;
        Ok(Self { socket, engine })
    }
}

/// Serves the sockets for as long as the process lives.
///
/// # Errors
/// When a socket cannot be served.
pub fn serve(plugin: &Arc<Plugin>, listeners: Vec<Listener>) -> Result<()> {
    let mut threads = Vec::new();
    for Listener { socket, engine } in listeners {
        let server = Server::from_listener(socket, None)
            .map_err(|e| Error::io("serve the socket", io::Error::other(e.to_string())))?;
        let server = Arc::new(server);
        for _ in 0..THREADS {
            let (server, plugin) = (Arc::clone(&server), Arc::clone(plugin));
            threads.push(thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    answer(&plugin, engine, request);
                }
            }));
        }
    }
    for thread in threads {
        if thread.join().is_err() {
            log::error!("a call ended a thread of the plugin");
        }
    }
    Ok(())
}

fn answer(plugin: &Plugin, engine: Engine, mut request: Request) {
    let call = request.url().to_owned();
    let mut body = Vec::new();
    let read = request
        .as_reader()
        .take(BODY_BYTES_MAX)
        .read_to_end(&mut body);
    log::debug!("{call} {}", String::from_utf8_lossy(&body));
    let outcome = match read {
        Ok(_) => dispatch(plugin, engine, &call, &body),
        Err(e) => Err(Error::io("read the request", e)),
    };
    let (status, value) = match outcome {
        Ok(value) => (200, value),
        Err(error) => {
            log::warn!("{call}: {error}");
            (500, protocol::failure(&error))
        }
    };
    if let Err(e) = request.respond(response(status, &value)) {
        log::debug!("{call}: the answer was not taken: {e}");
    }
}

fn response(status: u16, value: &Value) -> Response<io::Cursor<Vec<u8>>> {
    let response = Response::from_string(value.to_string()).with_status_code(status);
    let kind = Header::from_bytes("Content-Type", "application/vnd.docker.plugins.v1.1+json");
    match kind {
        Ok(header) => response.with_header(header),
        Err(()) => response,
    }
}

fn dispatch(plugin: &Plugin, engine: Engine, call: &str, body: &[u8]) -> Result<Value> {
    match call {
        "/Plugin.Activate" => {
            plugin.activate(engine)?;
            Ok(protocol::activated())
        }
        "/VolumeDriver.Capabilities" => Ok(protocol::capabilities()),
        "/VolumeDriver.List" => Ok(protocol::volumes(&plugin.list())),
        _ => named(plugin, engine, call, &Body::parse(body)?),
    }
}

/// The calls that name a volume.
fn named(plugin: &Plugin, engine: Engine, call: &str, body: &Body) -> Result<Value> {
    match call {
        "/VolumeDriver.Create" => {
            let none = std::collections::BTreeMap::new();
            plugin.create(&body.name, body.opts.as_ref().unwrap_or(&none))?;
            Ok(protocol::done())
        }
        "/VolumeDriver.Get" => Ok(protocol::volume(&plugin.get(&body.name)?)),
        "/VolumeDriver.Path" => Ok(protocol::mountpoint(&plugin.path(&body.name)?)),
        "/VolumeDriver.Mount" => {
            let path = plugin.mount(&body.name, &body.id, engine)?;
            Ok(protocol::mountpoint(&path))
        }
        "/VolumeDriver.Unmount" => {
            plugin.unmount(&body.name, &body.id)?;
            Ok(protocol::done())
        }
        "/VolumeDriver.Remove" => {
            plugin.remove(&body.name)?;
            Ok(protocol::done())
        }
        _ => Err(Error::BadRequest(format!("there is no call {call}"))),
    }
}
