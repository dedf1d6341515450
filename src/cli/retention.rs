//! Which snapshots stay: what the rules say, as restic's `forget` does.

use jiff::{Timestamp, Zoned, tz::TimeZone};

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    /// When it was taken, in seconds since 1970.
    pub(super) created: i64,
    /// Whether it stays in any case.
    pub(super) held: Hold,
}

/// Whether a snapshot stays in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It does.
    Held,
    /// The rules decide.
    Free,
}

/// The rules.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = true)]
pub(super) struct Rules {
    /// Keep the last N
    #[arg(long, value_name = "N")]
    pub(super) keep_last: Option<u32>,
    /// Keep the newest of each of the last N hours
    #[arg(long, value_name = "N")]
    pub(super) keep_hourly: Option<u32>,
    /// Keep the newest of each of the last N days
    #[arg(long, value_name = "N")]
    pub(super) keep_daily: Option<u32>,
    /// Keep the newest of each of the last N weeks
    #[arg(long, value_name = "N")]
    pub(super) keep_weekly: Option<u32>,
    /// Keep the newest of each of the last N months
    #[arg(long, value_name = "N")]
    pub(super) keep_monthly: Option<u32>,
}

/// One rule: what is the same within one of its periods, and how many periods it still keeps.
struct Bucket {
    period: fn(&Zoned, usize) -> i64,
    left: u32,
    last: Option<i64>,
}

impl Rules {
    /// Whether no snapshot at all would stay.
    pub(super) fn keep_nothing(&self) -> bool {
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
    pub(super) fn unwanted<T>(&self, snapshots: Vec<T>, look: impl Fn(&T) -> Looks) -> Vec<T> {
        let mut buckets = self.buckets();
        let oldest = snapshots.len().saturating_sub(1);
        let mut unwanted = Vec::new();
        for (place, snapshot) in snapshots.into_iter().rev().enumerate() {
            let Looks { created, held } = look(&snapshot);
            let time = Timestamp::from_second(created).unwrap_or_default();
            let time = time.to_zoned(TimeZone::UTC);
            let mut is_kept = held == Hold::Held;
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
    use crate::control::SnapshotInfo;

    fn snapshots(times: &[&str]) -> Vec<SnapshotInfo> {
        let one = |time: &&str| SnapshotInfo {
            name: time.replace(':', "-").parse().unwrap(),
            created: time.parse::<Timestamp>().unwrap().as_second(),
            label: String::new(),
            held: false,
            epoch: 0,
            bytes: None,
        };
        times.iter().map(one).collect()
    }

    fn looks(one: &SnapshotInfo) -> Looks {
        let held = if one.held { Hold::Held } else { Hold::Free };
        Looks {
            created: one.created,
            held,
        }
    }

    fn kept(rules: &Rules, all: Vec<SnapshotInfo>) -> Vec<String> {
        let gone = rules.unwanted(all.clone(), looks);
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
