//! How fast stored bytes are read again to see whether they are still whole.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bytes_of;

/// Bytes a second, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScrubRate(u64);

/// Why a text names no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is off, or bytes a second, such as 10M")]
pub struct ScrubRateError;

impl ScrubRate {
    /// Nothing is read.
    pub const OFF: Self = Self(0);

    /// Whether nothing is read.
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.0 == 0
    }

    /// Bytes a second; 0 when nothing is read.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// How long so many bytes take.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        // At rate 0 nobody reads, and nobody waits: only the division is guarded.
        let micros = u128::from(bytes) * 1_000_000 / u128::from(self.0.max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl FromStr for ScrubRate {
    type Err = ScrubRateError;

    fn from_str(text: &str) -> Result<Self, ScrubRateError> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let text = text.strip_suffix("/s").unwrap_or(text);
        bytes_of(text).map(Self).ok_or(ScrubRateError)
    }
}

impl fmt::Display for ScrubRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("off"),
            bytes => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_off_or_bytes_a_second() {
        assert_eq!("off".parse(), Ok(ScrubRate::OFF));
        assert_eq!("0".parse(), Ok(ScrubRate::OFF));
        let rate: ScrubRate = "2M/s".parse().unwrap();
        assert_eq!(
            (rate.bytes(), rate.to_string()),
            (2 << 20, "2097152".to_owned())
        );
        assert_eq!(rate.time_for(1 << 20), Duration::from_millis(500));
        for bad in ["", "fast", "-1", "1M/h"] {
            assert_eq!(bad.parse::<ScrubRate>(), Err(ScrubRateError), "{bad}");
        }
    }
}
