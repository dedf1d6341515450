//! How the scheduled snapshots of a volume are doing, as `inspect` and `doctor` show it.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::format::ago;
use crate::cli::locate::Located;
use crate::commands::schedule::next_round;
use crate::types::Schedule;
use crate::volume::{Config, Scheduled};

/// The snapshots that are taken by themselves. Times are RFC 3339.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScheduleView {
    /// How many stay of each kind of period.
    keep: String,
    /// The last that was taken.
    last: Option<String>,
    /// When that was.
    taken: Option<String>,
    /// When it was last seen to that there is one, also where nothing had changed.
    seen_to: Option<String>,
    /// When the next is due, if the volume is mounted by then or somebody runs `cask schedule run`.
    next: Option<String>,
    /// How often it failed since.
    failures: u32,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ScheduleView {
    /// Nothing where there is no schedule.
    pub(super) fn of(located: &Located, schedule: Schedule) -> Option<Self> {
        if schedule.is_off() {
            return None;
        }
        let (known, unknown) = match Scheduled::load(&located.dir) {
            Ok(known) => (known, None),
            Err(error) => (Scheduled::default(), Some(error.to_string())),
        };
        let time = |seconds| Some(Timestamp::from_second(seconds?).ok()?.to_string());
        Some(Self {
            keep: schedule.to_string(),
            last: known.last.map(String::from),
            taken: time(known.taken),
            seen_to: time(known.seen_to),
            next: next_round(schedule, known.seen_to).map(|at| at.to_string()),
            failures: known.failures,
            error: unknown.or(known.error),
        })
    }

    /// For a table: when the last was seen to, or that it failed.
    pub(super) fn word(&self) -> String {
        match &self.seen_to {
            _ if self.error.is_some() => "failed".to_owned(),
            Some(at) => ago(at),
            None => "none yet".to_owned(),
        }
    }
}

/// Why there will be fewer snapshots than the schedule says, if so; and what to do.
pub(super) fn trouble(dir: &Path, config: &Config, typed: &str) -> Option<(String, String)> {
    let schedule = config.schedule;
    let period = schedule.period()?;
    let known = match Scheduled::load(dir) {
        Ok(known) => known,
        Err(error) => {
            let what = format!("the scheduled snapshots of {typed} are not known: {error}");
            return Some((what, "run as the owner of the volume".to_owned()));
        }
    };
    if let Some(cause) = known.error {
        let times = known.failures;
        let what = format!("the scheduled snapshots of {typed} failed {times} times: {cause}");
        return Some((
            what,
            format!("mend that, and see `cask schedule run {typed}`"),
        ));
    }
    let seen_to = known.seen_to.and_then(|at| Timestamp::from_second(at).ok());
    let since = seen_to.or_else(|| config.created.parse().ok())?;
    // One round may be under way, and one be missed by a host that was off.
    let missed = schedule.round(since)?.next(period);
    let missed = schedule.round(missed)?.next(period);
    let late = missed < schedule.round(Timestamp::now())?.begins();
    late.then(|| {
        let what = match seen_to {
            Some(at) => format!("the schedule of {typed} was last seen to at {at}"),
            None => format!("the schedule of {typed} was never seen to"),
        };
        let mend = "mount it, or have a timer run `cask schedule run`; `cask log` may say more";
        (what, mend.to_owned())
    })
}
