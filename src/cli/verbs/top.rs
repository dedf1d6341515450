//! `cask top`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::format::{self, human_bytes};
use crate::cli::locate::{Root, VolumeRef};
use crate::cli::{Result, output};
use crate::server::{Told, measure};

/// How long a server may take to tell.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// Moves to the first line and clears what is below it (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[J";

/// Show what mounted volumes do, once a second
///
/// A line for each volume that has a server: requests of the kernel in a second, how long one took in the mean, bytes that
/// were read and written by them in a second (what the page cache answers is not in it), requests that wait, what the
/// files hold, and how many bytes of theirs there are for each that is stored. Where standard output is no terminal, the
/// lines of each second follow those of the one before.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volumes; default: all of the root
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
    /// End after so many seconds
    #[arg(short = 'n', long, value_name = "N")]
    rounds: Option<u64>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    // On a terminal the lines of before are overwritten.
    let clear = if std::io::stdout().is_terminal() {
        CLEAR
    } else {
        ""
    };
    let (mut before, mut at) = (look(&arguments.volumes, root)?, Instant::now());
    let mut left = arguments.rounds.unwrap_or(u64::MAX);
    while left > 0 {
        thread::sleep(INTERVAL);
        let (now, past) = (look(&arguments.volumes, root)?, at.elapsed());
        at = Instant::now();
        output::raw(&format!("{clear}{}", table(&before, &now, past)))?;
        before = now;
        left -= 1;
    }
    Ok(())
}

/// What the servers of volumes tell, by the volumes' names.
type Look = BTreeMap<String, Told>;

fn look(wanted: &[VolumeRef], root: &Root) -> Result<Look> {
    let all = match wanted {
        [] => root.volumes()?,
        some => some.to_vec(),
    };
    let mut found = Look::new();
    for volume in all {
        let located = match root.locate(&volume) {
            Ok(located) => located,
            // One that was removed meanwhile is not there; one that was asked for must be.
            Err(_) if wanted.is_empty() => continue,
            Err(error) => return Err(error),
        };
        match measure(&located.dir, WAIT_MAX) {
            Ok(Some(told)) => drop(found.insert(volume.typed(), told)),
            Ok(None) => {}
            Err(error) => log::debug!("{located}: {error}"),
        }
    }
    Ok(found)
}

fn table(before: &Look, now: &Look, past: Duration) -> String {
    let head = [
        "NAME",
        "REQUESTS/S",
        "MEAN",
        "READ/S",
        "WRITTEN/S",
        "WAITING",
        "USED",
        "DEDUP",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let nothing = Told::default();
    rows.extend(now.iter().map(|(name, told)| {
        let earlier = before.get(name).unwrap_or(&nothing);
        row(name, earlier, told, past)
    }));
    format::columns(&rows)
}

fn row(name: &str, before: &Told, now: &Told, past: Duration) -> [String; 8] {
    let (was, is) = (Totals::of(before), Totals::of(now));
    // Another server has counted from the start.
    let was = if was.started == is.started {
        was
    } else {
        Totals::default()
    };
    let requests = is.requests.saturating_sub(was.requests);
    let mean = is.nanos.saturating_sub(was.nanos).checked_div(requests);
    let bytes = |was: u64, is: u64| human_bytes(a_second(is.saturating_sub(was), past));
    let unknown = || "-".to_owned();
    let waiting = now.measured.as_ref().and_then(|measured| measured.waiting);
    [
        name.to_owned(),
        a_second(requests, past).to_string(),
        mean.map_or_else(unknown, |nanos| format!("{} us", nanos / 1000)),
        bytes(was.read, is.read),
        bytes(was.written, is.written),
        waiting.map_or_else(unknown, |count| count.to_string()),
        now.usage
            .as_ref()
            .map_or_else(unknown, |usage| human_bytes(usage.logical_bytes)),
        now.usage
            .as_ref()
            .map_or_else(unknown, |usage| format!("{:.2}", usage.dedup_ratio())),
    ]
}

/// All requests of a server together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    started: i64,
    requests: u64,
    nanos: u64,
    read: u64,
    written: u64,
}

impl Totals {
    fn of(told: &Told) -> Self {
        let Some(measured) = &told.measured else {
            return Self::default();
        };
        Self {
            started: measured.started,
            requests: measured.count(),
            nanos: measured.nanos(),
            read: measured.read_bytes,
            written: measured.written_bytes,
        }
    }
}

fn a_second(count: u64, past: Duration) -> u64 {
    let millis = u64::try_from(past.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Measured, MeasuredRequests};

    fn told(started: i64, requests: u64, written: u64) -> Told {
        let kind = MeasuredRequests {
            operation: "write".to_owned(),
            buckets: vec![requests],
            nanos: requests * 30_000,
        };
        Told {
            measured: Some(Measured {
                started,
                requests: vec![kind],
                written_bytes: written,
                ..Measured::default()
            }),
            usage: None,
        }
    }

    #[test]
    fn what_was_done_between_two_looks_is_told_by_the_second() {
        let two = Duration::from_secs(2);
        let cells = row("db", &told(5, 100, 0), &told(5, 300, 4096), two);
        assert_eq!(cells[..5], ["db", "100", "30 us", "0B", "2.0KiB"]);
        let cells = row("db", &told(5, 100, 0), &told(5, 100, 0), two);
        assert_eq!(cells[1..3], ["0", "-"]);
        // Another server counts from 0.
        let cells = row("db", &told(5, 100, 0), &told(6, 50, 0), two);
        assert_eq!(cells[1], "25");
    }
}
