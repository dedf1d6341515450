//! Sizes and counts as users type them.

use crate::types::Limits;

/// Parses `10G`: a whole number, with K, M, G, T or P for powers of 1024.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = ["K", "M", "G", "T", "P"];
    let upper = text.to_ascii_uppercase();
    let plain = upper.strip_suffix("IB").or(upper.strip_suffix('B'));
    let number = plain.unwrap_or(&upper);
    let (digits, power) = units
        .iter()
        .zip(1..)
        .find_map(|(unit, power)| Some((number.strip_suffix(unit)?, power)))
        .unwrap_or((number, 0));
    let parsed = digits.parse::<u64>().ok();
    parsed
        .and_then(|n| n.checked_mul(1024_u64.checked_pow(power)?))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| "a size is a whole number with K, M, G, T or P, such as 10G".to_owned())
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
}
