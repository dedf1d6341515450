//! What can be asked of a Docker engine: whether it is there, which volumes it has of its own, and what runs on it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{Error, Result};

/// Where dockerd listens.
pub const DOCKER_SOCKET: &str = "/var/run/docker.sock";
const WAIT_MAX: Duration = Duration::from_secs(5);

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

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// What the user calls it.
    pub name: String,
    /// The directories of the host that it has mounted, volumes' among them.
    pub sources: Vec<PathBuf>,
    /// What its processes do.
    pub activity: Activity,
}

/// Whether the processes of a container go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// They do.
    Runs,
    /// Somebody has paused them.
    Paused,
}

/// The containers that run on the engine behind `socket`; none if it does not answer within `wait_max`.
#[must_use]
pub fn containers_within(socket: &Path, wait_max: Duration) -> Vec<Container> {
    let (socket, (tell, told)) = (socket.to_owned(), mpsc::channel());
    // A thread of its own: an engine that hangs may do so when it is connected to, for which there is no limit.
    thread::spawn(move || drop(tell.send(containers(&socket))));
    match told.recv_timeout(wait_max) {
        Ok(Ok(containers)) => containers,
        Ok(Err(error)) => {
            log::debug!("no containers are known: {error}");
            Vec::new()
        }
        Err(_) => {
            log::debug!("the engine does not answer in time");
            Vec::new()
        }
    }
}

/// The containers that run on the engine behind `socket`, paused ones too.
///
/// # Errors
/// When nobody answers.
pub fn containers(socket: &Path) -> Result<Vec<Container>> {
    let answer = ask(socket, "GET", "/containers/json")?;
    let mut volumes = Mountpoints::of(socket);
    let list = answer.as_array().into_iter().flatten();
    Ok(list
        .filter_map(|shown| container_of(shown, &mut volumes))
        .collect())
}

fn container_of(shown: &Value, volumes: &mut Mountpoints<'_>) -> Option<Container> {
    let mut names = shown["Names"].as_array()?.iter().filter_map(Value::as_str);
    let name = names.find_map(own_name)?;
    let mounts = shown["Mounts"].as_array().into_iter().flatten();
    Some(Container {
        name: name.to_owned(),
        sources: mounts
            .filter_map(|mount| volumes.source_of(mount))
            .collect(),
        activity: match shown["State"].as_str() {
            Some("paused") => Activity::Paused,
            _ => Activity::Runs,
        },
    })
}

/// Where plugins have their volumes mounted, by name: the list of containers tells this of binds only.
struct Mountpoints<'s> {
    socket: &'s Path,
    known: BTreeMap<String, Option<PathBuf>>,
}

impl<'s> Mountpoints<'s> {
    const fn of(socket: &'s Path) -> Self {
        let known = BTreeMap::new();
        Self { socket, known }
    }

    fn source_of(&mut self, mount: &Value) -> Option<PathBuf> {
        if let Some(source) = mount["Source"].as_str().filter(|path| !path.is_empty()) {
            return Some(source.into());
        }
        let name = mount["Name"].as_str()?;
        if self.known.is_empty() {
            self.learn_all();
        }
        let found = self.known.entry(name.to_owned());
        found
            .or_insert_with(|| {
                let shown = ask(self.socket, "GET", &format!("/volumes/{name}")).ok()?;
                mountpoint_of(&shown)
            })
            .clone()
    }

    /// All in one question; snapshots are in no list, so what is not in it is asked for by its name.
    fn learn_all(&mut self) {
        let answer = ask(self.socket, "GET", "/volumes").unwrap_or_default();
        let listed = answer["Volumes"].as_array().into_iter().flatten();
        let named = listed.filter_map(|one| Some((one["Name"].as_str()?, mountpoint_of(one))));
        self.known
            .extend(named.map(|(name, place)| (name.to_owned(), place)));
    }
}

