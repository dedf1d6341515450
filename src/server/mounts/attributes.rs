//! The flags of one mount, as mount(8) words them.
//!
//! They belong to the mount, not to the superblock, so each mount of a volume has its own.

use rustix::mount::{MountAttrFlags as Flag, MountFlags};

/// The flags of a mount. The default is read-write, with set-id bits, devices and programs allowed,
/// and relative access times: what mount(8) calls `defaults`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(Flag);

/// The words, the flag that each is about, and what becomes of the flag.
const WORDS: &[(&str, Flag, Flag)] = &[
    ("ro", Flag::MOUNT_ATTR_RDONLY, Flag::MOUNT_ATTR_RDONLY),
    ("rw", Flag::MOUNT_ATTR_RDONLY, Flag::empty()),
    ("nosuid", Flag::MOUNT_ATTR_NOSUID, Flag::MOUNT_ATTR_NOSUID),
    ("suid", Flag::MOUNT_ATTR_NOSUID, Flag::empty()),
    ("nodev", Flag::MOUNT_ATTR_NODEV, Flag::MOUNT_ATTR_NODEV),
    ("dev", Flag::MOUNT_ATTR_NODEV, Flag::empty()),
    ("noexec", Flag::MOUNT_ATTR_NOEXEC, Flag::MOUNT_ATTR_NOEXEC),
    ("exec", Flag::MOUNT_ATTR_NOEXEC, Flag::empty()),
    ("noatime", Flag::MOUNT_ATTR__ATIME, Flag::MOUNT_ATTR_NOATIME),
    ("atime", Flag::MOUNT_ATTR__ATIME, Flag::MOUNT_ATTR_RELATIME),
    (
        "relatime",
        Flag::MOUNT_ATTR__ATIME,
        Flag::MOUNT_ATTR_RELATIME,
    ),
    (
        "strictatime",
        Flag::MOUNT_ATTR__ATIME,
        Flag::MOUNT_ATTR_STRICTATIME,
    ),
    (
        "nostrictatime",
        Flag::MOUNT_ATTR__ATIME,
        Flag::MOUNT_ATTR_RELATIME,
    ),
    (
        "nodiratime",
        Flag::MOUNT_ATTR_NODIRATIME,
        Flag::MOUNT_ATTR_NODIRATIME,
    ),
    ("diratime", Flag::MOUNT_ATTR_NODIRATIME, Flag::empty()),
    (
        "nosymfollow",
        Flag::MOUNT_ATTR_NOSYMFOLLOW,
        Flag::MOUNT_ATTR_NOSYMFOLLOW,
    ),
    ("symfollow", Flag::MOUNT_ATTR_NOSYMFOLLOW, Flag::empty()),
];

/// The flags that mount(2) needs to be told for a remount, which replaces all of them.
const REMOUNT: &[(Flag, MountFlags)] = &[
    (Flag::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
    (Flag::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
    (Flag::MOUNT_ATTR_NODEV, MountFlags::NODEV),
    (Flag::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
    (Flag::MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
    (Flag::MOUNT_ATTR_STRICTATIME, MountFlags::STRICTATIME),
    (Flag::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
    (Flag::MOUNT_ATTR_NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
];

impl Default for Attributes {
    fn default() -> Self {
        Self(Flag::empty())
    }
}

impl Attributes {
    /// These attributes changed by one of mount(8)'s words; `None` when the word is about no flag.
    #[must_use]
    pub fn with_word(self, word: &str) -> Option<Self> {
        let (_, about, value) = WORDS.iter().find(|(known, ..)| *known == word)?;
        Some(Self(self.0.difference(*about).union(*value)))
    }

    /// The attributes of a mount that the mount table describes in these words.
    #[must_use]
    pub fn from_table(options: &str) -> Self {
        // A mount without any access-time word in the table updates them strictly.
        let strict = Self(Flag::MOUNT_ATTR_STRICTATIME);
        let words = options.split(',');
        words.fold(strict, |so_far, word| {
            so_far.with_word(word).unwrap_or(so_far)
        })
    }

    /// The same, and nothing may be written.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self(self.0.union(Flag::MOUNT_ATTR_RDONLY))
    }

    /// Whether nothing may be written.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        self.0.contains(Flag::MOUNT_ATTR_RDONLY)
    }

    /// The words that `fusermount3` understands of these.
    pub(super) fn fusermount_words(self) -> impl Iterator<Item = &'static str> {
        const PASSED_ON: [&str; 3] = ["ro", "noexec", "noatime"];
        WORDS
            .iter()
            .filter(move |(word, about, value)| {
                PASSED_ON.contains(word) && self.0.intersection(*about) == *value
            })
            .map(|(word, ..)| *word)
    }

    pub(super) fn for_fsmount(self) -> Flag {
        self.0
    }

    pub(super) fn for_remount(self) -> MountFlags {
        let set = REMOUNT.iter().filter(|(flag, _)| self.0.contains(*flag));
        set.fold(MountFlags::empty(), |so_far, (_, flag)| so_far | *flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_flag_counts() {
        let words = ["ro", "nosuid", "noatime", "suid", "relatime"];
        let attributes = words
            .iter()
            .try_fold(Attributes::default(), |so_far, word| so_far.with_word(word));
        assert_eq!(attributes.unwrap().0, Flag::MOUNT_ATTR_RDONLY);
        assert!(Attributes::default().with_word("bogus").is_none());
    }

    #[test]
    fn a_remount_keeps_what_the_table_says() {
        let attributes = Attributes::from_table("rw,nosuid,nodev,relatime");
        let expected = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
        let read_only = attributes.with_word("ro").unwrap();
        assert_eq!(read_only.for_remount(), expected);
        let strict = Attributes::from_table("rw").for_remount();
        assert_eq!(strict, MountFlags::STRICTATIME);
    }
}
