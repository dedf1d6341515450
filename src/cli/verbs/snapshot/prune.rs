//! `cask snapshot prune`: keeps what the rules say, as restic's `forget` does.

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::control::{Op, SnapshotInfo};

use super::listed::list;
use super::rm::{remove, users};
use crate::cli::locate::{Root, VolumeRef};
use crate::cli::state_ref::typed;
use crate::cli::{CliError, Kind, Result, output};

/// Remove the snapshots that no rule keeps, and print their names
///
/// A snapshot stays if any rule keeps it, or if it is held or mounted. The rules look at the snapshots from the
/// newest to the oldest: --keep-last N keeps the last N, --keep-hourly N the newest of each of the last N
/// hours that have one, and so on; hours, days, ISO weeks and months are those of UTC. A rule that has
/// not run out keeps the oldest one, too.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    #[command(flatten)]
    rules: Rules,
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Default, clap::Args)]
#[group(required = true, multiple = true)]
struct Rules {
    /// Keep the last N
    #[arg(long, value_name = "N")]
    keep_last: Option<u32>,
    /// Keep the newest of each of the last N hours
    #[arg(long, value_name = "N")]
    keep_hourly: Option<u32>,
    /// Keep the newest of each of the last N days
    #[arg(long, value_name = "N")]
    keep_daily: Option<u32>,
    /// Keep the newest of each of the last N weeks
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u32>,
    /// Keep the newest of each of the last N months
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u32>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    if arguments.rules.keep_nothing() {
        return Err(
            CliError::new(Kind::Usage, "these rules would keep no snapshot at all")
                .hint("use `cask snapshot rm` to remove them all"),
        );
    }
    let (located, _) = root.open(&arguments.volume)?;
    for snapshot in arguments.rules.unwanted(list(&located, &Op::Snapshots)?) {
        if !users(&located, &snapshot.name)?.is_empty() {
            continue;
        }
        if !arguments.dry_run {
            remove(&located, &snapshot.name)?;
        }
        output::line(&typed(&arguments.volume, &snapshot.name))?;
    }
    Ok(())
}

/// One rule: what is the same within one of its periods, and how many periods it still keeps.
struct Bucket {
    period: fn(&Zoned, usize) -> i64,
    left: u32,
    last: Option<i64>,
}

impl Rules {
    fn keep_nothing(&self) -> bool {
        self.buckets().iter().all(|bucket| bucket.left == 0)
    }

    fn buckets(&self) -> [Bucket; 5] {
        let bucket = |wanted: Option<u32>, period| Bucket {
            period,
            left: wanted.unwrap_or(0),
            last: None,
        };
        [
            bucket(self.keep_last, |_, place| {
                i64::try_from(place).unwrap_or(i64::MAX)
            }),
            bucket(self.keep_hourly, |time, _| {
                day(time) * 100 + i64::from(time.hour())
            }),
            bucket(self.keep_daily, |time, _| day(time)),
            bucket(self.keep_weekly, |time, _| {
                let week = time.date().iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }),
            bucket(self.keep_monthly, |time, _| day(time) / 100),
        ]
    }

    /// Those that no rule keeps, the oldest first, of all snapshots, the oldest first.
    fn unwanted(&self, snapshots: Vec<SnapshotInfo>) -> Vec<SnapshotInfo> {
        let mut buckets = self.buckets();
        let oldest = snapshots.len().saturating_sub(1);
        let mut unwanted = Vec::new();
        for (place, snapshot) in snapshots.into_iter().rev().enumerate() {
            let time = Timestamp::from_second(snapshot.created).unwrap_or_default();
            let time = time.to_zoned(TimeZone::UTC);
            let mut is_kept = snapshot.held;
            for bucket in &mut buckets {
                is_kept |= bucket.keeps(&time, place, oldest);
            }
            if !is_kept {
                unwanted.push(snapshot);
            }
        }
        unwanted.reverse();
        unwanted
    }
}

impl Bucket {
    fn keeps(&mut self, time: &Zoned, place: usize, oldest: usize) -> bool {
        let period = Some((self.period)(time, place));
        if self.left == 0 || (period == self.last && place != oldest) {
            return false;
        }
        self.last = period;
        self.left -= 1;
        true
    }
}

/// A day as a number that reads as its date.
fn day(time: &Zoned) -> i64 {
    (i64::from(time.year()) * 100 + i64::from(time.month())) * 100 + i64::from(time.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshots(times: &[&str]) -> Vec<SnapshotInfo> {
        let one = |time: &&str| SnapshotInfo {
            name: time.replace(':', "-").parse().unwrap(),
            created: time.parse::<Timestamp>().unwrap().as_second(),
            label: String::new(),
            held: false,
            bytes: None,
        };
        times.iter().map(one).collect()
    }

    fn kept(rules: &Rules, all: Vec<SnapshotInfo>) -> Vec<String> {
        let gone = rules.unwanted(all.clone());
        let stay = all.into_iter().filter(|one| !gone.contains(one));
        stay.map(|one| one.name.into()).collect()
    }

    const TIMES: [&str; 7] = [
        "2026-01-31T10:00:00Z",
        "2026-02-01T10:00:00Z",
        "2026-02-01T10:30:00Z",
        "2026-02-01T11:00:00Z",
        "2026-02-02T00:00:00Z",
        "2026-02-02T09:00:00Z",
        "2026-02-02T09:59:00Z",
    ];

    #[test]
    fn the_newest_of_each_period_stays() {
        let all = || snapshots(&TIMES);
        let last = Rules {
            keep_last: Some(2),
            ..Rules::default()
        };
        assert_eq!(
            kept(&last, all()),
            ["2026-02-02T09-00-00Z", "2026-02-02T09-59-00Z"]
        );
        let daily = Rules {
            keep_daily: Some(2),
            ..Rules::default()
        };
        assert_eq!(
            kept(&daily, all()),
            ["2026-02-01T11-00-00Z", "2026-02-02T09-59-00Z"]
        );
        let hourly = Rules {
            keep_hourly: Some(4),
            ..Rules::default()
        };
        assert_eq!(
            kept(&hourly, all()),
            [
                "2026-02-01T10-30-00Z",
                "2026-02-01T11-00-00Z",
                "2026-02-02T00-00-00Z",
                "2026-02-02T09-59-00Z"
            ]
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_a_rule_that_has_not_run_out_keeps_the_oldest() {
        let all = || snapshots(&TIMES);
        let weekly = Rules {
            keep_weekly: Some(2),
            ..Rules::default()
        };
        // 2026-02-02 is a Monday.
        assert_eq!(
            kept(&weekly, all()),
            ["2026-02-01T11-00-00Z", "2026-02-02T09-59-00Z"]
        );
        let monthly = Rules {
            keep_monthly: Some(9),
            ..Rules::default()
        };
        assert_eq!(
            kept(&monthly, all()),
            ["2026-01-31T10-00-00Z", "2026-02-02T09-59-00Z"]
        );
        let weekly = Rules {
            keep_weekly: Some(3),
            ..Rules::default()
        };
        assert_eq!(kept(&weekly, all()).len(), 3, "the oldest, too");
    }

    #[test]
    fn what_is_held_stays_and_no_rule_keeps_nothing() {
        let mut all = snapshots(&TIMES);
        all[0].held = true;
        let last = Rules {
            keep_last: Some(1),
            ..Rules::default()
        };
        assert_eq!(kept(&last, all).len(), 2);
        assert!(Rules::default().keep_nothing());
    }
}
