//! `cask prune`.

mod garbage;

use crate::cli::confirm::{self, Reply};
use crate::cli::format::{self, human_bytes};
use crate::cli::locate::Root;
use crate::cli::{CliError, Kind, Result, output};
use crate::volume::store::Footprint;
use garbage::Garbage;

/// Remove what nobody needs any more, and tell how much space that gives back
///
/// That is: what is due in the trash (`cask ls --trash`), ephemeral volumes that were mounted and whose server was
/// killed, what a killed `create`, `clone`, `import` or `rm` left half done, and the cache of a repository that no remote
/// has any more. Whatever is protected, mounted or open stays. Volumes and snapshots that nobody uses stay, too: `cask rm` and `cask snapshot prune` are for those.
///
/// Segments that clones share count as reclaimed when the last of their owners goes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Don't ask
    #[arg(short, long)]
    force: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if arguments.dry_run {
        let garbage = garbage::find(root)?;
        show(&garbage)?;
        return total("reclaimable", &garbage);
    }
    if !arguments.force && !confirm::can_ask() {
        let message = "what is to go must be confirmed, and there is no terminal to ask on";
        let hint = "use -f, or --dry-run to see what would go";
        return Err(CliError::new(Kind::Failed, message).hint(hint));
    }
    let garbage = garbage::find(root)?;
    if !arguments.force && !garbage.is_empty() && agree(&garbage)? == Reply::No {
        return total("reclaimed", &[]);
    }
    sweep(garbage, root)
}

fn agree(garbage: &[Garbage]) -> Result<Reply> {
    output::prompt(&format!("This is to be removed:\n\n{}\n", table(garbage)));
    confirm::ask("Remove it for good?")
}

/// Removes all that can be removed; fails, at the end, when something could not that nobody uses.
fn sweep(garbage: Vec<Garbage>, root: &Root) -> Result<()> {
    let (mut gone, mut failure) = (Vec::new(), None);
    for one in garbage {
        match one.remove(root) {
            Ok(()) => gone.push(one),
            // Somebody mounted it, protected it or took it away since it was found: that is no failure.
            Err(error) if matches!(error.kind(), Kind::InUse | Kind::NotFound) => {
                output::warn(&format!("{} stays: {error}", one.name()));
            }
            Err(error) => {
                output::warn(&error.to_string());
                failure = Some(one);
            }
        }
    }
    show(&gone)?;
    total("reclaimed", &gone)?;
    let Some(one) = failure else { return Ok(()) };
    let message = format!("{} could not be removed", one.name());
    Err(CliError::new(Kind::Failed, message).hint("mend what is said above, and try again"))
}

fn show(garbage: &[Garbage]) -> Result<()> {
    if garbage.is_empty() {
        return Ok(());
    }
    output::raw(&format!("{}\n", table(garbage)))
}

fn table(garbage: &[Garbage]) -> String {
    let mut rows = vec![["KIND", "NAME", "DISK"].map(str::to_owned)];
    rows.extend(garbage.iter().map(|one| {
        let disk = human_bytes(one.footprint().bytes());
        [one.kind().to_owned(), one.name(), disk]
    }));
    format::columns(&rows)
}

fn total(what: &str, garbage: &[Garbage]) -> Result<()> {
    let mut together = Footprint::default();
    for one in garbage {
        together.add(one.footprint());
    }
    let freed = human_bytes(together.freed());
    output::line(&format!("Total {what} space: {freed}"))
}
