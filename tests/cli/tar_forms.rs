//! Archives of every form: `cask import` makes of them what GNU tar makes, or refuses them with nothing made.

use std::fs;
use std::path::Path;

use crate::support::{Bench, sh};
use crate::tar::{
    GNU, POSIX, Part, bytes_of, extract, file, in_volume, link, on_host, part, pax, seal,
};

/// What is to become of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// What GNU tar makes of it.
    Same,
    Refused,
}
use Fate::{Refused, Same};

const END: [u8; 1024] = [0; 1024];

struct Forms {
    bench: Bench,
    count: usize,
}

impl Forms {
    /// Only root is given owners and devices by GNU tar.
    fn new() -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let bench = Bench::new();
        is_root.then_some(Self { bench, count: 0 })
    }

    #[track_caller]
    fn try_parts(&mut self, what: &str, fate: Fate, parts: &[Part]) {
        self.try_bytes(what, fate, &[bytes_of(parts), END.to_vec()].concat());
    }

    #[track_caller]
    fn try_bytes(&mut self, what: &str, fate: Fate, bytes: &[u8]) {
        self.count += 1;
        let (name, bench) = (format!("v{}", self.count), &self.bench);
        let (archive, out) = (bench.path("a.tar"), bench.path("out"));
        fs::write(&archive, bytes).unwrap();
        let imported = bench.run(&["import", &name, "a.tar"]);
        match fate {
            Refused => {
                assert_eq!(imported.code, 1, "{what}: {imported:?}");
                assert!(!bench.volume_dir(&name).exists(), "{what}");
            }
            Same => {
                assert!(extract(&archive, &out), "{what}: GNU tar fails");
                assert_eq!(imported.code, 0, "{what}: {imported:?}");
                assert_eq!(in_volume(&bench.volume_dir(&name)), on_host(&out), "{what}");
                fs::remove_dir_all(&out).unwrap();
            }
        }
    }
}

fn f(name: &str) -> Part {
    file(name, "data\n")
}

fn sized(part: Part, size: &str) -> Part {
    let size = Some(size.into());
    Part { size, ..part }
}

#[test]
fn sizes_of_what_has_no_data_and_types_of_all_times() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    for (what, part) in [
        ("hard link", link("x", b'1', "one")),
        ("symbolic link", link("x", b'2', "one")),
        ("directory", part("x", b'5')),
        ("fifo", part("x", b'6')),
        (
            "device",
            Part {
                more: vec![(329, b"0000001\0".to_vec()), (337, b"0000003\0".to_vec())],
                ..part("x", b'3')
            },
        ),
    ] {
        forms.try_parts(
            what,
            Same,
            &[f("one"), sized(part.clone(), "00000011610\0"), f("after")],
        );
        let size = pax(b'x', &[("size", b"5000")]);
        forms.try_parts(what, Same, &[f("one"), size, part, f("after")]);
    }
}

#[test]
fn types_of_all_programs() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    for kind in [b'\0', b'7', b'A', b'N', b'?', b'I', b'D', b'V'] {
        let odd = Part { kind, ..f("odd") };
        forms.try_parts(&format!("type {kind}"), Same, &[odd, f("after")]);
    }
    forms.try_parts(
        "goes on",
        Refused,
        &[Part {
            kind: b'M',
            ..f("odd")
        }],
    );
    let set = pax(b'g', &[("GNU.volume.filename", b"f")]);
    forms.try_parts("goes on", Refused, &[set, f("a")]);
    forms.try_parts("slash", Same, &[part("a/", b'0'), f("a/b")]);
    forms.try_parts(
        "v7",
        Same,
        &[Part {
            magic: b"",
            kind: 0,
            prefix: b"no",
            ..f("a")
        }],
    );
    forms.try_parts(
        "prefix",
        Same,
        &[Part {
            prefix: b"pre/fix",
            ..f("a")
        }],
    );
    let odd_version = Part {
        magic: b"ustar\0  ",
        prefix: b"pre/fix",
        ..f("a")
    };
    forms.try_parts("prefix", Same, &[odd_version]);
    forms.try_parts(
        "gnu",
        Same,
        &[Part {
            magic: GNU,
            prefix: b"no",
            ..f("a")
        }],
    );
}

