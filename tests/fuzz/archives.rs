//! Archives put together from parts that programs write, and changed: what GNU tar and `cask import` both take is the
//! same.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::tar::{
    GNU, POSIX, Part, bytes_of, extract, file, in_volume, link, on_host, part, pax, seal,
};
use crate::{Random, abort_on_panic, for_a_while, mutate};

const NAMES: &[&str] = &[
    "a", "b", "c", "a/b", "a/c", "d/", "d/e", "b/f", "./a", "/d/g", "e/", "x/y", "x/./z", "d/e/h",
    "c/k",
];
const KINDS: &[u8] = b"000000\x00\x0012223456755DVAxgLK";
const VALUES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"7",
    b"-1",
    b"-1.5",
    b"77.25",
    b"1e3",
    b"512",
    b"8192",
    b"4294967295",
    b"9223372036854775807",
    b"a",
    b"d/e",
    b"../a",
    b"a/",
    b"0,512",
    b"0,512,8192,0",
    b"0,5,512,5",
    b"q\0r",
];
const KEYS: &[&str] = &[
    "path",
    "linkpath",
    "mtime",
    "atime",
    "uid",
    "gid",
    "size",
    "comment",
    "GNU.sparse.name",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
    "GNU.sparse.numblocks",
    "GNU.sparse.map",
    "GNU.sparse.offset",
    "GNU.sparse.numbytes",
];
const FIELDS: &[&[u8]] = &[
    b"0000644\0",
    b"0006755\0",
    b"",
    b"       \0",
    b"644",
    b"\xff\xff\xff\xff\xff\xff\xff\xfe",
    b"\x80\0\0\0\0\0\0\x05",
    b"x",
    b"7777777 ",
];

fn some_part(random: &mut Random) -> Part {
    let kind = *random.pick(KINDS);
    if matches!(kind, b'x' | b'g') {
        let records: Vec<_> = (0..=random.below(4))
            .map(|_| (*random.pick(KEYS), *random.pick(VALUES)))
            .collect();
        return pax(kind, &records);
    }
    let mut made = part(random.pick::<&str>(NAMES), kind);
    made.magic = *random.pick(&[POSIX, POSIX, GNU, b""]);
    match kind {
        b'1' | b'2' => made.link = link("", kind, random.pick::<&str>(NAMES)).link,
        b'L' | b'K' => made.data = random.pick(NAMES).as_bytes().to_vec(),
        0 | b'0' | b'7' | b'D' | b'V' | b'A' => {
            made.data = file("", &"data".repeat(random.below(400))).data;
        }
        _ => {}
    }
    match random.below(12) {
        0 => made.mode = random.pick(FIELDS).to_vec(),
        1 => made.uid = random.pick(FIELDS).to_vec(),
        2 => made.mtime = random.pick(FIELDS).to_vec(),
        3 => made.size = Some(random.pick(FIELDS).to_vec()),
        4 => made.prefix = b"d",
        _ => {}
    }
    made
}

/// Changes a byte of a block, which is a header often, and makes its checksum right.
fn forge(random: &mut Random, bytes: &mut [u8]) {
    let blocks = bytes.len() / 512;
    let start = random.below(blocks) * 512;
    let block = &mut bytes[start..start + 512];
    block[random.below(512)] = random.byte();
    seal(block);
}

fn archive(random: &mut Random) -> Vec<u8> {
    let parts: Vec<_> = (0..=random.below(8)).map(|_| some_part(random)).collect();
    let mut bytes = bytes_of(&parts);
    match random.below(6) {
        0 => forge(random, &mut bytes),
        1 => mutate(random, &mut bytes),
        _ => {}
    }
    if random.below(4) > 0 {
        bytes.extend([0; 1024]);
    }
    bytes
}

fn import(root: &Path, archive: &Path) -> bool {
    let arguments = ["cask", "--root"].map(OsString::from);
    let arguments = arguments.into_iter().chain([root.into()]);
    let rest = ["import", "v"].map(OsString::from).into_iter();
    let code = cask::cli::run(arguments.chain(rest).chain([archive.into()]));
    code == std::process::ExitCode::SUCCESS
}

/// The names that a header calls a directory, as paths without `.`.
fn named_as_directories(archive: &[u8]) -> BTreeSet<String> {
    let headers = archive.as_chunks::<512>().0.iter();
    let of_directories = headers.filter(|header| matches!(header[156], b'5' | b'D'));
    let names = of_directories.map(|header| {
        let name = header[..100].split(|byte| *byte == 0).next();
        let name = String::from_utf8_lossy(name.unwrap_or_default());
        let parts = name.split('/').filter(|part| !matches!(*part, "" | "."));
        parts.collect::<Vec<_>>().join("/")
    });
    names.collect()
}

/// What is listed, but for the permissions, owner and time of what has the name of a directory and is none: GNU tar sets
/// a directory's at the end, also on what came in its place meanwhile under another spelling (`./a`, then `a`).
fn without_late_attributes(list: &[String], directories: &BTreeSet<String>) -> Vec<String> {
    let attributes = |line: &str| {
        let mut words: Vec<_> = line.splitn(7, ' ').collect();
        if words.len() > 5 && directories.contains(words[0]) {
            words[1] = &words[1][..words[1].len() - 4];
            (words[2], words[5]) = ("-", "-");
        }
        words.join(" ")
    };
    list.iter().map(|line| attributes(line)).collect()
}

#[test]
fn what_gnu_tar_takes_is_the_same_or_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    abort_on_panic();
    let (mut random, mut same, mut refused) = (Random::new(), 0, 0);
    let tried = for_a_while(|| {
        // GNU tar makes links that lead out at the end, and tells what it kept their place with by the inode number:
        // where numbers are used again at once, it takes a later entry for that.
        let home = tempfile::tempdir_in("/dev/shm").unwrap();
        let (path, out, root) = (
            home.path().join("a.tar"),
            home.path().join("out"),
            home.path().join("root"),
        );
        let bytes = archive(&mut random);
        fs::write(&path, &bytes).unwrap();
        let volume = root.join("volumes/v");
        let (taken, is_imported) = (extract(&path, &out), import(&root, &path));
        assert_eq!(volume.exists(), is_imported);
        if taken && is_imported {
            let alike =
                |list: Vec<String>| without_late_attributes(&list, &named_as_directories(&bytes));
            let (ours, theirs) = (alike(in_volume(&volume)), alike(on_host(&out)));
            assert_eq!(ours, theirs, "{}", bytes.escape_ascii());
            same += 1;
        }
        refused += u64::from(taken && !is_imported);
    });
    eprintln!("{tried} archives, {same} the same, {refused} refused that GNU tar takes");
    assert!(same > 0);
}
