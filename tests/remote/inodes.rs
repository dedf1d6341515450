//! A tree with every kind of inode, and all that the system tells of one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use cask::types::ChunkHash;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::random::Random;

/// The bits of a mode that say what an inode is, and those of a file.
const TYPE: u32 = 0o170_000;
const FILE: u32 = 0o100_000;

/// How much there is of what takes time.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) big_bytes: usize,
    pub(crate) small_files: usize,
}

/// What is told of an inode, by one of its names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    ino: u64,
    mode: u32,
    nlink: u64,
    owner: (u32, u32),
    rdev: u64,
    size: u64,
    blocks: u64,
    times: [(i64, i64); 3],
    target: Option<Vec<u8>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    content: Option<String>,
}

impl Facts {
    pub(crate) fn ino(&self) -> u64 {
        self.ino
    }
}

/// Makes the tree.
pub(crate) fn plant(dir: &Path, size: Size, seed: u64) {
    let mut random = Random::new(seed);
    let at = |name: &str| dir.join(name);
    fs::write(at("big"), random.bytes(size.big_bytes)).unwrap();
    fs::write(at("empty"), b"").unwrap();
    fs::write(at("text"), b"all work and no play ".repeat(10_000)).unwrap();
    plant_holes(&at("holes"), &mut random);
    plant_names(dir);
    plant_nodes(dir);
    fs::create_dir(at("many")).unwrap();
    for number in 0..size.small_files {
        let len = random.index(3000);
        fs::write(at("many").join(number.to_string()), random.bytes(len)).unwrap();
    }
    plant_attributes(dir, &mut random);
    plant_times(dir);
}

fn plant_holes(path: &Path, random: &mut Random) {
    let file = File::create(path).unwrap();
    for off in [5_u64, 4096 * 77 + 1, 3 << 20, 1 << 40] {
        let len = 1 + random.index(9000);
        file.write_all_at(&random.bytes(len), off).unwrap();
    }
    file.set_len((1 << 41) + 3).unwrap();
}

fn plant_names(dir: &Path) {
    fs::hard_link(dir.join("text"), dir.join("text too")).unwrap();
    let long = OsStr::from_bytes(&[0xff; 255]).to_owned();
    let odd: &[&[u8]] = &[
        b"\xff\xfe",
        b"\n",
        b" ",
        b"...",
        b"-rf",
        "\u{e4}".as_bytes(),
        b"a\\b\x7f\x01",
        long.as_bytes(),
    ];
    for name in odd {
        fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let deep = dir.join("d/e/e/p");
    fs::create_dir_all(&deep).unwrap();
    fs::hard_link(dir.join("text"), deep.join(OsStr::from_bytes(b"\x80"))).unwrap();
}

fn plant_nodes(dir: &Path) {
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(
            CWD,
            dir.join(name),
            kind,
            Mode::from_raw_mode(0o640),
            device,
        )
        .unwrap();
    };
    node("fifo", FileType::Fifo, 0);
    node("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node(
        "disk",
        FileType::BlockDevice,
        rustix::fs::makedev(259, 0xf_ffff),
    );
    drop(UnixListener::bind(dir.join("socket")).unwrap());
    std::os::unix::fs::symlink(OsStr::from_bytes(b"no\xffwhere"), dir.join("link")).unwrap();
    std::os::unix::fs::symlink("x".repeat(4095), dir.join("long link")).unwrap();
    fs::hard_link(dir.join("link"), dir.join("link too")).unwrap();
    for (name, mode) in [("text", 0o6755), ("empty", 0), ("d", 0o1777)] {
        rustix::fs::chmod(dir.join(name), Mode::from_raw_mode(mode)).unwrap();
    }
    std::os::unix::fs::lchown(dir.join("link"), Some(12), Some(u32::MAX - 1)).unwrap();
    std::os::unix::fs::lchown(dir.join("fifo"), Some(u32::MAX - 1), Some(7)).unwrap();
}