#[test]
fn numbers_and_times_of_all_times() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let mtime = |text: &[u8]| Part {
        mtime: text.to_vec(),
        ..f("a")
    };
    forms.try_parts(
        "1969",
        Same,
        &[mtime(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfb")],
    );
    forms.try_parts("2242", Same, &[mtime(b"77777777773 ")]);
    forms.try_parts("far", Same, &[mtime(b"\x80\0\0\0\0\0\0\x03\0\0\0\0")]);
    forms.try_parts("broken", Refused, &[mtime(b"xx")]);
    forms.try_parts(
        "empty",
        Same,
        &[Part {
            mode: Vec::new(),
            ..f("a")
        }],
    );
    forms.try_parts(
        "blank",
        Same,
        &[Part {
            mode: b"       \0".to_vec(),
            uid: b"       \0".to_vec(),
            ..f("a")
        }],
    );
    forms.try_parts(
        "bad",
        Refused,
        &[Part {
            mode: b"64x".to_vec(),
            ..f("a")
        }],
    );
    forms.try_parts(
        "bad",
        Refused,
        &[Part {
            uid: b"\x80\0\0\x02\0\0\0\0".to_vec(),
            ..f("a")
        }],
    );
    forms.try_parts(
        "bad",
        Refused,
        &[Part {
            uid: b"\xff\xff\xff\xff\xff\xff\xff\xfe".to_vec(),
            ..f("a")
        }],
    );
    forms.try_parts(
        "bits",
        Same,
        &[Part {
            mode: b"0106755\0".to_vec(),
            ..f("a")
        }],
    );
}

#[test]
fn times_and_owners_in_records() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    for (time, fate) in [
        ("-1.5", Same),
        ("-5.1234567891", Same),
        ("5.1234567899", Same),
        ("5.", Same),
        ("5e3", Same),
        ("4294967297.25", Same),
        ("", Refused),
        ("xx", Refused),
        ("+5", Refused),
    ] {
        forms.try_parts(
            time,
            fate,
            &[pax(b'x', &[("mtime", time.as_bytes())]), f("a")],
        );
    }
    for (uid, fate) in [
        ("4294967294", Same),
        ("4294967296", Refused),
        ("-2", Refused),
        ("u", Refused),
    ] {
        forms.try_parts(uid, fate, &[pax(b'x', &[("uid", uid.as_bytes())]), f("a")]);
    }
    // Some summed characters that have a sign.
    let mut bytes = bytes_of(&[f("\u{e4}\u{f6}")]);
    let others = bytes[..148].iter().chain(&bytes[156..512]);
    let sum: i64 = 256
        + others
            .map(|&byte| i64::from(byte.cast_signed()))
            .sum::<i64>();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    forms.try_bytes("signed", Same, &bytes);
}

#[test]
fn headers_about_headers() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let long = |kind: u8, text: &str| Part {
        kind,
        ..file("././@LongLink", text)
    };
    let path = |text: &[u8]| pax(b'x', &[("path", text)]);
    forms.try_parts("Lx", Same, &[long(b'L', "long\0"), path(b"pax"), f("a")]);
    forms.try_parts("xL", Same, &[path(b"pax"), long(b'L', "long\0"), f("a")]);
    forms.try_parts("LL", Same, &[long(b'L', "l1\0"), long(b'L', "l2"), f("a")]);
    forms.try_parts(
        "K",
        Same,
        &[long(b'K', "target\0"), link("a", b'2', "short")],
    );
    forms.try_parts(
        "xx",
        Same,
        &[path(b"first"), pax(b'x', &[("mtime", b"77")]), f("a")],
    );
    forms.try_parts(
        "X",
        Same,
        &[
            Part {
                kind: b'X',
                ..path(b"solaris")
            },
            f("a"),
        ],
    );
}

