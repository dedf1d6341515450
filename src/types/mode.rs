//! Permission bits and the rules that clear the set-id ones.

use super::Caller;

/// The twelve bits that chmod(2) changes.
pub const MODE_BITS: u32 = 0o7777;
/// The nine permission bits.
pub const ALL_BITS: u32 = 0o777;
/// Set-user-ID.
pub const SETUID: u32 = 0o4000;
/// Set-group-ID.
pub const SETGID: u32 = 0o2000;
/// Execute for the group: without it, set-group-ID once meant mandatory locking.
pub const EXEC_GROUP: u32 = 0o010;

/// The mode after a write or truncate by someone without CAP_FSETID (inode(7)).
#[must_use]
pub const fn without_set_id_on_write(mode: u32) -> u32 {
    if mode & EXEC_GROUP == 0 {
        mode & !SETUID
    } else {
        mode & !(SETUID | SETGID)
    }
}

/// The mode after chown(2) of a non-directory, as Linux clears it: always set-user-ID, and
/// set-group-ID if the group may execute or the caller is not in the file's group.
#[must_use]
pub fn without_set_id(mode: u32, gid: u32, caller: &Caller) -> u32 {
    if mode & EXEC_GROUP != 0 || !caller.owns_group(gid) {
        mode & !(SETUID | SETGID)
    } else {
        mode & !SETUID
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_keep_setgid_only_where_the_group_cannot_execute() {
        assert_eq!(without_set_id_on_write(0o6755), 0o755);
        assert_eq!(without_set_id_on_write(0o6745), 0o2745);
    }
}
