//! POSIX ACLs as text, which `tar --acls` writes: `user::rwx`, `user:1234:r-x`, `mask::rwx`, an entry a line or
//! with commas between.

use std::fs;
use std::io;

use crate::commands::archive::malformed::bad;

/// The keys of such records, and the attributes that say the same.
pub(super) const KEYS: [(&[u8], &[u8]); 2] = [
    (b"SCHILY.acl.access", b"system.posix_acl_access"),
    (b"SCHILY.acl.default", b"system.posix_acl_default"),
];
/// The version of the attributes' form (linux/posix_acl_xattr.h).
const VERSION: u32 = 2;
/// The id of an entry that is for nobody in particular.
const NO_ID: u32 = u32::MAX;

/// The attribute's value for an ACL in text.
pub(super) fn attribute(text: &[u8]) -> io::Result<Vec<u8>> {
    let text = std::str::from_utf8(text).map_err(|_| bad("an ACL is no text"))?;
    let lines = text.split(['\n', ',']).map(|line| {
        // What is behind `#` says which permissions the mask takes away.
        line.split('#').next().unwrap_or_default().trim()
    });
    let entries = lines.filter(|line| !line.is_empty()).map(entry);
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    // By the numbers of their tags, which is the order that the kernel wants.
    entries.sort_unstable();
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    Ok(bytes)
}

/// Tag, id and permissions.
fn entry(line: &str) -> io::Result<(u16, u32, u16)> {
    let broken = || bad(format!("the ACL entry {line:?} makes no sense"));
    let mut parts = line.split(':');
    let mut part = || parts.next().ok_or_else(broken);
    let (kind, who, permissions) = (part()?, part()?, part()?);
    // star adds the number of whom it names.
    let number = parts.next();
    let (tag, id) = match (kind, who) {
        ("user" | "u", "") => (0x01, NO_ID),
        ("user" | "u", who) => (0x02, id(number.unwrap_or(who), "/etc/passwd")?),
        ("group" | "g", "") => (0x04, NO_ID),
        ("group" | "g", who) => (0x08, id(number.unwrap_or(who), "/etc/group")?),
        ("mask" | "m", "") => (0x10, NO_ID),
        ("other" | "o", "") => (0x20, NO_ID),
        _ => return Err(broken()),
    };
    let bit = |letter| match letter {
        'r' => Ok(4),
        'w' => Ok(2),
        'x' => Ok(1),
        '-' => Ok(0),
        _ => Err(broken()),
    };
    let bits = permissions.chars().map(bit);
    let permissions = bits.collect::<io::Result<Vec<u16>>>()?;
    Ok((
        tag,
        id,
        permissions.into_iter().fold(0, |all, bit| all | bit),
    ))
}

/// The number of a user or group, who is named by it or by a name of this host.
fn id(who: &str, list: &str) -> io::Result<u32> {
    if let Ok(id) = who.parse() {
        return Ok(id);
    }
    let listed = fs::read_to_string(list).unwrap_or_default();
    let found = listed.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(who);
        fields.nth(1).filter(|_| is_it)?.parse().ok()
    });
    let unknown = || {
        bad(format!(
            "an ACL names {who}, who is not in {list}: add them, or make the archive with \
             --xattrs --xattrs-include='*'"
        ))
    };
    found.ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_what_linux_stores() {
        let expected: Vec<u8> = [
            &[2, 0, 0, 0][..],
            &[1, 0, 6, 0, 255, 255, 255, 255],
            &[2, 0, 7, 0, 0, 0, 0, 0],
            &[2, 0, 4, 0, 210, 4, 0, 0],
            &[4, 0, 0, 0, 255, 255, 255, 255],
            &[16, 0, 7, 0, 255, 255, 255, 255],
            &[32, 0, 1, 0, 255, 255, 255, 255],
        ]
        .concat();
        for text in [
            "user::rw-\nuser:1234:r--\nuser:root:rwx\t#effective:rwx\ngroup::---\nmask::rwx\nother::--x\n",
            "u::rw-,u:0:rwx,u:nobody-here:r--:1234,m::rwx,g::---,o::--x",
        ] {
            assert_eq!(attribute(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for text in [
            "user:rwx",
            "mask:7:rwx",
            "owner::rwx",
            "user::rwz",
            "user:no such:r--",
        ] {
            let said = attribute(text.as_bytes()).unwrap_err().to_string();
            assert!(
                said.contains("makes no sense") || said.contains("no such"),
                "{said}"
            );
        }
        assert!(attribute(b"user::\xff").is_err());
    }
}