#[test]
fn what_is_said_of_all_entries() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let path = |text: &[u8]| pax(b'x', &[("path", text)]);
    let global = |key: &str, value: &[u8]| pax(b'g', &[(key, value)]);
    forms.try_parts(
        "g",
        Same,
        &[
            global("mtime", b"99.5"),
            f("a"),
            global("uid", b"7"),
            f("b"),
        ],
    );
    forms.try_parts(
        "gx",
        Same,
        &[
            global("uid", b"7"),
            pax(b'x', &[("uid", b"8")]),
            f("a"),
            f("b"),
        ],
    );
    forms.try_parts("xg", Same, &[path(b"p"), global("uid", b"5"), f("a")]);
    let twice = pax(b'g', &[("mtime", b"7"), ("uid", b"5"), ("mtime", b"9")]);
    forms.try_parts("g twice", Same, &[twice, f("a")]);
    let twice = pax(b'x', &[("mtime", b"7"), ("uid", b"5"), ("mtime", b"9")]);
    forms.try_parts("x twice", Same, &[twice, f("a")]);
    forms.try_parts("g path", Same, &[global("path", b"gp"), f("a")]);
    forms.try_parts(
        "comment",
        Same,
        &[
            global("comment", b"0123"),
            pax(b'x', &[("what", b"?")]),
            f("a"),
        ],
    );
    forms.try_parts("nul", Same, &[path(b"q\0r"), f("a")]);
    forms.try_parts("end", Same, &[f("a"), path(b"of nothing")]);
    let raw = |text: &str| Part {
        kind: b'x',
        ..file("x", text)
    };
    forms.try_parts("nuls", Same, &[raw("9 path=q\n\0\0\0"), f("a")]);
    for broken in [
        "6 a=bb",
        "9 path=q\nzzz",
        "5 ab\n",
        "99 path=q\n",
        "10 pa\0th=q\n",
    ] {
        forms.try_parts(broken, Refused, &[raw(broken), f("a")]);
    }
    forms.try_parts("name", Refused, &[path("n".repeat(256).as_bytes()), f("a")]);
    forms.try_parts("no name", Refused, &[path(b""), f("a")]);
}

#[test]
fn later_entries_win_and_links_lead_inside() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let d = |name: &str| part(name, b'5');
    let s = |name: &str, target: &str| link(name, b'2', target);
    let h = |name: &str, target: &str| link(name, b'1', target);
    forms.try_parts("again", Same, &[f("a"), file("a", "new")]);
    forms.try_parts(
        "replaced",
        Same,
        &[f("one"), h("two", "one"), file("one", "new")],
    );
    forms.try_parts(
        "to itself",
        Same,
        &[f("one"), h("one", "one"), h("two", "one"), h("two", "one")],
    );
    forms.try_parts("over", Same, &[f("one"), file("two", "2"), h("two", "one")]);
    forms.try_parts(
        "to a link",
        Same,
        &[s("s", "/one"), h("e", "s"), s("t", "x/"), h("u", "t")],
    );
    forms.try_parts(
        "out",
        Same,
        &[f("one"), h("two", "../one"), h("three", "/one")],
    );
    forms.try_parts("nowhere", Refused, &[h("e", "d")]);
    forms.try_parts("to a directory", Refused, &[d("d"), h("e", "d")]);
}

#[test]
fn directories_are_replaced_and_links_followed() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let d = |name: &str| part(name, b'5');
    let s = |name: &str, target: &str| link(name, b'2', target);
    let h = |name: &str, target: &str| link(name, b'1', target);
    forms.try_parts("directory", Same, &[f("a"), d("a/"), f("a/b")]);
    forms.try_parts("file", Same, &[d("a/"), f("a")]);
    forms.try_parts("link", Same, &[d("a/"), s("a", "r")]);
    forms.try_parts("hard link", Same, &[d("a/"), f("b"), h("a", "b")]);
    forms.try_parts("full", Refused, &[d("a/"), f("a/b"), f("a")]);
    forms.try_parts(
        "twice",
        Same,
        &[
            d("d"),
            Part {
                mode: b"0000700\0".to_vec(),
                ..d("d")
            },
        ],
    );
    forms.try_parts(
        "below",
        Same,
        &[
            d("r"),
            s("a", "r"),
            f("a/x"),
            f("a/s/y"),
            s("b", "a"),
            f("b/z"),
        ],
    );
    forms.try_parts("through", Same, &[f("r/f"), s("a", "r"), h("k", "a/f")]);
    forms.try_parts("in place", Same, &[d("r"), s("a", "r"), d("a/"), f("a/x")]);
    forms.try_parts(
        "moved",
        Same,
        &[
            d("r"),
            f("r/x"),
            f("b/x"),
            s("a", "r"),
            f("a/1"),
            s("a", "b"),
            f("a/2"),
        ],
    );
    forms.try_parts("dangling", Refused, &[s("a", "r"), f("a/x")]);
    forms.try_parts("circle", Refused, &[s("a", "a"), f("a/x")]);
    forms.try_parts("file", Refused, &[f("a"), f("a/b")]);
    for out in ["../x", "a/../x", ".."] {
        forms.try_parts(out, Refused, &[f(out)]);
    }
    forms.try_parts(
        "names",
        Same,
        &[f("/one"), f("//b//c"), f("./d/./e"), part("./", b'5')],
    );
    forms.try_parts("the root", Refused, &[f(".")]);
    forms.try_parts("no target", Refused, &[s("s", "")]);
}

