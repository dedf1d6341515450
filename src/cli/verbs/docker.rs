//! `cask docker`.

mod install;
pub(in crate::cli) mod plugin;
mod run_dir;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::docker::{Delays, Engine, Listener, Plugin, serve, serve_metrics};
use crate::types::LoopbackAddress;

use crate::cli::locate::Root;
use crate::cli::{CliError, Kind, Result};

/// Volumes for Docker and Podman
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Serve(ServeArguments),
    Install(install::Arguments),
    Uninstall(install::UninstallArguments),
}

/// Be the volume plugin, for as long as the process lives
///
/// Its end takes no mount along: volumes are served by processes of their own. Sockets that systemd passes on are
/// used as they are, one with "podman" in its name for Podman.
#[derive(Debug, clap::Args)]
struct ServeArguments {
    /// The socket for Docker
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/docker/plugins/cask.sock"
    )]
    socket: PathBuf,
    /// The socket for Podman, which containers.conf names; default: podman.sock in the run directory
    #[arg(long, value_name = "PATH")]
    podman_socket: Option<PathBuf>,
    /// Where volumes are mounted for containers, and where it is noted who has them; default: /run/cask, or
    /// $XDG_RUNTIME_DIR/cask without root
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Serve what `cask metrics` prints at http://ADDR/metrics, to whoever has an account on this host: an address of the
    /// loopback and a port, such as 127.0.0.1:9750
    #[arg(long, value_name = "ADDR")]
    metrics: Option<LoopbackAddress>,
    /// Milliseconds that a mount stays after its last user went
    #[arg(long, value_name = "MS", hide = true)]
    linger_ms: Option<u64>,
    /// Milliseconds that a mount stays which only the last life of dockerd held
    #[arg(long, value_name = "MS", hide = true)]
    linger_stale_ms: Option<u64>,
}

impl ServeArguments {
    fn delays(&self) -> Delays {
        let usual = Delays::default();
        let chosen = |ms: Option<u64>, usual| ms.map_or(usual, Duration::from_millis);
        Delays {
            unused: chosen(self.linger_ms, usual.unused),
            stale: chosen(self.linger_stale_ms, usual.stale),
        }
    }
}

impl Arguments {
    /// Whether the command goes on for ever, and logs what it does.
    pub(in crate::cli) const fn is_serving(&self) -> bool {
        match self.action {
            Action::Serve(_) => true,
            Action::Install(_) | Action::Uninstall(_) => false,
        }
    }
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    match &arguments.action {
        Action::Serve(arguments) => run_serve(arguments, root),
        Action::Install(arguments) => install::run(arguments),
        Action::Uninstall(arguments) => install::uninstall(arguments),
    }
}

fn run_serve(arguments: &ServeArguments, root: &Root) -> Result<()> {
    let failed = |e: crate::docker::Error| {
        CliError::new(Kind::Failed, "cannot serve volumes to engines")
            .because(e)
            .hint("`cask doctor` looks for what is missing")
    };
    let run_dir = match &arguments.run_dir {
        Some(dir) => dir.clone(),
        None => run_dir::default_run_dir()?,
    };
    // Before an engine hears of the plugin: with a port that is in use it does not start.
    if let Some(address) = arguments.metrics {
        serve_metrics(root.path(), address).map_err(|e| {
            CliError::new(Kind::Failed, "cannot serve metrics")
                .because(e)
                .hint("name another port with --metrics")
        })?;
    }
    // First what is there, then the sockets: an engine forgets what it is told does not exist.
    let plugin = Plugin::open(root.path(), &run_dir, arguments.delays()).map_err(failed)?;
    let passed = passed_on();
    let listeners = if passed.is_empty() {
        let podman = arguments.podman_socket.clone();
        let podman = podman.unwrap_or_else(|| run_dir.join("podman.sock"));
        let listeners = vec![
            Listener::bind(&arguments.socket, Engine::Docker).map_err(failed)?,
            Listener::bind(&podman, Engine::Podman).map_err(failed)?,
        ];
        remove_at_end(vec![arguments.socket.clone(), podman])?;
        listeners
    } else {
        passed
    };
    log::info!("serving volumes of {} to engines", root.path().display());
    serve(&plugin, listeners).map_err(failed)
}

/// Has the sockets go with the process: an engine tries for long to reach one that nobody listens on.
fn remove_at_end(sockets: Vec<PathBuf>) -> Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])
        .map_err(|e| CliError::new(Kind::Failed, "cannot wait for signals").because(e))?;
    std::thread::spawn(move || {
        let Some(signal) = signals.forever().next() else {
            return;
        };
        for socket in sockets {
            if let Err(e) = fs::remove_file(&socket) {
                log::debug!("cannot remove {}: {e}", socket.display());
            }
        }
        // It ends as the signal would have ended it: whoever started it sees by what.
        if let Err(e) = signal_hook::low_level::emulate_default_handler(signal) {
            log::warn!("cannot end: {e}");
        }
    });
    Ok(())
}

/// The sockets that systemd made (`sd_listen_fds(3)`).
fn passed_on() -> Vec<Listener> {
    let mut fds = ListenFd::from_env();
    let sockets = (0..fds.len()).filter_map(|i| {
        let socket: UnixListener = fds.take_unix_listener(i).ok().flatten()?;
        let engine = engine_of(&socket);
        Some(Listener::of(socket, engine))
    });
    sockets.collect()
}

/// Podman's socket has its name.
fn engine_of(socket: &UnixListener) -> Engine {
    let address = socket.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname());
    let name = path
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    if name.is_some_and(|name| name.contains("podman")) {
        Engine::Podman
    } else {
        Engine::Docker
    }
}
