//! The words of `-o`.

use std::ffi::OsString;

use crate::server::mounts::Attributes;
use crate::volume::Deadline;

use crate::cli::{CliError, Kind, Result};

/// Words that mean nothing to a mount of ours: they are for mount(8), systemd or people, or say what
/// is so anyway.
const HARMLESS: &[&str] = &[
    "defaults",
    "_netdev",
    "nofail",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "async",
    "allow_other",
    "default_permissions",
    "nonempty",
    "loud",
    "silent",
];
/// The same, with something behind them. A remount repeats what the mount table says of the superblock.
const HARMLESS_PREFIXES: &[&str] = &[
    "x-",
    "X-",
    "comment=",
    "user=",
    "uhelper=",
    "helper=",
    "user_id=",
    "group_id=",
    "rootmode=",
    "max_read=",
    "blksize=",
];

/// What `-o` asks for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Options {
    words: Vec<String>,
    /// What to show as the mount's source.
    pub(super) source: Option<OsString>,
    /// Whether to mount, or to change a mount.
    pub(super) action: Action,
    /// How long a read waits for a remote that the volume fetches from.
    pub(super) deadline: Option<Deadline>,
}

/// What to do with the mountpoint.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Mount.
    #[default]
    Mount,
    /// Change the flags of the mount that is there.
    Remount,
}

/// What to do about words nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Fail, naming the word.
    Refuse,
    /// Go on (`-s`, "sloppy").
    Ignore,
}

impl Options {
    /// Parses lists of words, each separated by commas.
    pub(super) fn parse(lists: &[String], unknown: Unknown) -> Result<Self> {
        let mut options = Self::default();
        let words = lists.iter().flat_map(|list| list.split(','));
        for word in words.filter(|word| !word.is_empty()) {
            if !options.take(word) && unknown == Unknown::Refuse {
                return Err(
                    CliError::new(Kind::Usage, format!("unknown mount option \"{word}\""))
                        .hint("`cask mount --help` lists those that are known"),
                );
            }
        }
        Ok(options)
    }

    /// These attributes as the words change them.
    pub(super) fn apply(&self, attributes: Attributes) -> Attributes {
        let words = self.words.iter();
        words.fold(attributes, |so_far, word| {
            so_far.with_word(word).unwrap_or(so_far)
        })
    }

    fn take(&mut self, word: &str) -> bool {
        if Attributes::default().with_word(word).is_some() {
            self.words.push(word.to_owned());
            return true;
        }
        if let Some(name) = word.strip_prefix("fsname=") {
            self.source = Some(name.into());
            return true;
        }
        if let Some(time) = word.strip_prefix("remote_timeout=") {
            self.deadline = time.parse().ok();
            return self.deadline.is_some();
        }
        if word == "remount" {
            self.action = Action::Remount;
            return true;
        }
        HARMLESS.contains(&word)
            || HARMLESS_PREFIXES
                .iter()
                .any(|prefix| word.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<Options> {
        Options::parse(&[list.to_owned()], Unknown::Refuse)
    }

    #[test]
    fn words_of_fstab_are_taken() {
        let options = parse("rw,ro,nosuid,_netdev,x-systemd.automount,fsname=disk,nofail").unwrap();
        assert_eq!(options.source, Some("disk".into()));
        assert!(options.apply(Attributes::default()).is_read_only());
        assert_eq!(parse("remount,ro").unwrap().action, Action::Remount);
        let deadline = |list| parse(list).unwrap().deadline;
        assert_eq!(deadline("ro"), None);
        assert_eq!(deadline("remote_timeout=5s"), Some(Deadline::Seconds(5)));
        assert_eq!(deadline("remote_timeout=wait"), Some(Deadline::Endless));
        assert!(parse("remote_timeout=soon").is_err());
    }

    #[test]
    fn unknown_words_are_refused_by_name_unless_sloppy() {
        let error = parse("ro,compress=9").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains("\"compress=9\""));
        let lists = ["compress=9".to_owned()];
        assert_eq!(
            Options::parse(&lists, Unknown::Ignore).unwrap(),
            Options::default()
        );
    }
}
