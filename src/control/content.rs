//! What answers hold of a volume's content: snapshots, changes, and bytes that need not be UTF-8.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::SnapshotName;

/// Bytes that are text most of the time, such as paths: each is sent as the character of its number, so
/// that text stays readable and anything else survives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|&byte| char::from(byte)).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        bytes.map(Self).map_err(D::Error::custom)
    }
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its name.
    pub name: SnapshotName,
    /// When it was taken, in seconds since 1970.
    pub created: i64,
    /// The user's note.
    pub label: String,
    /// Whether it may not be removed.
    pub held: bool,
    /// Which of the volume's it is, where the server says so: no two have the same.
    #[serde(default)]
    pub epoch: i64,
    /// What it holds, where that was asked for.
    pub bytes: Option<SnapshotBytes>,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotBytes {
    /// Bytes of its files that data is stored for.
    pub referenced: u64,
    /// Stored bytes that come back when it is removed, and no other.
    pub unique: u64,
}

/// A difference between two states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What.
    pub kind: ChangeKind,
    /// Where, relative to the root: in the newer state, or in the older for what went.
    pub path: Bytes,
    /// Where in the older state, for what was renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_path: Option<Bytes>,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// Its bytes, or a link's target, are others.
    Modified,
    /// The same inode had another name.
    Renamed,
    /// It is of another type.
    Retyped,
    /// Only attributes differ.
    Attributes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_survive_and_text_stays_text() {
        let all = Bytes((0..=255).collect());
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&json).unwrap(), all);
        let text = Bytes(b"a/b".to_vec());
        assert_eq!(serde_json::to_string(&text).unwrap(), r#""a/b""#);
        assert!(serde_json::from_str::<Bytes>("\"\u{100}\"").is_err());
    }
}