fn plant_attributes(dir: &Path, random: &mut Random) {
    let set = |name: &str, key: &str, value: &[u8]| {
        let set = rustix::fs::lsetxattr(dir.join(name), key, value, XattrFlags::empty());
        set.unwrap_or_else(|e| panic!("{key} of {name}: {e}"));
    };
    set("empty", "user.none", b"");
    set("text", "user.long", &random.bytes(60_000));
    set("text", "trusted.x", b"\0\xff");
    set("d", "user.of a directory", b"1");
    set("link", "trusted.of a link", b"2");
    set(
        "big",
        "security.capability",
        &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    for (name, kind) in [("big", "-m"), ("d", "-dm")] {
        let mut setfacl = std::process::Command::new("setfacl");
        setfacl
            .args([kind, "u:1234:r-x,g:77:-w-"])
            .arg(dir.join(name));
        assert!(setfacl.status().unwrap().success(), "{name}");
    }
}

/// Last: what is made in a directory changes its times.
fn plant_times(dir: &Path) {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    for (name, last_access, last_modification) in [
        ("empty", time(-1, 999_999_999), time(-62_135_596_800, 1)),
        ("link", time(0, 0), time(1 << 33, 123_456_789)),
        ("fifo", time(7, 7), time(-1, 0)),
        ("d/e", time(1, 1), time(2, 2)),
    ] {
        let times = Timestamps {
            last_access,
            last_modification,
        };
        let path = dir.join(name);
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// All that is told of the tree at `dir`. What is read of it may change when it was read last.
pub(crate) fn facts(dir: &Path) -> BTreeMap<Vec<u8>, Facts> {
    let mut found = BTreeMap::new();
    look(dir, dir, &mut found);
    for (name, facts) in &mut found {
        let path = dir.join(OsStr::from_bytes(name));
        facts.xattrs = xattrs(&path);
        if facts.mode & TYPE == FILE {
            facts.content = Some(content(&path, facts.size));
        }
    }
    found
}

fn look(top: &Path, path: &Path, found: &mut BTreeMap<Vec<u8>, Facts>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes();
    let target = meta.is_symlink().then(|| fs::read_link(path).unwrap());
    let facts = Facts {
        ino: meta.ino(),
        mode: meta.mode(),
        nlink: meta.nlink(),
        owner: (meta.uid(), meta.gid()),
        rdev: meta.rdev(),
        size: meta.size(),
        blocks: meta.blocks(),
        times: [
            (meta.atime(), meta.atime_nsec()),
            (meta.mtime(), meta.mtime_nsec()),
            (meta.ctime(), meta.ctime_nsec()),
        ],
        target: target.map(|target| target.into_os_string().into_vec()),
        xattrs: BTreeMap::new(),
        content: None,
    };
    found.insert(name.to_vec(), facts);
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(top, &entry.unwrap().path(), found);
        }
    }
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 * 1024];
    let len = rustix::fs::llistxattr(path, &mut names).unwrap();
    let names = names[..len].split(|&byte| byte == 0);
    let get = |name: &[u8]| {
        let mut value = vec![0; 64 * 1024];
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
        value.truncate(len);
        value
    };
    let named = names.filter(|name| !name.is_empty());
    named.map(|name| (name.to_vec(), get(name))).collect()
}

/// Where data is and its hash: holes are told, and not read.
fn content(path: &Path, size: u64) -> String {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    let file = File::open(path).unwrap();
    let (mut told, mut at) = (String::new(), 0);
    while at < size {
        let begin = match seek(&file, SeekFrom::Data(at)) {
            // The rest is a hole. Any other error is none (lseek(2)).
            Err(Errno::NXIO) => break,
            begin => begin.unwrap(),
        };
        let end = seek(&file, SeekFrom::Hole(begin)).unwrap();
        let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
        file.read_exact_at(&mut bytes, begin).unwrap();
        told += &format!("{begin}+{} {:?} ", bytes.len(), ChunkHash::of(&bytes));
        at = end;
    }
    told
}
