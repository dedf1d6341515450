//! What is recorded of a volume and can be changed.

use crate::commands::locate::Located;
use crate::commands::{CommandError, Kind, Result};
use crate::control::Op;
use crate::server;
use crate::types::{Compression, Schedule, ScrubRate};
use crate::volume::{Config, Life, Protection, Seal, store};

/// One of them, and what it is to be.
pub(crate) enum Setting {
    Label(String, String),
    NoLabel(String),
    Compress(Compression),
    Scrub(ScrubRate),
    Protect(Protection),
    Schedule(Schedule),
}

/// Sets all of them, or none that is refused.
pub(crate) fn set(settings: Vec<Setting>, located: &Located, config: &Config) -> Result<()> {
    refuse_ephemeral(&settings, located, config)?;
    refuse_sealed(&settings, located, config)?;
    settings
        .into_iter()
        .try_for_each(|setting| apply(setting, located))
}

/// What is to go by itself cannot be kept from going. A volume is ephemeral from the first, or never.
fn refuse_ephemeral(changes: &[Setting], located: &Located, config: &Config) -> Result<()> {
    let is_protection = |change: &Setting| matches!(change, Setting::Protect(Protection::On));
    if config.life == Life::Lasting || !changes.iter().any(is_protection) {
        return Ok(());
    }
    let message =
        format!("{located} is ephemeral: it goes with its last mount, and cannot be protected");
    let hint = "`cask clone` it, and protect the clone";
    Err(CommandError::new(Kind::Failed, message).hint(hint))
}

/// What never changes has one state only.
fn refuse_sealed(changes: &[Setting], located: &Located, config: &Config) -> Result<()> {
    let is_schedule = |change: &Setting| matches!(change, Setting::Schedule(to) if !to.is_off());
    if config.seal == Seal::Open || !changes.iter().any(is_schedule) {
        return Ok(());
    }
    let message = format!("{located} is sealed: it never changes, and has no snapshots taken");
    let hint = "`cask clone` it, and give the clone a schedule";
    Err(CommandError::new(Kind::Failed, message).hint(hint))
}

fn apply(change: Setting, located: &Located) -> Result<()> {
    // Whoever has the volume open must know.
    let told = match change {
        Setting::Compress(compression) => Some(Op::Compress { compression }),
        Setting::Scrub(rate) => Some(Op::Scrub { rate }),
        _ => None,
    };
    if let Some(op) = told {
        let done = server::perform(&located.dir, &op);
        return done.map(drop).map_err(|e| located.explain(e));
    }
    let edited = store::edit(&located.dir, |config| match change {
        Setting::Label(key, value) => drop(config.labels.insert(key, value)),
        Setting::NoLabel(key) => drop(config.labels.remove(&key)),
        Setting::Protect(protection) => config.protection = protection,
        // A server looks for it now and then.
        Setting::Schedule(schedule) => config.schedule = schedule,
        Setting::Compress(_) | Setting::Scrub(_) => {}
    });
    edited.map_err(|e| located.explain_volume(e))
}
