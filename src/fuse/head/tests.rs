//! What the head answers, and what it counts as told.

use super::super::answer::FOREVER;
use super::super::request::Operation::{
    Getxattr, Link, Listxattr, Lseek, Mkdir, Read, Removexattr, Rename, Setxattr, Unlink,
};
use super::super::scratch::{
    Scratch, ask, attr, list, look_up, make_file, name, node, numbered, write,
};
use super::*;
use crate::types::FileKind;
use crate::volume::{RenameMode, Seek};

fn head() -> (Scratch, Head) {
    let scratch = Scratch::new();
    let head = Head::new(Arc::clone(&scratch.volume));
    (scratch, head)
}

fn unlink(text: &str) -> Operation<'_> {
    Unlink { name: name(text) }
}

fn rename<'a>(from: &'a str, to: &'a str) -> Operation<'a> {
    Rename {
        name: name(from),
        new_parent: Ino::ROOT,
        new_name: name(to),
        mode: RenameMode::Replace,
    }
}

/// Asks for `operation` in the root, as the request of this number.
fn request(head: &Head, number: u64, sent: Sent, operation: Operation<'_>) -> Result<Answer> {
    head.answer(&numbered(number, sent, Ino::ROOT, operation))
}

#[test]
fn a_name_leads_to_an_inode_or_to_none_for_ever() {
    let (_scratch, head) = head();
    let made = attr(ask(&head, Ino::ROOT, make_file("a")));
    let found = ask(&head, Ino::ROOT, look_up("a"));
    assert!(matches!(found, Ok(Answer::Entry(told)) if told.attr == made && told.valid == FOREVER));
    let none = ask(&head, Ino::ROOT, look_up("b"));
    assert!(matches!(none, Ok(Answer::NoEntry)));
    let below_a_file = ask(&head, made.ino, look_up("b"));
    assert!(matches!(below_a_file, Ok(Answer::NoEntry)));
}

#[test]
fn a_directory_is_found_by_its_number_and_from_below() {
    let (_scratch, head) = head();
    let (name, new) = (name("d"), node(FileKind::Directory));
    let made = attr(ask(&head, Ino::ROOT, Mkdir { name, new }));
    let look = |wanted| attr(ask(&head, made.ino, Operation::Lookup { wanted })).ino;
    assert_eq!(look(Wanted::Itself), made.ino);
    assert_eq!(look(Wanted::Parent), Ino::ROOT);
}

#[test]
fn what_was_made_before_is_found_when_it_is_asked_for_again() {
    let (_scratch, head) = head();
    let made = attr(request(&head, 1, Sent::Once, make_file("a")));
    let again = attr(request(&head, 1, Sent::Again, make_file("a")));
    assert_eq!(made.ino, again.ino);
    for (number, sent) in [(2, Sent::Again), (2, Sent::Once), (1, Sent::Once)] {
        let other = request(&head, number, sent, make_file("a"));
        assert!(matches!(other, Err(Error::Exists)), "{number} {sent:?}");
    }
    let (source, name) = (made.ino, name("b"));
    let linked = attr(request(&head, 3, Sent::Once, Link { source, name }));
    let again = attr(request(&head, 3, Sent::Again, Link { source, name }));
    assert_eq!((linked.nlink, again.nlink), (2, 2));
}

#[test]
fn what_was_done_before_is_not_done_again() {
    let (_scratch, head) = head();
    for text in ["a", "b"] {
        attr(ask(&head, Ino::ROOT, make_file(text)));
    }
    for sent in [Sent::Once, Sent::Again] {
        let renamed = request(&head, 2, sent, rename("a", "c"));
        assert!(matches!(renamed, Ok(Answer::Empty)), "{renamed:?}");
    }
    for sent in [Sent::Once, Sent::Again] {
        let unlinked = request(&head, 3, sent, unlink("b"));
        assert!(matches!(unlinked, Ok(Answer::Empty)), "{unlinked:?}");
    }
    let names = list(&head, Ino::ROOT, Detail::Names, 9);
    assert_eq!(names.names(), [".", "..", "c"]);
    for operation in [rename("a", "c"), unlink("b")] {
        let other = request(&head, 4, Sent::Again, operation);
        assert!(matches!(other, Err(Error::NotFound)), "{other:?}");
    }
}

#[test]
fn attributes_are_set_and_removed_once() {
    let (_scratch, head) = head();
    let (key, value, mode) = (&b"user.k"[..], &b"v"[..], SetXattrMode::Create);
    for sent in [Sent::Once, Sent::Again] {
        let set = request(&head, 1, sent, Setxattr { key, value, mode });
        assert!(matches!(set, Ok(Answer::Empty)), "{set:?}");
    }
    for sent in [Sent::Once, Sent::Again] {
        let removed = request(&head, 2, sent, Removexattr { key });
        assert!(matches!(removed, Ok(Answer::Empty)), "{removed:?}");
    }
    let other = request(&head, 3, Sent::Again, Removexattr { key });
    assert!(matches!(other, Err(Error::NoAttribute)));
}

