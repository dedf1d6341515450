//! What snapshots answer, shown one by one or all together.

use super::super::answer::FOREVER;
use super::super::head::Head;
use super::super::request::Detail;
use super::super::request::Operation::{
    CopyFileRange, Fallocate, Fsync, Fsyncdir, Getxattr, Link, Lseek, Mkdir, Read, Removexattr,
    Rename, Rmdir, Setattr, Setxattr, Symlink, Unlink,
};
use super::super::scratch::{Scratch, ask, attr, list, look_up, make_file, name, node, write};
use super::*;
use crate::types::SetAttr;
use crate::volume::{FallocateMode, RenameMode, Seek, SetXattrMode};

/// A volume with the snapshots `one`, where the file `a` held `old`, and `two`; it has changed since.
fn scratch() -> (Scratch, [Epoch; 2]) {
    let scratch = Scratch::new();
    let volume = &scratch.volume;
    let head = Head::new(Arc::clone(volume));
    let take = |text: &str| {
        let name = text.parse().unwrap();
        volume.take_snapshot(&name, "").unwrap().epoch
    };
    let file = attr(ask(&head, Ino::ROOT, make_file("a"))).ino;
    ask(&head, file, write(b"old")).unwrap();
    let one = take("one");
    ask(&head, file, write(b"new")).unwrap();
    ask(&head, Ino::ROOT, make_file("b")).unwrap();
    let two = take("two");
    (scratch, [one, two])
}

fn view(scratch: &Scratch, which: Snapshots) -> SnapshotView {
    SnapshotView::new(Arc::clone(&scratch.volume), which)
}

fn read(view: &SnapshotView, at: Ino) -> Vec<u8> {
    let (offset, len) = (0, 100);
    match ask(view, at, Read { offset, len }) {
        Ok(Answer::Data(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_is_shown_as_it_was() {
    let (scratch, [one, _]) = scratch();
    let view = view(&scratch, Snapshots::One(one));
    let found = ask(&view, Ino::ROOT, look_up("a"));
    assert!(matches!(found, Ok(Answer::Entry(told)) if told.valid == FOREVER));
    let file = attr(found).ino;
    assert_eq!(read(&view, file), b"old");
    let none = ask(&view, Ino::ROOT, look_up("b"));
    assert!(matches!(none, Ok(Answer::NoEntry)));
    let (offset, seek) = (0, Seek::Hole);
    let end = ask(&view, file, Lseek { offset, seek });
    assert!(matches!(end, Ok(Answer::Offset(3))));
    let names = list(&view, Ino::ROOT, Detail::Attributes, 9);
    assert_eq!(names.names(), [".", "..", "a"]);
}

#[test]
fn all_have_a_directory_each_that_is_asked_for_every_time() {
    let (scratch, _) = scratch();
    let view = view(&scratch, Snapshots::All);
    let page = list(&view, Ino::ROOT, Detail::Attributes, 9);
    assert_eq!(page.names(), ["one", "two"]);
    for ((text, ino, valid), bytes) in page.entries.iter().zip([b"old", b"new"]) {
        let top = ask(&view, Ino::ROOT, look_up(text));
        assert!(matches!(top, Ok(Answer::Entry(told)) if told.valid == ROOT_VALID));
        assert_eq!((attr(top).ino, *valid), (*ino, 0));
        let file = attr(ask(&view, *ino, look_up("a")));
        assert_eq!(read(&view, file.ino), *bytes);
        assert_eq!(attr(ask(&view, file.ino, Operation::Getattr)), file);
        let names = list(&view, *ino, Detail::Names, 9);
        assert_eq!(names.entries[0], (".".to_owned(), *ino, 0));
    }
    // The kernel must not remember that there is none: there may be one soon.
    let none = ask(&view, Ino::ROOT, look_up("three"));
    assert!(matches!(none, Err(Error::NotFound)));
    let key = b"user.k";
    let attribute = ask(&view, Ino::ROOT, Getxattr { key, size: 0 });
    assert!(matches!(attribute, Err(Error::NoAttribute)));
}

/// One of each operation that would change something.
fn changes() -> Vec<Operation<'static>> {
    let (new_name, key) = (name("n"), b"user.k");
    vec![
        Setattr(SetAttr::default()),
        make_file("n"),
        Mkdir {
            name: new_name,
            new: node(FileKind::Directory),
        },
        Symlink {
            name: new_name,
            new: node(FileKind::Symlink),
        },
        Link {
            source: Ino::ROOT,
            name: new_name,
        },
        Unlink { name: name("a") },
        Rmdir { name: name("a") },
        Rename {
            name: name("a"),
            new_parent: Ino::ROOT,
            new_name,
            mode: RenameMode::Replace,
        },
        write(b"x"),
        Fallocate {
            offset: 0,
            len: 1,
            mode: FallocateMode::Extend,
        },
        Setxattr {
            key,
            value: b"v",
            mode: SetXattrMode::Any,
        },
        Removexattr { key },
    ]
}

#[test]
fn nothing_can_be_changed() {
    let (scratch, [one, _]) = scratch();
    for which in [Snapshots::One(one), Snapshots::All] {
        let view = view(&scratch, which);
        for change in changes() {
            let op = change.kind().name();
            let refused = ask(&view, Ino::ROOT, change);
            assert!(matches!(refused, Err(Error::ReadOnly)), "{op}: {refused:?}");
        }
    }
}

#[test]
fn the_kernel_does_without_what_a_snapshot_need_not_do() {
    let (scratch, [one, _]) = scratch();
    let view = view(&scratch, Snapshots::One(one));
    let copy = CopyFileRange {
        offset: 0,
        target: Ino::ROOT,
        target_offset: 0,
        len: 1,
    };
    for operation in [Fsync, Fsyncdir, copy] {
        let answer = ask(&view, Ino::ROOT, operation);
        assert!(matches!(answer, Ok(Answer::Unserved)));
    }
}
