//! `cask rm`.

use std::thread;
use std::time::{Duration, Instant};

use crate::volume::{Config, Error, store};

use crate::cli::confirm::{self, Reply};
use crate::cli::contents::{self, Contents};
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::quantity::parse_duration;
use crate::cli::{CliError, Kind, Result, output};
use crate::commands::mounted::refuse_mounted;

/// How long the server of a mount that failed may take to end.
const ENDING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Remove volumes and print their names
///
/// A volume that is mounted, open elsewhere or protected stays. What is removed is gone. Before a volume that holds anything,
/// files or snapshots, is removed, you are asked; where there is no terminal to ask on, -f is needed.
///
/// With --trash nothing is lost yet: the volume is put aside, its name is free, and `cask restore-volume` brings it
/// back, until `cask prune` removes what is due.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volumes
    #[arg(required = true, value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
    /// Don't ask, and don't complain about volumes that do not exist
    #[arg(short, long)]
    force: bool,
    /// Put the volumes into the trash instead
    #[arg(long)]
    trash: bool,
    /// How long to keep them there: a number with s, m, h, d or w
    #[arg(long, value_name = "TIME", default_value = "7d", requires = "trash", value_parser = parse_duration)]
    keep: Duration,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let wanted = if arguments.force || arguments.trash {
        arguments.volumes.clone()
    } else {
        agreed(&arguments.volumes, root)?
    };
    for volume in &wanted {
        let done = if arguments.trash {
            put_aside(volume, arguments.keep, root)
        } else {
            remove(volume, root)
        };
        match done {
            Ok(()) => output::line(&volume.typed())?,
            Err(e) if arguments.force && e.kind() == Kind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Those of the volumes that may go, as the user says. If one of them cannot be removed none is.
fn agreed(volumes: &[VolumeRef], root: &Root) -> Result<Vec<VolumeRef>> {
    let mut wanted = Vec::new();
    for volume in volumes {
        if agree(&removable(volume, root)?)? == Reply::Yes {
            wanted.push(volume.clone());
        }
    }
    Ok(wanted)
}

fn agree(located: &Located) -> Result<Reply> {
    let held = match contents::of(located)? {
        Contents::Nothing => return Ok(Reply::Yes),
        Contents::Data(words) => format!("{located} holds {words}"),
        Contents::Unknown(error) => format!("{located} may hold data ({error})"),
    };
    if !confirm::can_ask() {
        let message = format!("{held}, and there is no terminal to ask on");
        let hint = "use -f to remove it all the same, or --trash to keep it for a while";
        return Err(CliError::new(Kind::Failed, message).hint(hint));
    }
    confirm::ask(&format!("{held}. Remove it for good?"))
}

fn remove(volume: &VolumeRef, root: &Root) -> Result<()> {
    let located = removable(volume, root)?;
    match volume {
        VolumeRef::Name(name) => root.store().remove(name),
        VolumeRef::Dir(_) => store::remove_at(&located.dir),
    }
    .map_err(|e| located.explain_volume(e))
}

fn put_aside(volume: &VolumeRef, keep: Duration, root: &Root) -> Result<()> {
    let VolumeRef::Name(name) = volume else {
        let message =
            format!("{volume} is named by its directory, and the trash is for volumes of the root");
        let hint = format!(
            "move it elsewhere yourself, or remove it: `cask rm {}`",
            volume.typed()
        );
        return Err(CliError::new(Kind::Usage, message).hint(hint));
    };
    let located = removable(volume, root)?;
    let put = root.store().trash(name, keep);
    put.map(drop).map_err(|e| located.explain_volume(e))
}

/// A volume that nothing stands against removing, as far as can be seen without its lock.
fn removable(volume: &VolumeRef, root: &Root) -> Result<Located> {
    let located = root.locate(volume)?;
    refuse_mounted(&located)?;
    if let VolumeRef::Dir(_) = volume {
        refuse_other_directories(&located)?;
    }
    // Asked here for a better message and before the user is: it is looked at again with the lock held.
    if Config::is_protected(&located.dir) {
        return Err(located.explain_volume(Error::Protected));
    }
    Ok(located)
}

/// Takes back a volume that was just created, of which a server may still have to end.
pub(in crate::cli) fn remove_fresh(volume: &VolumeRef, root: &Root) {
    let since = Instant::now();
    loop {
        match remove(volume, root) {
            Err(e) if e.kind() == Kind::InUse && since.elapsed() < ENDING => thread::sleep(PAUSE),
            Err(e) => return output::warn(&format!("the new {volume} stays: {e}")),
            Ok(()) => return,
        }
    }
}

/// A typing error must not cost the user a directory that never was a volume.
fn refuse_other_directories(located: &Located) -> Result<()> {
    match Config::load(&located.dir) {
        Err(error @ Error::NotAVolume { .. }) => Err(located.explain_volume(error)),
        // One whose configuration is damaged is a volume nevertheless, and can be removed.
        Ok(_) | Err(_) => Ok(()),
    }
}
