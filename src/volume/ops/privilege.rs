//! Set-id bits and file capabilities: what a change of a file takes from it (inode(7), capabilities(7)).
//!
//! The kernel leaves this to the server (`FUSE_HANDLE_KILLPRIV_V2`).

use std::fs;

use crate::meta::{Inode, WriteTx};
use crate::types::{Caller, EXEC_GROUP, Ino, SETGID, SETUID};
use crate::volume::error::{Error, Result};

/// What file capabilities are stored in.
const CAPABILITY: &[u8] = b"security.capability";

/// What the caller of an operation may do beyond its user and group.
///
/// It is in `/proc`, and reading that takes longer than most transactions: it is looked up before one begins, and only
/// for those who turned out to need it.
#[derive(Debug)]
pub(in crate::volume) struct Privileges<'c> {
    caller: &'c Caller,
    status: Option<Status>,
}

/// What `/proc/PID/status` says (proc_pid_status(5)); nothing of a process that is gone.
#[derive(Debug, Default)]
struct Status {
    effective: Option<u64>,
    groups: Vec<u32>,
}

impl Status {
    fn of(pid: u32) -> Self {
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
            return Self::default();
        };
        let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
        let effective = line("CapEff:").and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        let groups = line("Groups:").unwrap_or("").split_whitespace();
        Self {
            effective,
            groups: groups.filter_map(|gid| gid.parse().ok()).collect(),
        }
    }
}

impl<'c> Privileges<'c> {
    /// Of a caller of whom nothing is looked up: who needs more says [`Error::CallerUnknown`].
    pub(in crate::volume) const fn unknown(caller: &'c Caller) -> Self {
        Self {
            caller,
            status: None,
        }
    }

    /// With what `/proc` says of the caller.
    pub(in crate::volume) fn look_up(caller: &'c Caller) -> Self {
        Self {
            caller,
            status: Some(Status::of(caller.pid)),
        }
    }
}

impl Privileges<'_> {
    fn status(&self) -> Result<&Status> {
        self.status.as_ref().ok_or(Error::CallerUnknown)
    }

    /// Whether a write by the caller leaves set-id bits: whether it has CAP_FSETID, which is looked up only where
    /// there is something to lose.
    fn may_keep_set_id(&self, mode: u32) -> Result<bool> {
        const CAP_FSETID: u32 = 4;
        if mode & (SETUID | SETGID) == 0 {
            return Ok(true);
        }
        if self.caller.uid != 0 {
            return Ok(false);
        }
        let effective = self.status()?.effective;
        // A superuser who is gone by now is taken for one as usual: with the capability.
        Ok(effective.is_none_or(|bits| bits & (1 << CAP_FSETID) != 0))
    }

    /// Whether the caller is the superuser or in group `gid`, as far as `/proc` tells.
    pub(super) fn is_member(&self, gid: u32) -> Result<bool> {
        if self.caller.uid == 0 || self.caller.gid == gid {
            return Ok(true);
        }
        Ok(self.status()?.groups.contains(&gid))
    }

    /// Without set-user-ID, and without set-group-ID unless the group may not execute and the caller is in
    /// it (Linux fs/attr.c, `setattr_should_drop_suidgid`).
    fn without_set_id(&self, mode: u32, gid: u32) -> Result<u32> {
        let keeps_group = mode & SETGID == 0 || (mode & EXEC_GROUP == 0 && self.is_member(gid)?);
        let dropped = if keeps_group { SETUID } else { SETUID | SETGID };
        Ok(mode & !dropped)
    }
}

/// After a change of the data: the superuser leaves the set-id bits, and nobody the capabilities.
pub(super) fn clear_unless_superuser(
    tx: &mut WriteTx<'_>,
    privileges: &Privileges<'_>,
    inode: &mut Inode,
) -> Result<()> {
    if !privileges.may_keep_set_id(inode.attr.mode)? {
        inode.attr.mode = privileges.without_set_id(inode.attr.mode, inode.attr.gid)?;
    }
    drop_capability(tx, inode.attr.ino)
}

/// After a change of owner or group, or a write that the kernel says nobody with CAP_FSETID made.
pub(in crate::volume) fn clear_for_anyone(
    tx: &mut WriteTx<'_>,
    privileges: &Privileges<'_>,
    inode: &mut Inode,
) -> Result<()> {
    inode.attr.mode = privileges.without_set_id(inode.attr.mode, inode.attr.gid)?;
    drop_capability(tx, inode.attr.ino)
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
        let without_set_id = |mode, gid, caller| {
            let privileges = Privileges {
                caller,
                status: Some(Status::default()),
            };
            privileges.without_set_id(mode, gid).unwrap()
        };
        assert_eq!(without_set_id(0o6745, 5, &member), 0o2745);
        assert_eq!(without_set_id(0o6745, 5, &stranger), 0o745);
        assert_eq!(without_set_id(0o6755, 5, &member), 0o755);
        assert_eq!(without_set_id(0o6745, 5, &Caller::root()), 0o2745);
    }

    /// With the writer held nobody reads `/proc`.
    #[test]
    fn what_only_proc_tells_is_asked_for_and_not_looked_up() {
        let caller = Caller {
            uid: 7,
            gid: 5,
            pid: std::process::id(),
            ..Caller::root()
        };
        let mut privileges = Privileges {
            caller: &caller,
            status: None,
        };
        assert!(privileges.is_member(5).unwrap());
        assert!(!privileges.may_keep_set_id(0o4755).unwrap());
        assert!(matches!(privileges.is_member(6), Err(Error::CallerUnknown)));
        privileges.status = Some(Status::of(caller.pid));
        assert!(!privileges.is_member(u32::MAX).unwrap());
    }
}
