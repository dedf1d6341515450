//! The system calls of the differential test, and how they are drawn.

use crate::harness::Random;

/// One system call. Files are named by path, or by the slot of an open descriptor.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Open {
        slot: usize,
        path: String,
        flags: &'static [&'static str],
        mode: u32,
    },
    Close {
        slot: usize,
    },
    Pwrite {
        slot: usize,
        offset: u64,
        len: usize,
        fill: u8,
    },
    Append {
        slot: usize,
        len: usize,
        fill: u8,
    },
    Pread {
        slot: usize,
        offset: u64,
        len: usize,
    },
    MapWrite {
        slot: usize,
        offset: usize,
        len: usize,
        fill: u8,
    },
    Ftruncate {
        slot: usize,
        len: u64,
    },
    Truncate {
        path: String,
        len: u64,
    },
    Fallocate {
        slot: usize,
        mode: &'static [&'static str],
        offset: u64,
        len: u64,
    },
    CopyRange {
        from: usize,
        from_offset: u64,
        to: usize,
        to_offset: u64,
        len: usize,
    },
    Fsync {
        slot: usize,
        data_only: bool,
    },
    FsyncDir {
        path: String,
    },
    Fstat {
        slot: usize,
    },
    Stat {
        path: String,
    },
    Mkdir {
        path: String,
        mode: u32,
    },
    Rmdir {
        path: String,
    },
    Unlink {
        path: String,
    },
    Rename {
        from: String,
        to: String,
        flag: &'static str,
    },
    Link {
        from: String,
        to: String,
    },
    Symlink {
        target: String,
        path: String,
    },
    Mknod {
        path: String,
        kind: &'static str,
    },
    Chmod {
        path: String,
        mode: u32,
    },
    Chown {
        path: String,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    Utimens {
        path: String,
        seconds: i64,
        nanos: i64,
    },
    SetXattr {
        path: String,
        name: &'static str,
        len: usize,
        fill: u8,
        flag: &'static str,
    },
    GetXattr {
        path: String,
        name: &'static str,
    },
    RemoveXattr {
        path: String,
        name: &'static str,
    },
    SetAcl {
        path: String,
        default: bool,
        perms: [u8; 5],
    },
    ReadDir {
        path: String,
    },
    /// Another call as an unprivileged user.
    AsNobody(Box<Call>),
}

pub(super) const SLOTS: usize = 4;

// Files mostly have one kind of name and directories another, or nearly every call would be refused.
const FILE_NAMES: &[&str] = &["a", "b", "c", "a", "b", "c", "a", "b", "c", "d"];
const DIR_NAMES: &[&str] = &["d", "e", "f", "d", "e", "f", "d", "e", "f", "a"];
const OFFSET_MAX: u64 = 600_000;
const XATTRS: &[&str] = &["user.one", "user.two", "trusted.three", "security.four"];
const OPEN_FLAGS: &[&[&str]] = &[
    &["rdwr", "creat"],
    &["rdwr", "creat"],
    &["rdwr", "creat"],
    &["rdwr", "creat"],
    &["rdwr", "creat", "excl"],
    &["rdwr", "creat", "trunc"],
    &["rdwr"],
    &["rdwr", "trunc"],
    &["rdwr", "append"],
    &["wronly", "creat", "append"],
    &["rdonly"],
    &["rdonly", "nofollow"],
    &["rdonly", "directory"],
];
const FALLOCATE_MODES: &[&[&str]] = &[
    &[],
    &["keep"],
    &["keep", "punch"],
    &["zero"],
    &["zero", "keep"],
    &["punch"],
];

/// A path of one to three components, mostly in the directories that a sequence begins with.
fn path_to(random: &mut Random, names: &[&str]) -> String {
    let dir = random.pick(&["", "", "d", "e", "d/d", "any"]);
    let mut parts = match dir {
        "" => Vec::new(),
        "any" => vec![random.pick(DIR_NAMES).to_owned()],
        _ => vec![dir.to_owned()],
    };
    parts.push(random.pick(names).to_owned());
    if random.below(60) == 0 {
        let len = random.pick(&[255, 256]);
        parts.push("n".repeat(len));
    }
    parts.join("/")
}

fn path(random: &mut Random) -> String {
    let names = random.pick(&[FILE_NAMES, FILE_NAMES, FILE_NAMES, DIR_NAMES]);
    path_to(random, names)
}

fn dir_path(random: &mut Random) -> String {
    path_to(random, DIR_NAMES)
}

fn offset(random: &mut Random) -> u64 {
    let offset = random.below(OFFSET_MAX);
    // Page and chunk boundaries are where mistakes live.
    random.pick(&[
        offset,
        offset,
        offset / 4096 * 4096,
        offset / 131_072 * 131_072,
        0,
    ])
}

fn len(random: &mut Random) -> usize {
    let most = random.pick(&[10, 5000, 70_000, 300_000]);
    random.index(most) + 1
}

