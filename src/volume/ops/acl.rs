//! POSIX ACLs: the parts that Linux leaves to a FUSE server (acl(5), Linux fs/posix_acl.c).
//!
//! The kernel checks permissions by them; inheritance, the mask, and what chmod(2) does to them are ours.

use crate::volume::error::{Error, Result};

/// The attribute of the ACL that decides on access.
pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute of the ACL that new entries of a directory inherit.
pub(super) const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const HEADER_BYTES: usize = 4;
const ENTRY_BYTES: usize = 8;

/// Whom an entry is for, in the order that entries must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    UserObj,
    User,
    GroupObj,
    Group,
    Mask,
    Other,
}

impl Tag {
    const fn from_raw(raw: u16) -> Option<Self> {
        match raw {
            0x01 => Some(Self::UserObj),
            0x02 => Some(Self::User),
            0x04 => Some(Self::GroupObj),
            0x08 => Some(Self::Group),
            0x10 => Some(Self::Mask),
            0x20 => Some(Self::Other),
            _ => None,
        }
    }

    const fn to_raw(self) -> u16 {
        match self {
            Self::UserObj => 0x01,
            Self::User => 0x02,
            Self::GroupObj => 0x04,
            Self::Group => 0x08,
            Self::Mask => 0x10,
            Self::Other => 0x20,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: Tag,
    perm: u16,
    id: u32,
}

/// An ACL, valid as `posix_acl_valid` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acl(Vec<Entry>);

impl Acl {
    /// The ACL in an attribute's value (linux/posix_acl_xattr.h); `None` for one without entries, which
    /// means: none.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none, [`Error::Unsupported`] when of an unknown version.
    pub(super) fn parse(value: &[u8]) -> Result<Option<Self>> {
        let (header, entries) = value.split_at_checked(HEADER_BYTES).ok_or(Error::Invalid)?;
        if header != VERSION.to_le_bytes() {
            // EOPNOTSUPP, as `posix_acl_from_xattr` of Linux says.
            return Err(Error::Unsupported);
        }
        if entries.len() % ENTRY_BYTES != 0 {
            return Err(Error::Invalid);
        }
        let entries = entries.chunks_exact(ENTRY_BYTES).map(parse_entry);
        let entries = entries.collect::<Option<Vec<_>>>().ok_or(Error::Invalid)?;
        match entries.is_empty() {
            true => Ok(None),
            false if is_valid(&entries) => Ok(Some(Self(entries))),
            false => Err(Error::Invalid),
        }
    }

    /// The attribute's value for it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend(entry.tag.to_raw().to_le_bytes());
            bytes.extend(entry.perm.to_le_bytes());
            bytes.extend(entry.id.to_le_bytes());
        }
        bytes
    }

    /// The nine permission bits that stat(2) shows for it: the mask stands for the group.
    pub(super) fn mode_bits(&self) -> u32 {
        let perm = |tag| {
            self.0
                .iter()
                .find(|e| e.tag == tag)
                .map(|e| u32::from(e.perm))
        };
        let group = perm(Tag::Mask).or(perm(Tag::GroupObj)).unwrap_or(0);
        perm(Tag::UserObj).unwrap_or(0) << 6 | group << 3 | perm(Tag::Other).unwrap_or(0)
    }

    /// Whether the permission bits say all that it says.
    pub(super) fn is_mode(&self) -> bool {
        self.0
            .iter()
            .all(|e| matches!(e.tag, Tag::UserObj | Tag::GroupObj | Tag::Other))
    }

    /// After chmod(2) to `mode` (`__posix_acl_chmod_masq`).
    #[must_use]
    pub(super) fn with_mode(&self, mode: u32) -> Self {
        self.map_classes(|class, _| class.of(mode))
    }

    /// The ACL that a new node gets from this default ACL (`posix_acl_create_masq`).
    #[must_use]
    pub(super) fn inherited(&self, mode: u32) -> Self {
        self.map_classes(|class, perm| perm & class.of(mode))
    }

