//! `cask doctor`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::docker::engine::{self, DOCKER_SOCKET};
use crate::server::{Kernel, ServerState, down_reason, mounts, server_state};
use crate::volume::{Config, Scrubbed, Trouble};

use crate::cli::caches;
use crate::cli::format::human_bytes;
use crate::cli::locate::{Root, VolumeRef};
use crate::cli::schedule_view;
use crate::cli::{CliError, Kind, Result, output};

/// Less than this, and less than a twentieth of the disk, is worth a word.
const FREE_BYTES_MIN: u64 = 2 * 1024 * 1024 * 1024;

/// Look for what keeps volumes from working here, and say how to mend it
///
/// A line for each thing: ok, warn or fail. Fails if one line does.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The socket of the volume plugin
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/docker/plugins/cask.sock"
    )]
    socket: PathBuf,
    /// The socket of the Docker engine
    #[arg(long, value_name = "PATH", default_value = DOCKER_SOCKET)]
    engine: PathBuf,
}

/// What was found, and how to mend it.
enum Finding {
    Ok(String),
    Warn(String, String),
    Fail(String, String),
}

use Finding::{Fail, Ok as Fine, Warn};

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let mut findings = vec![fuse(), kernel(), disk(root)];
    findings.extend(volumes(root));
    findings.extend(caches::kept(root).iter().map(cache));
    findings.extend(engines(arguments, root));
    let mut failed = 0;
    for finding in &findings {
        failed += u32::from(matches!(finding, Fail(..)));
        output::sentence(&finding.line())?;
    }
    if failed == 0 {
        return Ok(());
    }
    let message = format!("{failed} of {} things do not work", findings.len());
    Err(CliError::new(Kind::Failed, message).hint("do what the lines above say"))
}

impl Finding {
    fn line(&self) -> String {
        match self {
            Fine(what) => format!("ok    {what}"),
            Warn(what, mend) => format!("warn  {what}; {mend}"),
            Fail(what, mend) => format!("fail  {what}; {mend}"),
        }
    }
}

fn fuse() -> Finding {
    match mounts::open_fuse() {
        Ok(_) if mounts::is_privileged() || has_fusermount() => {
            Fine("/dev/fuse can be opened".to_owned())
        }
        Ok(_) => Fail(
            "there is no fusermount3, which mounts without root".to_owned(),
            "install the package fuse3".to_owned(),
        ),
        Err(e) => Fail(
            format!("/dev/fuse cannot be opened: {e}"),
            "load the module with `modprobe fuse`; in a container, use --device /dev/fuse"
                .to_owned(),
        ),
    }
}

fn has_fusermount() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("fusermount3").exists())
}

fn kernel() -> Finding {
    let kernel = Kernel::running();
    let release = kernel.release();
    if !kernel.serves() {
        return Fail(
            format!("Linux {release} is too old"),
            "cask needs Linux 5.11 or newer".to_owned(),
        );
    }
    if !kernel.resends() {
        return Warn(
            format!("Linux {release} does not send requests again when a volume's server dies"),
            "that needs Linux 6.9; without, calls that a dying server had read fail with EIO"
                .to_owned(),
        );
    }
    Fine(format!("Linux {release}"))
}

fn disk(root: &Root) -> Finding {
    let mut path = root.path();
    // A root that nobody made yet will be made.
    while !path.exists() {
        path = path.parent().unwrap_or_else(|| Path::new("/"));
    }
    let Ok(stat) = rustix::fs::statvfs(path) else {
        return Fail(
            format!("{} cannot be looked at", path.display()),
            "run as its owner, or name another root with --root".to_owned(),
        );
    };
    let (free, all) = (stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize);
    let said = format!(
        "{} free for volumes in {}",
        human_bytes(free),
        root.path().display()
    );
    if free < FREE_BYTES_MIN && free < all / 20 {
        return Warn(said, "make room: `cask df` shows what takes it".to_owned());
    }
    Fine(said)
}

