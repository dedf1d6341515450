//! Where a repository is, as a user says it: `s3://bucket/prefix` or `file:///directory`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteUrl {
    /// A bucket of an S3 store, and a prefix, which may be empty.
    S3 {
        /// The bucket.
        bucket: String,
        /// Without slashes at its ends.
        prefix: String,
    },
    /// A directory, absolute.
    File(PathBuf),
}

/// A text that says no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not s3://BUCKET/PREFIX or file:///DIRECTORY")]
pub struct RemoteUrlError(String);

impl FromStr for RemoteUrl {
    type Err = RemoteUrlError;

    fn from_str(text: &str) -> Result<Self, RemoteUrlError> {
        let wrong = || RemoteUrlError(text.to_owned());
        if let Some(path) = text.strip_prefix("file://") {
            let is_absolute = path.starts_with('/') && path.len() > 1;
            let path = is_absolute.then(|| PathBuf::from(path));
            return path.map(Self::File).ok_or_else(wrong);
        }
        let rest = text.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let is_plain = |part: &str| !matches!(part, "" | "." | "..");
        // A store may clean such names up, and then has another object than was asked for.
        let is_clean = prefix.is_empty() || prefix.split('/').all(is_plain);
        let in_bucket = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.is_empty() || !bucket.chars().all(in_bucket) || !is_clean {
            return Err(wrong());
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::File(dir) => write!(f, "file://{}", Path::display(dir)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_as_they_are_read() {
        for text in ["s3://b", "s3://b/p", "s3://b.c/p/q", "file:///srv/x"] {
            assert_eq!(text.parse::<RemoteUrl>().unwrap().to_string(), text);
        }
        assert_eq!(
            "s3://b//p/".parse::<RemoteUrl>().unwrap().to_string(),
            "s3://b/p"
        );
        for bad in [
            "",
            "b",
            "s3://",
            "s3:///p",
            "file://x",
            "file:///",
            "http://x",
            "s3://b/a/../c",
        ] {
            assert!(bad.parse::<RemoteUrl>().is_err(), "{bad}");
        }
    }
}
