//! Set-id bits and file capabilities: what a change of a file takes from it (inode(7), capabilities(7)).
//!
//! The kernel leaves this to the server (`FUSE_HANDLE_KILLPRIV_V2`).

use std::fs;

use super::Result;
use crate::meta::{Inode, WriteTx};
use crate::types::{Caller, EXEC_GROUP, Ino, SETGID, SETUID};

/// What file capabilities are stored in.
const CAPABILITY: &[u8] = b"security.capability";

/// After a change of the data: the superuser leaves the set-id bits, and nobody the capabilities.
pub(super) fn clear_unless_superuser(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    inode: &mut Inode,
) -> Result<()> {
    if !may_keep_set_id(caller, inode.attr.mode) {
        inode.attr.mode = without_set_id(inode.attr.mode, inode.attr.gid, caller);
    }
    drop_capability(tx, inode.attr.ino)
}

/// Whether a write by the caller leaves set-id bits: whether it has CAP_FSETID, which is looked up only where
/// there is something to lose.
fn may_keep_set_id(caller: &Caller, mode: u32) -> bool {
    const CAP_FSETID: u32 = 4;
    if mode & (SETUID | SETGID) == 0 {
        return true;
    }
    let effective = || {
        let status = fs::read_to_string(format!("/proc/{}/status", caller.pid)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    caller.uid == 0 && effective().is_none_or(|bits| bits & (1 << CAP_FSETID) != 0)
}

/// After a change of owner or group, or a write that the kernel says nobody with CAP_FSETID made.
pub(super) fn clear_for_anyone(
    tx: &mut WriteTx<'_>,
    caller: &Caller,
    inode: &mut Inode,
) -> Result<()> {
    inode.attr.mode = without_set_id(inode.attr.mode, inode.attr.gid, caller);
    drop_capability(tx, inode.attr.ino)
}

/// Without set-user-ID, and without set-group-ID unless the group may not execute and the caller is in
/// it (Linux fs/attr.c, `setattr_should_drop_suidgid`).
fn without_set_id(mode: u32, gid: u32, caller: &Caller) -> u32 {
    let keeps_group = mode & SETGID == 0 || (mode & EXEC_GROUP == 0 && is_member(caller, gid));
    if keeps_group {
        mode & !SETUID
    } else {
        mode & !(SETUID | SETGID)
    }
}

/// Whether the caller is the superuser or in group `gid`, as far as `/proc` tells.
pub(super) fn is_member(caller: &Caller, gid: u32) -> bool {
    caller.uid == 0 || caller.gid == gid || supplementary_groups(caller).contains(&gid)
}

fn supplementary_groups(caller: &Caller) -> Vec<u32> {
    let Ok(status) = fs::read_to_string(format!("/proc/{}/status", caller.pid)) else {
        return Vec::new();
    };
    let groups = status
        .lines()
        .find_map(|line| line.strip_prefix("Groups:"))
        .unwrap_or("");
    groups
        .split_whitespace()
        .filter_map(|gid| gid.parse().ok())
        .collect()
}

fn drop_capability(tx: &mut WriteTx<'_>, ino: Ino) -> Result<()> {
    tx.delete_xattr(ino, CAPABILITY)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_group_id_stays_for_members_where_the_group_cannot_execute() {
        let member = Caller {
            uid: 7,
            gid: 5,
            ..Caller::root()
        };
        let stranger = Caller { gid: 6, ..member };
        assert_eq!(without_set_id(0o6745, 5, &member), 0o2745);
        assert_eq!(without_set_id(0o6745, 5, &stranger), 0o745);
        assert_eq!(without_set_id(0o6755, 5, &member), 0o755);
        assert_eq!(without_set_id(0o6745, 5, &Caller::root()), 0o2745);
    }
}