/// GNU tar follows no such link; here it leads to the volume's own root at most.
#[test]
fn links_that_lead_out_lead_to_the_volumes_own_root() {
    let bench = Bench::new();
    let parts = [
        part("r", b'5'),
        link("d/up", b'2', "../../../r"),
        f("d/up/one"),
        link("abs", b'2', "/r"),
        f("abs/two"),
    ];
    fs::write(bench.path("a.tar"), bytes_of(&parts)).unwrap();
    bench.run(&["import", "v", "a.tar"]).succeeds();
    bench.run(&["cp", "v:/r", "r"]).succeeds();
    assert!(bench.path("r/one").exists() && bench.path("r/two").exists());
}

#[test]
fn ends_that_are_missing_early_or_amid_something() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let (a, b) = (bytes_of(&[f("a")]), bytes_of(&[f("b")]));
    forms.try_bytes("no end", Same, &a);
    forms.try_bytes("one block", Same, &[&a, &END[..512], &b].concat());
    forms.try_bytes("two archives", Same, &[&a, &END[..], &b, &END].concat());
    let long = bytes_of(&[file("a", &"x".repeat(2000))]);
    for cut in [100, 700, 1024, 1536, 2500] {
        forms.try_bytes("cut", Refused, &long[..cut]);
    }
    forms.try_bytes("cut", Refused, &[&a, &b[..100]].concat());
    let mut damaged = [a, b].concat();
    damaged[1024] ^= 1;
    forms.try_bytes("damaged", Refused, &damaged);
    seal(&mut damaged[1024..]);
    forms.try_bytes("as good as new", Same, &damaged);
}

#[test]
fn maps_of_holes_that_make_no_sense() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let data = "x".repeat(1024);
    let old = |pieces: &[(&str, &str)], real: &str| {
        let mut more: Vec<_> = pieces
            .iter()
            .enumerate()
            .flat_map(|(i, (offset, len))| {
                [
                    (386 + i * 24, format!("{offset}\0").into_bytes()),
                    (398 + i * 24, format!("{len}\0").into_bytes()),
                ]
            })
            .collect();
        more.push((483, format!("{real}\0").into_bytes()));
        Part {
            kind: b'S',
            magic: GNU,
            more,
            ..file("s", &data)
        }
    };
    let two = [
        ("00000000000", "00000001000"),
        ("00000010000", "00000001000"),
    ];
    forms.try_parts(
        "old",
        Same,
        &[
            old(
                &[two[0], two[1], ("00000020000", "00000000000")],
                "00000020000",
            ),
            f("a"),
        ],
    );
    forms.try_parts("no end", Refused, &[old(&two, "00000020000"), f("a")]);
    forms.try_parts("out", Refused, &[old(&two, "00000000010"), f("a")]);
    forms.try_parts(
        "order",
        Refused,
        &[old(&[two[1], two[0]], "00000020000"), f("a")],
    );
    forms.try_parts(
        "form",
        Refused,
        &[Part {
            magic: POSIX,
            ..old(&two, "00000011000")
        }],
    );
}

#[test]
fn maps_of_holes_in_records_that_make_no_sense() {
    let Some(mut forms) = Forms::new() else {
        return;
    };
    let data = "x".repeat(1024);
    let new = |records: &[(&str, &[u8])]| [pax(b'x', records), file("s", &data), f("a")];
    forms.try_parts(
        "0.1",
        Same,
        &new(&[
            ("GNU.sparse.size", b"8192"),
            ("GNU.sparse.numblocks", b"3"),
            ("GNU.sparse.map", b"0,512,4096,512,8192,0"),
        ]),
    );
    forms.try_parts(
        "many",
        Refused,
        &new(&[
            ("GNU.sparse.size", b"8192"),
            ("GNU.sparse.numblocks", b"1"),
            ("GNU.sparse.map", b"0,512,4096,512,8192,0"),
        ]),
    );
    forms.try_parts(
        "odd",
        Refused,
        &new(&[
            ("GNU.sparse.size", b"8192"),
            ("GNU.sparse.numblocks", b"3"),
            ("GNU.sparse.map", b"0,512,4096"),
        ]),
    );
    forms.try_parts("no map", Refused, &new(&[("GNU.sparse.size", b"8192")]));
    forms.try_parts(
        "1.0",
        Refused,
        &new(&[("GNU.sparse.major", b"1"), ("GNU.sparse.realsize", b"8192")]),
    );
}

