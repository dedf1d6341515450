//! Tar archives in the form of POSIX (pax), with what GNU tar adds for holes and extended attributes.
//!
//! The crate `tar` writes the headers. They are read here, and the records of pax: in old archives a number may have
//! a sign, and a value may hold any byte.

mod acl;
mod header;
mod malformed;
pub(crate) mod read;
mod records;
pub(crate) mod write;

use crate::types::Timestamp;

/// Bytes that all in an archive is a multiple of.
const BLOCK_BYTES: usize = 512;
/// What precedes an extended attribute's name in a record.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// A time as a record has it: seconds, a point, and a fraction.
fn write_time(time: Timestamp) -> String {
    match (time.secs(), time.nanos()) {
        (secs, 0) => secs.to_string(),
        // Second -1 and 750 000 000 ns are -0.25: nanoseconds count upwards here, and digits away from zero there.
        (secs, nanos) if secs < 0 => format!("-{}.{:09}", -(secs + 1), 1_000_000_000 - nanos),
        (secs, nanos) => format!("{secs}.{nanos:09}"),
    }
}

/// A time as GNU tar reads one: digits beyond nanoseconds are rounded down, and what follows them is nobody's.
fn read_time(text: &str) -> Option<Timestamp> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let is_digit = |c: &char| c.is_ascii_digit();
    let whole: String = text.chars().take_while(is_digit).collect();
    let after = text[whole.len()..].strip_prefix('.').unwrap_or_default();
    let fraction: String = after.chars().take_while(is_digit).collect();
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let (secs, mut nanos): (i64, u32) = (whole.parse().ok()?, digits.parse().ok()?);
    if !is_negative {
        return Some(Timestamp::new(secs, nanos));
    }
    // Down is away from zero, for a number below it.
    if fraction.chars().skip(9).any(|digit| digit != '0') {
        nanos += 1;
    }
    match nanos {
        0 => Some(Timestamp::new(-secs, 0)),
        nanos => Some(Timestamp::new(
            (-secs).checked_sub(1)?,
            1_000_000_000 - nanos,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive() {
        for (secs, nanos, text) in [
            (0, 0, "0"),
            (5, 1, "5.000000001"),
            (-1, 500_000_000, "-0.500000000"),
            (-157_000_000, 321_098_766, "-156999999.678901234"),
            (-7, 0, "-7"),
        ] {
            let time = Timestamp::new(secs, nanos);
            assert_eq!(write_time(time), text);
            assert_eq!(read_time(text), Some(time), "{text}");
        }
        assert_eq!(read_time("3.5"), Some(Timestamp::new(3, 500_000_000)));
        assert_eq!(read_time("5e3"), Some(Timestamp::new(5, 0)));
        assert_eq!(read_time("5."), Some(Timestamp::new(5, 0)));
        let down = Some(Timestamp::new(-6, 876_543_210));
        assert_eq!(read_time("-5.1234567891"), down);
        for broken in ["x", "", "-", "+5", ".5", "99999999999999999999"] {
            assert_eq!(read_time(broken), None, "{broken}");
        }
    }
}
