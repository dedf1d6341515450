//! HTTP on Unix sockets: a path is a call, a body its arguments.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::http::{Answer, Connection, Request};
use super::protocol::{self, Body};
use super::{Engine, Error, Plugin, Result};

/// After a connection that could not be served.
const PAUSE: Duration = Duration::from_millis(50);

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

    fn accept_all(&self, plugin: &Arc<Plugin>) {
        for stream in self.socket.incoming() {
            let started = stream.and_then(|stream| {
                let (plugin, engine) = (Arc::clone(plugin), self.engine);
                thread::Builder::new().spawn(move || {
                    let ended = converse(&plugin, engine, Connection::over(stream));
                    ended.unwrap_or_else(|e| log::debug!("a connection broke: {e}"));
                })
            });
            if let Err(e) = started {
                log::error!("a connection is not served: {e}");
                // Too many files or threads: what ends them needs a moment.
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Serves the sockets for as long as the process lives.
///
/// # Errors
/// When a socket cannot be served.
pub fn serve(plugin: &Arc<Plugin>, listeners: Vec<Listener>) -> Result<()> {
    let mut threads = Vec::new();
    for listener in listeners {
        let plugin = Arc::clone(plugin);
        threads.push(thread::spawn(move || listener.accept_all(&plugin)));
    }
    for thread in threads {
        if thread.join().is_err() {
            log::error!("a thread of the plugin has ended");
        }
    }
    Ok(())
}

/// Answers what is asked on one connection.
fn converse(
    plugin: &Plugin,
    engine: Engine,
    mut connection: Connection<UnixStream>,
) -> io::Result<()> {
    loop {
        let request = match connection.next() {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(e) => {
                // What follows cannot be told apart from the rest of it.
                let text = protocol::failure(&Error::BadRequest(e.to_string()));
                return connection.answer(&json(500, &text.to_string()));
            }
        };
        if is_lost(&request) {
            return Ok(());
        }
        let (status, body) = answer(plugin, engine, &request);
        connection.answer(&json(status, &body.to_string()))?;
        if !request.stays {
            return Ok(());
        }
    }
}

const fn json(status: u16, body: &str) -> Answer<'_> {
    Answer {
        status,
        content_type: "application/vnd.docker.plugins.v1.1+json",
        body,
    }
}

/// When dockerd repeats a request that was cut off, the body is missing. Of a `Get` that is answered with whatever error
/// it believes that the volume is gone, and forgets what it knew of it; not so when the connection ends.
fn is_lost(request: &Request) -> bool {
    request.path == "/VolumeDriver.Get" && request.body.is_empty()
}

fn answer(plugin: &Plugin, engine: Engine, request: &Request) -> (u16, Value) {
    let call = &request.path;
    log::debug!("{call} {}", String::from_utf8_lossy(&request.body));
    match dispatch(plugin, engine, call, &request.body) {
        Ok(value) => (200, value),
        Err(error) => {
            log::warn!("{call}: {error}");
            (500, protocol::failure(&error))
        }
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
