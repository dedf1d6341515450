//! What can be asked of a Docker engine: whether it is there, and which volumes it has of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{Error, Result};

/// Where dockerd listens.
pub const DOCKER_SOCKET: &str = "/var/run/docker.sock";
const PATIENCE: Duration = Duration::from_secs(5);

/// The version of the engine behind `socket`.
///
/// # Errors
/// When nobody answers.
pub fn version(socket: &Path) -> Result<String> {
    let answer = ask(socket, "GET", "/version")?;
    let version = answer.get("Version").and_then(Value::as_str);
    version
        .map(str::to_owned)
        .ok_or_else(|| Error::BadRequest("the engine does not tell its version".to_owned()))
}

/// The names of the volumes that the engine's own driver, `local`, has.
///
/// # Errors
/// When nobody answers.
pub fn local_volumes(socket: &Path) -> Result<Vec<String>> {
    let answer = ask(socket, "GET", "/volumes")?;
    let volumes = answer.get("Volumes").and_then(Value::as_array);
    let local = volumes
        .into_iter()
        .flatten()
        .filter(|volume| volume["Driver"] == "local");
    let names = local.filter_map(|volume| volume["Name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// How many volumes the plugin behind `socket` has.
///
/// # Errors
/// When nobody answers.
pub fn plugin_volumes(socket: &Path) -> Result<usize> {
    let answer = ask(socket, "POST", "/VolumeDriver.List")?;
    let volumes = answer.get("Volumes").and_then(Value::as_array);
    volumes
        .map(Vec::len)
        .ok_or_else(|| Error::BadRequest("it is no volume plugin".to_owned()))
}

/// One request, by HTTP/1.0: the answer ends with the connection.
fn ask(socket: &Path, method: &str, path: &str) -> Result<Value> {
    let cannot = |e| Error::io(format!("ask {}", socket.display()), e);
    let mut stream = UnixStream::connect(socket).map_err(cannot)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(cannot)?;
    let request = format!("{method} {path} HTTP/1.0\r\nHost: cask\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(cannot)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(cannot)?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body)
        .map_err(|e| Error::BadRequest(format!("the answer cannot be understood: {e}")))
}
