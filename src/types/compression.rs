//! How new chunks of a volume are compressed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is done to new chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// LZ4: fast, packs little.
    Lz4,
    /// Zstandard at this level, 1 to 19: slower, packs more.
    Zstd(i32),
}

const LEVEL_DEFAULT: i32 = 1;
// Zstandard's levels above are its "ultra" ones, which take far more memory for each chunk.
const LEVEL_MAX: i32 = 19;

/// Why a text names no compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("compression is none, lz4, zstd, or zstd:LEVEL with a level from 1 to {LEVEL_MAX}")]
pub struct CompressionError;

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        match text.split_once(':') {
            Some(("zstd", level)) => level
                .parse()
                .ok()
                .filter(|level| (1..=LEVEL_MAX).contains(level))
                .map(Self::Zstd)
                .ok_or(CompressionError),
            Some(_) => Err(CompressionError),
            None => match text {
                "none" => Ok(Self::None),
                "lz4" => Ok(Self::Lz4),
                "zstd" => Ok(Self::Zstd(LEVEL_DEFAULT)),
                _ => Err(CompressionError),
            },
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = CompressionError;

    fn try_from(text: String) -> Result<Self, CompressionError> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_parsed() {
        for text in ["none", "lz4", "zstd:1", "zstd:19"] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        assert_eq!("zstd".parse(), Ok(Compression::Zstd(1)));
        for bad in ["", "gzip", "zstd:0", "zstd:20", "lz4:1", "zstd:x"] {
            assert_eq!(bad.parse::<Compression>(), Err(CompressionError), "{bad}");
        }
    }
}
