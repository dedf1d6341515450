//! `cask docker install` and `uninstall`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::run_dir::default_run_dir;
use crate::cli::{CliError, Kind, Result, output};

const SYSTEMD: &str = "/run/systemd/system";
const UNITS: &str = "/etc/systemd/system";
const SOCKET_UNIT: (&str, &str) = (
    "cask-docker.socket",
    include_str!("../../../../systemd/cask-docker.socket"),
);
const SERVICE_UNIT: (&str, &str) = (
    "cask-docker.service",
    include_str!("../../../../systemd/cask-docker.service"),
);
/// Where the unit's file says that the program is.
const PROGRAM: &str = "/usr/bin/cask";
const CLI_PLUGIN: &str = "/usr/local/lib/docker/cli-plugins/docker-cask";
const PODMAN: &str = "/etc/containers";
const PODMAN_FILE: &str = "/etc/containers/containers.conf.d/cask.conf";

/// Set the plugin up on this machine, and print what was done
///
/// With systemd: units for the sockets and the service, before Docker's. Without: `--now` starts the plugin in the background. Also links the
/// program as `docker cask`, and tells Podman of the plugin if its configuration is there.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Start it, too
    #[arg(long)]
    now: bool,
}

/// Take back what `install` did; volumes stay, and so do their mounts
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct UninstallArguments {}

pub(in crate::cli) fn run(arguments: &Arguments) -> Result<()> {
    need_root()?;
    let program = std::env::current_exe().map_err(|e| failed("find this program", e))?;
    link(Path::new(CLI_PLUGIN), &program)?;
    if Path::new(PODMAN).is_dir() {
        let socket = default_run_dir()?.join("podman.sock");
        let text = format!("[engine.volume_plugins]\ncask = \"{}\"\n", socket.display());
        write(Path::new(PODMAN_FILE), &text)?;
    }
    if Path::new(SYSTEMD).is_dir() {
        return install_units(arguments, &program);
    }
    if arguments.now {
        return start(&program);
    }
    output::line(
        "there is no systemd: start `cask docker serve` at boot, before Docker, or use --now",
    )
}

fn install_units(arguments: &Arguments, program: &Path) -> Result<()> {
    for (name, text) in [SOCKET_UNIT, SERVICE_UNIT] {
        let text = text.replace(PROGRAM, &program.display().to_string());
        write(&Path::new(UNITS).join(name), &text)?;
    }
    // systemd goes by the units as it read them last.
    systemctl(&["daemon-reload"])?;
    let mut enable = vec!["enable"];
    if arguments.now {
        enable.push("--now");
    }
    enable.extend([SOCKET_UNIT.0, SERVICE_UNIT.0]);
    systemctl(&enable)
}

pub(super) fn uninstall(_: &UninstallArguments) -> Result<()> {
    need_root()?;
    if Path::new(SYSTEMD).is_dir() && Path::new(UNITS).join(SERVICE_UNIT.0).exists() {
        systemctl(&["disable", "--now", SERVICE_UNIT.0, SOCKET_UNIT.0])?;
    }
    for unit in [SOCKET_UNIT.0, SERVICE_UNIT.0] {
        remove(&Path::new(UNITS).join(unit))?;
    }
    remove(Path::new(CLI_PLUGIN))?;
    remove(Path::new(PODMAN_FILE))?;
    stop()
}

/// Starts the plugin in the background, in a session of its own.
fn start(program: &Path) -> Result<()> {
    let run_dir = default_run_dir()?;
    fs::create_dir_all(&run_dir).map_err(|e| failed("make the run directory", e))?;
    let log = run_dir.join("docker.log");
    let file = File::options().create(true).append(true).open(&log);
    let file = file.map_err(|e| failed("open the log", e))?;
    let mut command = Command::new("setsid");
    command.arg(program).args(["docker", "serve"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file);
    let child = command.spawn().map_err(|e| failed("start the plugin", e))?;
    write(&pid_file()?, &format!("{}\n", child.id()))?;
    output::line(&format!(
        "started the plugin, process {}; its log is {}",
        child.id(),
        log.display()
    ))
}

/// Ends a plugin that [`start`] started.
fn stop() -> Result<()> {
    let path = pid_file()?;
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|pid| is_plugin(*pid)) {
        kill_process(pid, Signal::TERM).map_err(|e| failed("end the plugin", e.into()))?;
        output::line(&format!(
            "ended the plugin, process {}",
            pid.as_raw_nonzero()
        ))?;
    }
    remove(&path)
}

/// A process number is given out again: it must still be ours.
fn is_plugin(pid: Pid) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    words
        .windows(2)
        .any(|pair| pair == [b"docker", b"serve" as &[u8]])
}

fn pid_file() -> Result<PathBuf> {
    Ok(default_run_dir()?.join("docker.pid"))
}

fn systemctl(words: &[&str]) -> Result<()> {
    let status = Command::new("systemctl").args(words).status();
    match status {
        Ok(status) if status.success() => {
            output::line(&format!("ran systemctl {}", words.join(" ")))
        }
        Ok(status) => Err(CliError::new(
            Kind::Failed,
            format!("systemctl {} failed: {status}", words.join(" ")),
        )),
        Err(e) => Err(failed("run systemctl", e)),
    }
}

fn link(path: &Path, program: &Path) -> Result<()> {
    make_parent(path)?;
    // symlink(2) replaces nothing.
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&format!("replace {}", path.display()), e));
        }
        _ => {}
    }
    symlink(program, path).map_err(|e| failed(&format!("make {}", path.display()), e))?;
    output::line(&format!("linked {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    crate::durable::replace_file(path, text.as_bytes())
        .map_err(|e| failed(&format!("write {}", path.display()), e))?;
    output::line(&format!("wrote {}", path.display()))
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|e| failed(&format!("make {}", parent.display()), e))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => output::line(&format!("removed {}", path.display())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed(&format!("remove {}", path.display()), e)),
    }
}

fn need_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(CliError::new(
        Kind::Failed,
        "only root can set the plugin up for this machine",
    )
    .hint("without root, run `cask docker serve --socket PATH` yourself"))
}

fn failed(what: &str, error: io::Error) -> CliError {
    CliError::new(Kind::Failed, format!("cannot {what}")).because(error)
}