fn volumes(root: &Root) -> Vec<Finding> {
    let names = match root.store().names() {
        Ok(names) => names,
        Err(e) => {
            return vec![Fail(
                format!("volumes cannot be listed: {e}"),
                "run as the owner of the root, or name another with --root".to_owned(),
            )];
        }
    };
    let count = names.len();
    let located = names.into_iter().map(VolumeRef::Name);
    let located = located.filter_map(|name| root.locate(&name).ok());
    let mut findings: Vec<_> = located
        .filter_map(|one| {
            let typed = one.reference.typed();
            if let Err(e) = Config::load(&one.dir) {
                let mend = "restore the file from a backup, or remove the volume".to_owned();
                return Some(Fail(format!("volume {typed} is broken: {e}"), mend));
            }
            match server_state(&one.dir) {
                Ok(ServerState::Dead(_)) => Some(Fail(
                    match down_reason(&one.dir) {
                        Some(reason) => format!("{typed} is down: {reason}"),
                        None => {
                            format!("the server of {typed} died, and its mounts do not answer")
                        }
                    },
                    format!("mount it again, or `cask umount {typed}`"),
                )),
                Ok(ServerState::Served(status, _)) if status.supervisor.is_none() => Some(Warn(
                    format!("{typed} has no keeper, so its mounts would end with its server"),
                    "mount it without --foreground".to_owned(),
                )),
                Ok(ServerState::Served(status, _)) if status.stopped.is_some() => Some(Fail(
                    format!(
                        "{typed} is read-only since an I/O error: {}",
                        status.stopped.unwrap_or_default()
                    ),
                    format!("mend the disk below it, then unmount and mount {typed} again"),
                )),
                _ => scrubbed(&one.dir, &typed)
                    .or_else(|| fetching(&one.dir, &typed))
                    .or_else(|| scheduled(&one.dir, &typed)),
            }
        })
        .collect();
    if findings.is_empty() {
        findings.push(Fine(format!("{count} volumes, none of them broken")));
    }
    findings
}

/// Damage that a server found on the disk.
fn scrubbed(dir: &Path, typed: &str) -> Option<Finding> {
    let damage = Scrubbed::load(dir).map(|done| done.damage());
    let what = match damage {
        Ok(damage) => format!("volume {typed} is damaged: {}", damage.first()?),
        Err(error) => format!("what the scrub of {typed} found cannot be read: {error}"),
    };
    let mend = format!("see `cask check --read-data {typed}`");
    Some(Fail(what, mend))
}

/// Snapshots that should be there, and are not.
fn scheduled(dir: &Path, typed: &str) -> Option<Finding> {
    let config = Config::load(dir).ok()?;
    let (what, mend) = schedule_view::trouble(dir, &config, typed)?;
    Some(Warn(what, mend))
}

fn cache(kept: &caches::Kept) -> Finding {
    let (taken, bound) = (human_bytes(kept.bytes), human_bytes(kept.bytes_max));
    Fine(format!(
        "the cache of {} takes {taken} of {bound}",
        kept.remote
    ))
}

/// A remote that does not give what a volume lacks.
fn fetching(dir: &Path, typed: &str) -> Option<Finding> {
    let trouble = Trouble::load(dir).transpose()?;
    let what = match trouble {
        Ok(Trouble { error, .. }) => format!("{typed} cannot fetch what it lacks: {error}"),
        Err(error) => format!("how {typed} fetches what it lacks cannot be read: {error}"),
    };
    let mend = "what is here can be read; the next read tries again".to_owned();
    Some(Warn(what, mend))
}

fn engines(arguments: &Arguments, root: &Root) -> Vec<Finding> {
    let version = match engine::version(&arguments.engine) {
        Ok(version) => version,
        Err(e) => {
            let mend = "start Docker, if you use it; Podman needs no daemon".to_owned();
            return vec![Warn(format!("no Docker engine: {e}"), mend)];
        }
    };
    let mut findings = vec![Fine(format!("Docker {version} answers"))];
    findings.push(match engine::plugin_volumes(&arguments.socket) {
        Ok(count) => Fine(format!("the volume plugin answers, with {count} volumes")),
        Err(e) => Warn(
            format!("the volume plugin does not answer: {e}"),
            "set it up with `cask docker install --now`".to_owned(),
        ),
    });
    let local = engine::local_volumes(&arguments.engine).unwrap_or_default();
    let shadows = local.into_iter().filter(|name| has_volume(root, name));
    findings.extend(shadows.map(|name| {
        let what =
            format!("Docker has a local volume {name} that hides the cask volume of that name");
        let mend = format!(
            "name the driver where it is used, and look into it before `docker volume rm {name}`"
        );
        Warn(what, mend)
    }));
    findings
}

fn has_volume(root: &Root, name: &str) -> bool {
    let dir = name.parse().map(|name| root.store().dir_of(&name));
    dir.is_ok_and(|dir| fs::symlink_metadata(dir.join("volume.json")).is_ok())
}