#[test]
fn each_entry_that_is_handed_out_is_counted_once() {
    let (scratch, head) = head();
    let made = attr(request(&head, 1, Sent::Once, make_file("a"))).ino;
    attr(request(&head, 1, Sent::Again, make_file("a")));
    attr(ask(&head, Ino::ROOT, look_up("a")));
    ask(&head, made, Operation::Getattr).unwrap();
    list(&head, Ino::ROOT, Detail::Names, 9);
    ask(&head, Ino::ROOT, unlink("a")).unwrap();
    head.forget(made, 2);
    assert!(scratch.has(made), "three were told of");
    head.forget(made, 1);
    assert!(!scratch.has(made), "and three given back");
}

#[test]
fn of_a_listing_that_counts_only_what_fits_does() {
    let (scratch, head) = head();
    let inos = ["a", "b", "c"].map(|text| {
        let made = attr(ask(&head, Ino::ROOT, make_file(text))).ino;
        head.forget(made, 1);
        made
    });
    // `.`, `..`, and the last two that were made.
    let page = list(&head, Ino::ROOT, Detail::Attributes, 4);
    assert_eq!(page.names(), [".", "..", "c", "b"]);
    for text in ["a", "b", "c"] {
        ask(&head, Ino::ROOT, unlink(text)).unwrap();
    }
    assert_eq!(inos.map(|ino| scratch.has(ino)), [false, true, true]);
    head.forget(inos[1], 1);
    head.forget(inos[2], 1);
    assert_eq!(inos.map(|ino| scratch.has(ino)), [false; 3]);
}

#[test]
fn dots_are_not_counted() {
    let (scratch, head) = head();
    let (name, new) = (name("d"), node(FileKind::Directory));
    let made = attr(ask(&head, Ino::ROOT, Mkdir { name, new })).ino;
    head.forget(made, 1);
    list(&head, made, Detail::Attributes, 9);
    ask(&head, Ino::ROOT, Operation::Rmdir { name }).unwrap();
    assert!(!scratch.has(made));
}

#[test]
fn bytes_are_read_as_they_were_written() {
    let (_scratch, head) = head();
    let made = attr(ask(&head, Ino::ROOT, make_file("a"))).ino;
    let written = ask(&head, made, write(b"bytes"));
    assert!(matches!(written, Ok(Answer::Written(5))));
    let (offset, len) = (1, 100);
    let read = ask(&head, made, Read { offset, len });
    assert!(matches!(read, Ok(Answer::Data(bytes)) if bytes == b"ytes"));
}

#[test]
fn where_data_is_is_told_once_the_kernel_has_sent_it() {
    let (_scratch, head) = head();
    let (offset, seek) = (3, Seek::Hole);
    let ino = Ino::ROOT;
    let expected = Seeking { ino, offset, seek };
    let answer = ask(&head, ino, Lseek { offset, seek });
    assert!(matches!(answer, Ok(Answer::Later(seeking)) if seeking == PutOff::Seek(expected)));
}

#[test]
fn the_way_to_the_volume_is_an_attribute_that_nobody_sets() {
    let (_scratch, head) = head();
    let key = b"trusted.cask.dir";
    let length = ask(&head, Ino::ROOT, Getxattr { key, size: 0 });
    let Ok(Answer::XattrLen(size)) = length else {
        panic!("{length:?}");
    };
    let found = ask(&head, Ino::ROOT, Getxattr { key, size });
    assert!(matches!(found, Ok(Answer::Xattr(dir)) if dir.ends_with(b"/v")));
    let size = size - 1;
    let too_long = ask(&head, Ino::ROOT, Getxattr { key, size });
    assert!(matches!(too_long, Err(Error::OutOfRange)));
    let (value, mode) = (b"x", SetXattrMode::Any);
    let set = ask(&head, Ino::ROOT, Setxattr { key, value, mode });
    assert!(matches!(set, Err(Error::NotPermitted)));
}

#[test]
fn trusted_names_are_the_superusers() {
    let (_scratch, head) = head();
    for key in [&b"trusted.k"[..], b"user.k"] {
        let (value, mode) = (b"v", SetXattrMode::Any);
        ask(&head, Ino::ROOT, Setxattr { key, value, mode }).unwrap();
    }
    let names_for = |uid| {
        let mut request = numbered(1, Sent::Once, Ino::ROOT, Listxattr { size: 99 });
        request.caller.uid = uid;
        match head.answer(&request) {
            Ok(Answer::Xattr(names)) => names,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(names_for(1000), b"user.k\0");
    assert_eq!(names_for(0).len(), b"trusted.k\0user.k\0".len());
}
