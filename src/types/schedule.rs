//! When snapshots are taken by themselves, and how many of them stay. Times are those of UTC.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Unit};
use serde::{Deserialize, Serialize};

use super::SnapshotName;

/// How many snapshots stay of each kind of period; one is taken in each of the shortest that is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule {
    counts: [u32; 4],
}

/// What a snapshot is taken once in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week: from Monday on.
    Week,
    /// A month.
    Month,
}

/// The shortest first.
const PERIODS: [(Period, &str); 4] = [
    (Period::Hour, "hourly"),
    (Period::Day, "daily"),
    (Period::Week, "weekly"),
    (Period::Month, "monthly"),
];

/// As many hours are more than eleven years.
const COUNT_MAX: u32 = 100_000;

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither `off` nor periods.
    #[error(
        "\"{0}\" makes no sense: a schedule is off, or some of hourly=N, daily=N, weekly=N and monthly=N"
    )]
    Unknown(String),
    /// One that would keep nothing, or more than anybody has.
    #[error("\"{0}\" makes no sense: from 1 to {COUNT_MAX} snapshots can stay")]
    Count(String),
    /// The same period twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
}

impl Schedule {
    /// None is taken.
    pub const OFF: Self = Self { counts: [0; 4] };

    /// Whether none is taken.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::OFF
    }

    /// How many stay of a kind of period; 0 when it is not named.
    #[must_use]
    pub const fn count(&self, period: Period) -> u32 {
        self.counts[period as usize]
    }

    /// The period that one is taken in; none when it is off.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        let mut all = PERIODS.into_iter().map(|(period, _)| period);
        all.find(|&period| self.count(period) > 0)
    }

    /// The round that `now` is in; none when it is off.
    #[must_use]
    pub fn round(&self, now: Timestamp) -> Option<Round> {
        self.period().map(|period| Round::of(period, now))
    }

    /// The round that it is now, and how many seconds are left of it; none when it is off.
    #[must_use]
    pub fn present(&self) -> Option<(Round, u64)> {
        let (now, period) = (Timestamp::now(), self.period()?);
        let round = Round::of(period, now);
        Some((round, round.left(period, now)))
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let unknown = |part: &str| ScheduleError::Unknown(part.to_owned());
        if text == "off" {
            return Ok(Self::OFF);
        }
        let mut schedule = Self::OFF;
        let parts = text.split([' ', ',']).filter(|part| !part.is_empty());
        for part in parts {
            let (word, count) = part.split_once('=').ok_or_else(|| unknown(part))?;
            let named = PERIODS.into_iter().find(|&(_, known)| known == word);
            let (period, word) = named.ok_or_else(|| unknown(part))?;
            let count = count.parse().ok().filter(|n| (1..=COUNT_MAX).contains(n));
            let count = count.ok_or_else(|| ScheduleError::Count(part.to_owned()))?;
            let place = &mut schedule.counts[period as usize];
            if *place > 0 {
                return Err(ScheduleError::Twice(word));
            }
            *place = count;
        }
        if schedule.is_off() {
            return Err(unknown(text));
        }
        Ok(schedule)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_off() {
            return f.write_str("off");
        }
        let named = PERIODS.iter().filter(|(period, _)| self.count(*period) > 0);
        for (place, (period, word)) in named.enumerate() {
            let space = if place > 0 { " " } else { "" };
            write!(f, "{space}{word}={}", self.count(*period))?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Schedule {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self, ScheduleError> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.to_string()
    }
}

/// One period, by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round(DateTime);

/// `auto-2026-11-26T23:00`.
const NAME: &str = "auto-%Y-%m-%dT%H:%M";

impl Round {
    fn of(period: Period, now: Timestamp) -> Self {
        let now = now.to_zoned(TimeZone::UTC).datetime();
        let day = now.date();
        let begin = |date: Date| date.at(0, 0, 0, 0);
        Self(match period {
            Period::Hour => day.at(now.hour(), 0, 0, 0),
            Period::Day => begin(day),
            Period::Week => {
                let past = i64::from(day.weekday().to_monday_zero_offset());
                begin(day.saturating_sub(past.days()))
            }
            Period::Month => begin(day.first_of_month()),
        })
    }

    /// When it begins.
    #[must_use]
    pub fn begins(self) -> Timestamp {
        time_of(self.0)
    }

    /// When the one after it begins.
    #[must_use]
    pub fn next(self, period: Period) -> Timestamp {
        let span = match period {
            Period::Hour => 1.hour(),
            Period::Day => 1.day(),
            Period::Week => 1.week(),
            Period::Month => 1.month(),
        };
        time_of(self.0.saturating_add(span))
    }

    /// The name of its snapshot.
    ///
    /// # Panics
    /// Never: digits, dashes and colons are a name.
    #[must_use]
    pub fn name(self) -> SnapshotName {
        let name = self.0.strftime(NAME).to_string();
        name.parse()
            .unwrap_or_else(|_| unreachable!("digits, dashes and colons are a name"))
    }

    /// The round whose snapshot has this name; none where it is no such name.
    #[must_use]
    pub fn named(name: &SnapshotName) -> Option<Self> {
        let begin = DateTime::strptime(NAME, name.as_str()).ok()?;
        let round = Self(begin);
        (round.name() == *name).then_some(round)
    }

    /// Whether it is time for this round, where there are snapshots of `others`. Of a round that is over none is taken.
    ///
    /// What lies more than a period ahead was named by a clock that was wrong: it keeps nobody from going on.
    #[must_use]
    pub fn is_due(self, period: Period, others: &[Self]) -> bool {
        let soon = self.next(period);
        let ahead = |other: &Self| other.0 > self.0 && time_of(other.0) <= soon;
        !others.iter().any(|other| *other == self || ahead(other))
    }

    /// How long it is from `now` to the end of this round, in seconds; 0 when it is over.
    #[must_use]
    fn left(self, period: Period, now: Timestamp) -> u64 {
        let left = self.next(period).since((Unit::Second, now));
        let seconds = left.map_or(0, |span| span.get_seconds());
        u64::try_from(seconds).unwrap_or(0)
    }
}

fn time_of(utc: DateTime) -> Timestamp {
    let zoned = TimeZone::UTC.to_timestamp(utc);
    zoned.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn a_schedule_is_off_or_counts() {
        let all: Schedule = "hourly=24 daily=7,weekly=4 monthly=12".parse().unwrap();
        assert_eq!(all.to_string(), "hourly=24 daily=7 weekly=4 monthly=12");
        assert_eq!(all.period(), Some(Period::Hour));
        assert_eq!("off".parse(), Ok(Schedule::OFF));
        let monthly: Schedule = "monthly=1 weekly=2".parse().unwrap();
        assert_eq!(monthly.period(), Some(Period::Week));
        let stored = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&stored).unwrap(), all);
        for bad in [
            "",
            " ",
            "on",
            "hourly",
            "hourly=",
            "hourly=0",
            "hourly=-1",
            "hourly=x",
            "yearly=1",
            "daily=7 daily=8",
            "hourly=100001",
            "off hourly=1",
            "hourly=1;daily=2",
        ] {
            assert!(bad.parse::<Schedule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rounds_begin_with_their_periods() {
        let now = at("2026-11-26T23:34:56Z");
        let name = |period| Round::of(period, now).name().to_string();
        assert_eq!(name(Period::Hour), "auto-2026-11-26T23:00");
        assert_eq!(name(Period::Day), "auto-2026-11-26T00:00");
        // A Thursday.
        assert_eq!(name(Period::Week), "auto-2026-11-23T00:00");
        assert_eq!(name(Period::Month), "auto-2026-11-01T00:00");
        let next = |period| Round::of(period, now).next(period);
        assert_eq!(next(Period::Hour), at("2026-11-27T00:00:00Z"));
        assert_eq!(next(Period::Week), at("2026-11-30T00:00:00Z"));
        assert_eq!(next(Period::Month), at("2026-12-01T00:00:00Z"));
        assert_eq!(Round::of(Period::Hour, now).left(Period::Hour, now), 1504);
    }

    #[test]
    fn a_name_is_of_a_round_or_somebody_elses() {
        let round = Round::of(Period::Hour, at("2026-11-26T23:34:56Z"));
        assert_eq!(Round::named(&round.name()), Some(round));
        for other in [
            "auto-2026-11-26",
            "auto-2026-11-26T23:00x",
            "auto-",
            "before",
            "auto-2026-11-26T23:60",
        ] {
            assert_eq!(Round::named(&other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn a_clock_that_was_wrong_keeps_nobody_from_going_on() {
        let hour = |time| Round::of(Period::Hour, at(time));
        let now = hour("2026-11-26T23:34:56Z");
        let due = |others: &[Round]| now.is_due(Period::Hour, others);
        assert!(due(&[]));
        assert!(due(&[hour("2026-11-26T22:00:00Z")]));
        assert!(!due(&[now]));
        // Set back by less than a period: that one is near enough.
        assert!(!due(&[hour("2026-11-27T00:00:00Z")]));
        assert!(due(&[hour("2038-01-01T00:00:00Z")]));
    }
}
