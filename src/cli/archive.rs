//! Tar archives in the form of POSIX (pax), with what GNU tar adds for holes and extended attributes.
//!
//! The crate `tar` knows the headers. The records of pax are read here: a value may hold any byte.

mod acl;
pub(super) mod read;
pub(super) mod write;

use crate::types::Timestamp;

/// Bytes that all in an archive is a multiple of.
const BLOCK_BYTES: usize = 512;
/// What precedes an extended attribute's name in a record.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// A time as a record has it: seconds, a point, and a fraction.
fn write_time(time: Timestamp) -> String {
    match (time.secs(), time.nanos()) {
        (secs, 0) => secs.to_string(),
        (secs, nanos) if secs < 0 => format!("-{}.{:09}", -(secs + 1), 1_000_000_000 - nanos),
        (secs, nanos) => format!("{secs}.{nanos:09}"),
    }
}

fn read_time(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let (secs, nanos): (i64, u32) = (whole.parse().ok()?, digits.parse().ok()?);
    // "-0.5" is before 1970, too.
    if whole.starts_with('-') && nanos > 0 {
        return Some(Timestamp::new(secs.checked_sub(1)?, 1_000_000_000 - nanos));
    }
    Some(Timestamp::new(secs, nanos))
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
        assert_eq!(read_time("x"), None);
    }
}
