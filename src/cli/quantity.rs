//! Sizes and counts as users type them.

use std::time::Duration;

use crate::types::{Limits, bytes_of};

/// Longer than anybody keeps anything: 100 years.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// Parses `10G`: a whole number, with K, M, G, T or P for powers of 1024.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    bytes_of(text)
        .ok_or_else(|| "a size is a whole number with K, M, G, T or P, such as 10G".to_owned())
}

/// Parses bytes a second: as a size, of which 0 would never end.
pub(super) fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        0 => Err("0 bytes a second would never end".to_owned()),
        rate => Ok(rate),
    }
}

/// Parses `7d`: a whole number of seconds, minutes, hours, days or weeks.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let units = [
        ('s', 1),
        ('m', 60),
        ('h', 3600),
        ('d', 86_400),
        ('w', 604_800),
    ];
    let parsed = units.iter().find_map(|&(unit, seconds)| {
        let number = text.strip_suffix(unit)?.parse::<u64>().ok()?;
        number.checked_mul(seconds).map(Duration::from_secs)
    });
    parsed
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| {
            "a time is a whole number with s, m, h, d or w, such as 7d, of 36500d at most"
                .to_owned()
        })
}

/// A limit that a user sets, or lifts with `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<u64>);

/// Parses a limit in bytes.
pub(super) fn parse_size(text: &str) -> Result<Limit, String> {
    limit(text, parse_bytes)
}

/// Parses a limit in inodes.
pub(super) fn parse_count(text: &str) -> Result<Limit, String> {
    limit(text, |text| {
        let number = text
            .parse::<u64>()
            .map_err(|_| "a number, or none".to_owned())?;
        i64::try_from(number)
            .map(|_| number)
            .map_err(|e| e.to_string())
    })
}

fn limit(text: &str, parse: impl Fn(&str) -> Result<u64, String>) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => match parse(text)? {
            0 => Err("0 would leave no room at all; \"none\" is no limit".to_owned()),
            limit => Ok(Limit(Some(limit))),
        },
    }
}

/// What is typed for limits, over those that are set.
pub(super) fn merge(limits: Limits, bytes: Option<Limit>, inodes: Option<Limit>) -> Limits {
    Limits {
        bytes: bytes.map_or(limits.bytes, |limit| limit.0),
        inodes: inodes.map_or(limits.inodes, |limit| limit.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_and_nonsense_is_not() {
        assert_eq!(parse_bytes("10G"), Ok(10 << 30));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("3KiB"), Ok(3072));
        assert_eq!(parse_bytes("1mb"), Ok(1 << 20));
        for bad in ["", "G", "-1", "1.5G", "9E", "8192P", "99999999999999999999"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_size("none"), Ok(Limit(None)));
        assert!(parse_size("0").is_err() && parse_count("x").is_err());
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(parse_duration("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        for bad in [
            "",
            "7",
            "d",
            "-1d",
            "1.5h",
            "7 d",
            "7y",
            "36501d",
            "99999999999999999999w",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
