//! A systemd unit of the volume's own, for a supervisor, whichever unit it was started from.
//!
//! What is in a unit's control group ends with the unit: `systemctl kill` of a service reaches all of it, `stop` as well where
//! `KillMode` is what it usually is, and the end of a session where `KillUserProcesses` is set. Its limits are for all
//! of it, too. A scope is what systemd has for processes that it did not start.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// It is there while systemd runs the host.
const SYSTEMD: &str = "/run/systemd/system";
/// Of the names of the scopes.
const PREFIX: &str = "cask-volume-";
/// systemd puts a process into its scope within milliseconds; a mount is waiting for it.
const WAIT_MAX: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(2);

/// Moves this process, and so all that it starts, out of the unit that it was started from. A host that does not
/// allow it is no reason not to serve.
pub(super) fn leave_unit(volume: &Path) {
    let Some(unit) = own_unit().filter(|unit| !unit.is_a_volumes()) else {
        return;
    };
    if !Path::new(SYSTEMD).is_dir() {
        return;
    }
    match enter_scope(volume, &unit) {
        Ok(scope) => log::info!("moved from {} to {scope}", unit.name),
        Err(e) => log::warn!("stays in {}, and ends if that is killed: {e}", unit.name),
    }
}

/// A unit of systemd.
#[derive(Debug, PartialEq, Eq)]
struct Unit {
    name: String,
    /// Of the user's own systemd.
    of_user: bool,
}

impl Unit {
    /// The innermost unit of a control group's path.
    fn of_path(path: &str) -> Option<Self> {
        let mut parts = path.rsplit('/');
        let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
        let name = parts.find(is_unit)?.to_owned();
        let of_user = parts.any(|part| part.starts_with("user@"));
        Some(Self { name, of_user })
    }

    fn is_a_volumes(&self) -> bool {
        self.name.starts_with(PREFIX) && self.name.ends_with(".scope")
    }
}

/// The unit that this process belongs to.
fn own_unit() -> Option<Unit> {
    unit_in(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// systemd goes by the hierarchy that it has for itself, or by the only one.
fn unit_in(groups: &str) -> Option<Unit> {
    let unit_by = |hierarchy: &str| {
        let mut paths = groups.lines().filter_map(|line| line.split_once(hierarchy));
        paths.find_map(|(_, path)| Unit::of_path(path))
    };
    unit_by(":name=systemd:").or_else(|| unit_by("0::"))
}

fn enter_scope(volume: &Path, from: &Unit) -> io::Result<String> {
    let pid = std::process::id();
    let name = format!("{PREFIX}{pid}.scope");
    let mut call = Command::new("busctl");
    // The user's own systemd has the system's move what is in a session.
    let by_user = from.of_user || !rustix::process::geteuid().is_root();
    call.arg(if by_user { "--user" } else { "--system" });
    call.args(["--quiet", "--timeout=2", "call"]);
    call.args([
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        &name,
        "fail",
        "5",
    ]);
    let described = format!("cask volume {}", volume.display());
    call.args(["Description", "s", &described]);
    // A shutdown unmounts, and with its last mount a server ends: it must not end before.
    call.args(["DefaultDependencies", "b", "false"]);
    // A server that the kernel killed for its memory is followed by another: systemd shall not end the supervisor for it.
    call.args(["Delegate", "b", "true"]);
    call.args(["CollectMode", "s", "inactive-or-failed"]);
    call.args(["PIDs", "au", "1", &pid.to_string(), "0"]);
    let status = call.stdin(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(format!("systemd refuses: {status}")));
    }
    wait_until_in(&name, &from.name)?;
    Ok(name)
}

/// What this process starts meanwhile would stay behind in some hierarchy: systemd moves it in one after the other.
fn wait_until_in(scope: &str, from: &str) -> io::Result<()> {
    let since = Instant::now();
    loop {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let is_in = unit_in(&groups).is_some_and(|unit| unit.name == scope);
        if is_in && has_left(&groups, from) {
            return Ok(());
        }
        if since.elapsed() > WAIT_MAX {
            // One that systemd does not manage keeps the process where it was.
            return is_in
                .then_some(())
                .ok_or_else(|| io::Error::other("systemd does not do it"));
        }
        thread::sleep(POLL);
    }
}

/// Whether the process is in no group of this unit any more, in whichever hierarchy.
fn has_left(groups: &str, unit: &str) -> bool {
    let is_in = |line: &str| line.split('/').any(|part| part == unit);
    !groups.lines().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_tells_its_unit() {
        let unit = |path| Unit::of_path(path).map(|unit| (unit.name, unit.of_user));
        let plugin = "/system.slice/cask-docker.service";
        assert_eq!(unit(plugin), Some(("cask-docker.service".into(), false)));
        let delegated = "/system.slice/a.service/payload";
        assert_eq!(unit(delegated), Some(("a.service".into(), false)));
        let users = "/user.slice/user-7.slice/user@7.service/app.slice/b.service";
        assert_eq!(unit(users), Some(("b.service".into(), true)));
        let session = "/user.slice/user-7.slice/session-3.scope";
        assert_eq!(unit(session), Some(("session-3.scope".into(), false)));
        let volumes = |path| Unit::of_path(path).map(|unit| unit.is_a_volumes());
        assert_eq!(volumes(session), Some(false));
        assert_eq!(volumes("/system.slice/cask-volume-7.scope"), Some(true));
        assert_eq!(volumes("/system.slice/cask-docker.service"), Some(false));
        assert_eq!(unit("/docker/0123"), None);
        assert_eq!(unit("/"), None);
    }

    #[test]
    fn a_unit_is_left_once_no_hierarchy_has_the_process_in_it() {
        let halfway =
            "9:name=systemd:/a.slice/new.scope\n8:pids:/a.slice/old.scope\n0::/a.slice/new.scope\n";
        assert!(!has_left(halfway, "old.scope"));
        assert!(has_left(&halfway.replace("old", "new"), "old.scope"));
    }

    #[test]
    fn systemd_goes_by_one_hierarchy() {
        let unit = |groups| unit_in(groups).map(|unit| unit.name);
        let hybrid = "9:name=systemd:/a.service\n8:pids:/b.service\n0::/c.service\n";
        assert_eq!(unit(hybrid).as_deref(), Some("a.service"));
        assert_eq!(unit("0::/c.service\n").as_deref(), Some("c.service"));
        let unused = "9:name=systemd:/\n0::/c.service\n";
        assert_eq!(unit(unused).as_deref(), Some("c.service"));
        assert_eq!(unit("8:pids:/b.service\n"), None);
    }
}