    /// Changes the entries that the permission bits stand for.
    fn map_classes(&self, change: impl Fn(Class, u16) -> u16) -> Self {
        let masked = self.0.iter().any(|e| e.tag == Tag::Mask);
        let class = |tag| match tag {
            Tag::UserObj => Some(Class::Owner),
            Tag::Mask => Some(Class::Group),
            Tag::GroupObj if !masked => Some(Class::Group),
            Tag::Other => Some(Class::Other),
            Tag::User | Tag::Group | Tag::GroupObj => None,
        };
        let entries = self.0.iter().map(|entry| match class(entry.tag) {
            Some(class) => Entry {
                perm: change(class, entry.perm),
                ..*entry
            },
            None => *entry,
        });
        Self(entries.collect())
    }
}

#[derive(Debug, Clone, Copy)]
enum Class {
    Owner,
    Group,
    Other,
}

impl Class {
    fn of(self, mode: u32) -> u16 {
        let bits = match self {
            Self::Owner => mode >> 6,
            Self::Group => mode >> 3,
            Self::Other => mode,
        };
        u16::try_from(bits & 0o7).unwrap_or(0)
    }
}

fn parse_entry(bytes: &[u8]) -> Option<Entry> {
    let half = |at: usize| {
        bytes
            .get(at..at + 2)?
            .try_into()
            .ok()
            .map(u16::from_le_bytes)
    };
    let id = bytes.get(4..8)?.try_into().ok().map(u32::from_le_bytes)?;
    Some(Entry {
        tag: Tag::from_raw(half(0)?)?,
        perm: half(2)?,
        id,
    })
}

fn is_valid(entries: &[Entry]) -> bool {
    let count = |tag| entries.iter().filter(|e| e.tag == tag).count();
    let named = count(Tag::User) + count(Tag::Group) > 0;
    let sorted = entries.windows(2).all(|pair| {
        let named = matches!(pair[0].tag, Tag::User | Tag::Group);
        pair[0].tag < pair[1].tag || (named && pair[0].tag == pair[1].tag)
    });
    sorted
        && entries.iter().all(|e| e.perm <= 0o7)
        && [Tag::UserObj, Tag::GroupObj, Tag::Other]
            .iter()
            .all(|&tag| count(tag) == 1)
        && (count(Tag::Mask) == 1 || (!named && count(Tag::Mask) == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(Tag, u16, u32)]) -> Acl {
        Acl(entries
            .iter()
            .map(|&(tag, perm, id)| Entry { tag, perm, id })
            .collect())
    }

    fn named() -> Acl {
        acl(&[
            (Tag::UserObj, 7, u32::MAX),
            (Tag::User, 6, 1000),
            (Tag::GroupObj, 5, u32::MAX),
            (Tag::Mask, 6, u32::MAX),
            (Tag::Other, 4, u32::MAX),
        ])
    }

    #[test]
    fn an_acl_survives_a_round_trip() {
        assert_eq!(Acl::parse(&named().to_bytes()).unwrap(), Some(named()));
        assert!(Acl::parse(b"").is_err());
        assert!(Acl::parse(&VERSION.to_le_bytes()).unwrap().is_none());
    }

    #[test]
    fn named_entries_need_a_mask() {
        let mut unmasked = named();
        unmasked.0.remove(3);
        assert!(Acl::parse(&unmasked.to_bytes()).is_err());
    }

    #[test]
    fn the_mask_stands_for_the_group_in_the_mode() {
        assert_eq!(named().mode_bits(), 0o764);
        let chmod = named().with_mode(0o640);
        assert_eq!(chmod.mode_bits(), 0o640);
        assert_eq!(chmod.0[2].perm, 5, "the owning group's own entry stays");
        assert_eq!(named().inherited(0o666).mode_bits(), 0o664);
    }
}