/// What is in a directory, without the times of directories.
#[test]
fn archives_of_many_programs() {
    let Some(forms) = Forms::new() else { return };
    let bench = &forms.bench;
    let script = r#"mkdir -p d/sub; cd d; echo text > sub/file; ln sub/file hard; ln -s sub/file soft; mkfifo pipe
        mknod null c 1 3; chown 7:8 sub/file; chmod 6755 hard; touch -d 1965-03-04T05:06:07.5 soft
        python3 -c "import os
fd = os.open('holes', os.O_CREAT | os.O_RDWR, 0o644); os.ftruncate(fd, 4_000_000)
for at in range(0, 4_000_000, 160_000): os.pwrite(fd, os.urandom(5000), at)"
        long=$(python3 -c "print('l' * 90 + '/' + 'm' * 90)"); mkdir -p "$long"; echo x > "$long/f"; echo u > "$(printf 'a\344=')"
        cd ..
        for form in v7 oldgnu gnu ustar posix; do tar -C d --format=$form -cf $form.tar . 2> said || true; done
        tar -C d --format=oldgnu -S -cf s-oldgnu.tar .
        for v in 0.0 0.1 1.0; do tar -C d --format=posix --sparse-version=$v -S -cf s-$v.tar .; done
        cp gnu.tar appended.tar; echo newer > d/sub/file; tar -C d -rf appended.tar sub/file hard
        tar -C d -V label --format=gnu -cf label.tar sub
        for form in USTAR GNU PAX; do python3 -c "import sys, tarfile
t = tarfile.open('py-$form.tar', 'w', format=tarfile.${form}_FORMAT); t.add('d/sub', 'sub'); t.add('d/hard', 'hard')
t.add('d/soft', 'soft'); t.add('d/pipe', 'pipe'); t.close()"; done
        if command -v busybox > /dev/null; then busybox tar -C d -cf busybox.tar sub hard soft null; fi
        if command -v bsdtar > /dev/null; then bsdtar -C d -cf bsd.tar . ; bsdtar -C d --format pax -cf bsd-pax.tar .; fi
        if perl -MArchive::Tar -e 1 2> said; then (cd d; perl -MArchive::Tar -e 'Archive::Tar->create_archive("../perl.tar", 0,
            "sub/file", "hard", "soft")'); fi
        if command -v git > /dev/null; then git init -q r; cp -r d/sub d/soft r; git -C r add .
            git -C r -c user.name=n -c user.email=e@e commit -qm c; git -C r archive -o ../git.tar HEAD; fi"#;
    sh(bench, script, &[]);
    let entries = fs::read_dir(bench.path("")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let archives: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "tar"))
        .collect();
    assert!(archives.len() >= 14, "{archives:?}");
    for archive in archives {
        same_as_gnu_tar(bench, &archive);
    }
}

#[track_caller]
fn same_as_gnu_tar(bench: &Bench, archive: &Path) {
    let out = bench.path("out");
    assert!(extract(archive, &out), "{}", archive.display());
    bench
        .run(&["import", "v", archive.to_str().unwrap()])
        .succeeds();
    let volume = bench.volume_dir("v");
    assert_eq!(in_volume(&volume), on_host(&out), "{}", archive.display());
    bench.run(&["rm", "-f", "v"]).succeeds();
    fs::remove_dir_all(&out).unwrap();
}

#[test]
fn names_of_attributes_may_hold_what_ends_a_key() {
    let Some(forms) = Forms::new() else { return };
    let bench = &forms.bench;
    let script = r#"mkdir d; echo x > d/f; setfattr -n 'user.a=b%3Dc' -v 1 d/f
        tar -C d --xattrs --format=posix -cf gnu.tar .
        "$CASK" import v gnu.tar; "$CASK" cp v:/ copy; "$CASK" export v -o ours.tar
        mkdir out; tar -C out --xattrs -xf ours.tar
        for at in copy out; do test "$(getfattr --only-values -n 'user.a=b%3Dc' $at/f)" = 1; done"#;
    sh(bench, script, &[]);
}