fn mode(random: &mut Random) -> u32 {
    random.pick(&[
        0o644, 0o755, 0o600, 0o777, 0o666, 0o2755, 0o4755, 0o6777, 0o1777, 0o2770, 0o2666, 0,
    ])
}

fn fill(random: &mut Random) -> u8 {
    u8::try_from(random.below(255)).unwrap() + 1
}

impl Call {
    pub(super) fn random(random: &mut Random) -> Self {
        let call = match random.below(100) {
            0..40 => Self::random_on_descriptor(random),
            40..70 => Self::random_on_name(random),
            _ => Self::random_on_attributes(random),
        };
        if random.below(5) == 0 {
            Self::AsNobody(Box::new(call))
        } else {
            call
        }
    }

    fn random_on_descriptor(random: &mut Random) -> Self {
        let slot = random.index(SLOTS);
        let (offset, len, fill) = (offset(random), len(random), fill(random));
        match random.below(26) {
            0..8 => Self::Open {
                slot,
                path: path_to(random, FILE_NAMES),
                flags: random.pick(OPEN_FLAGS),
                mode: mode(random),
            },
            8 => Self::Close { slot },
            9..13 => Self::Pwrite {
                slot,
                offset,
                len,
                fill,
            },
            13 => Self::Append { slot, len, fill },
            14..17 => Self::Pread { slot, offset, len },
            17 => Self::MapWrite {
                slot,
                offset: usize::try_from(offset).unwrap(),
                len,
                fill,
            },
            18 => Self::Ftruncate { slot, len: offset },
            19..22 => {
                let mode = random.pick(FALLOCATE_MODES);
                Self::Fallocate {
                    slot,
                    mode,
                    offset,
                    len: len as u64,
                }
            }
            22 => Self::CopyRange {
                from: slot,
                from_offset: offset,
                to: random.index(SLOTS),
                to_offset: self::offset(random),
                len,
            },
            23 => Self::Fsync {
                slot,
                data_only: random.below(2) == 0,
            },
            _ => Self::Fstat { slot },
        }
    }

    fn random_on_name(random: &mut Random) -> Self {
        let (path, other) = (path(random), path(random));
        match random.below(16) {
            0..4 => Self::Mkdir {
                path: dir_path(random),
                mode: mode(random),
            },
            4 => Self::Rmdir {
                path: dir_path(random),
            },
            5..7 => Self::Unlink { path },
            7..11 => {
                let flag = random.pick(&["", "", "noreplace", "exchange", "whiteout"]);
                Self::Rename {
                    from: path,
                    to: other,
                    flag,
                }
            }
            11..13 => Self::Link {
                from: path,
                to: other,
            },
            13 => Self::Symlink {
                target: other,
                path,
            },
            14 => Self::Mknod {
                path,
                kind: random.pick(&["fifo", "socket", "file"]),
            },
            _ => Self::Mknod {
                path: format!("{path}-device"),
                kind: random.pick(&["char", "block"]),
            },
        }
    }

    fn random_on_attributes(random: &mut Random) -> Self {
        let (path, name) = (path(random), random.pick(XATTRS));
        match random.below(20) {
            0..3 => Self::Chmod {
                path,
                mode: mode(random),
            },
            3..6 => {
                // Not `chown(-1, -1)`: under FUSE_HANDLE_KILLPRIV_V2 the kernel sends it as a SETATTR of
                // nothing, as it does before a write, so nobody can refuse it to a foreign user.
                let ids = [None, Some(0), Some(65_534), Some(4_000_000_000)];
                let (uid, gid) = (random.pick(&ids), random.pick(&ids));
                let uid = if gid.is_none() {
                    uid.or(Some(65_534))
                } else {
                    uid
                };
                Self::Chown { path, uid, gid }
            }
            6..8 => Self::Utimens {
                path,
                seconds: random.pick(&[0, -5, 1_700_000_000, 5_000_000_000]),
                nanos: random.below(1_000_000_000).cast_signed(),
            },
            8..11 => {
                let (len, fill) = (random.index(600), fill(random));
                let flag = random.pick(&["", "", "create", "replace"]);
                Self::SetXattr {
                    path,
                    name,
                    len,
                    fill,
                    flag,
                }
            }
            11 => Self::GetXattr { path, name },
            12 => Self::RemoveXattr { path, name },
            13 => {
                let mut perms = [0; 5];
                perms.fill_with(|| u8::try_from(random.below(8)).unwrap());
                Self::SetAcl {
                    path,
                    default: random.below(2) == 0,
                    perms,
                }
            }
            14 => Self::Truncate {
                path,
                len: offset(random),
            },
            15 => Self::FsyncDir {
                path: dir_path(random),
            },
            16..18 => Self::ReadDir {
                path: dir_path(random),
            },
            _ => Self::Stat { path },
        }
    }
}