fn mountpoint_of(volume: &Value) -> Option<PathBuf> {
    let place = volume["Mountpoint"].as_str()?;
    (!place.is_empty()).then(|| place.into())
}

/// `/web`; `/app/db` is what a container `app` that is linked to it calls it.
fn own_name(name: &str) -> Option<&str> {
    name.strip_prefix('/').filter(|name| !name.contains('/'))
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

/// Has the engine pause the processes of a container; whether it was this that did so.
///
/// # Errors
/// When nobody answers, or the engine refuses.
pub fn pause(socket: &Path, container: &str) -> Result<bool> {
    let path = format!("/containers/{container}/pause");
    match order(socket, &path)? {
        // Paused already, or ended since.
        (404 | 409, _) => Ok(false),
        answer => accepted(&path, answer).map(|()| true),
    }
}

/// Lets them go on. One that is not paused any more, or gone, is as it should be.
///
/// # Errors
/// When nobody answers, or the engine refuses.
pub fn unpause(socket: &Path, container: &str) -> Result<()> {
    let path = format!("/containers/{container}/unpause");
    match order(socket, &path)? {
        (404 | 409, _) => Ok(()),
        answer => accepted(&path, answer),
    }
}

fn accepted(path: &str, (status, said): (u16, String)) -> Result<()> {
    if (200..300).contains(&status) {
        return Ok(());
    }
    let said = said.trim();
    Err(Error::BadRequest(format!(
        "the engine answers {path} with {status}: {said}"
    )))
}

/// What the engine answers to a request that changes something: its status, and what it says.
fn order(socket: &Path, path: &str) -> Result<(u16, String)> {
    let answer = talk(socket, "POST", path)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Error::BadRequest("that is no answer by HTTP".to_owned()))?;
    Ok((status, body.to_owned()))
}

fn ask(socket: &Path, method: &str, path: &str) -> Result<Value> {
    let answer = talk(socket, method, path)?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body)
        .map_err(|e| Error::BadRequest(format!("the answer cannot be understood: {e}")))
}

/// One request, by HTTP/1.0: the answer ends with the connection.
fn talk(socket: &Path, method: &str, path: &str) -> Result<String> {
    let cannot = |e| Error::io(format!("ask {}", socket.display()), e);
    let mut stream = UnixStream::connect(socket).map_err(cannot)?;
    stream.set_read_timeout(Some(WAIT_MAX)).map_err(cannot)?;
    let request = format!("{method} {path} HTTP/1.0\r\nHost: cask\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(cannot)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(cannot)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use super::*;

    fn engine(answer: &'static str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 1000];
            assert!(client.read(&mut request).unwrap() > 0);
            let head = "HTTP/1.0 200 OK\r\n\r\n";
            client
                .write_all(format!("{head}{answer}").as_bytes())
                .unwrap();
        });
        (dir, path)
    }

    #[test]
    fn containers_have_their_own_names_and_what_they_mount() {
        let (_dir, socket) = engine(
            r#"[{"Names": ["/app/db", "/web"], "Mounts": [{"Source": "/mnt/v"}, {"Type": "tmpfs"}]},
                {"Names": [], "Mounts": []}, {"Names": ["/bare"]}]"#,
        );
        let found = containers_within(&socket, WAIT_MAX);
        let names: Vec<_> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["web", "bare"]);
        assert_eq!(found[0].sources, [Path::new("/mnt/v")]);
    }

    #[test]
    fn an_engine_that_says_nothing_or_nonsense_has_no_containers_and_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let silent = dir.path().join("silent.sock");
        let _listener = UnixListener::bind(&silent).unwrap();
        let since = Instant::now();
        assert_eq!(containers_within(&silent, Duration::from_millis(50)), []);
        assert!(since.elapsed() < Duration::from_secs(2));
        let (_dir, confused) = engine(r#"{"message": "page not found"}"#);
        assert_eq!(containers_within(&confused, WAIT_MAX), []);
        assert_eq!(containers_within(&dir.path().join("none"), WAIT_MAX), []);
    }
}
