//! Files that are opened by their handles (open_by_handle_at(2)), as NFS servers, CRIU and fanotify do.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Mount, VOLUME, drop_caches, run_ok};

/// `take PATH` prints the handle of a file, `open DIR HANDLE` what is behind it: bytes of a file, names of a directory,
/// or the error.
const PROGRAM: &str = r#"
import ctypes, os, sys
system = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]
if sys.argv[1] == "take":
    handle, mount = Handle(length=128), ctypes.c_int()
    if system.name_to_handle_at(-100, os.fsencode(sys.argv[2]), ctypes.byref(handle), ctypes.byref(mount), 0):
        sys.exit(os.strerror(ctypes.get_errno()))
    print(handle.kind, bytes(handle.bytes[: handle.length]).hex())
else:
    kind, text = sys.argv[3].split()
    content = bytes.fromhex(text)
    handle = Handle(length=len(content), kind=int(kind))
    ctypes.memmove(handle.bytes, content, len(content))
    fd = system.open_by_handle_at(os.open(sys.argv[2], os.O_RDONLY), ctypes.byref(handle), os.O_RDONLY)
    if fd < 0:
        print(os.strerror(ctypes.get_errno()))
    elif os.path.isdir(f"/proc/self/fd/{fd}"):
        print(*sorted(os.listdir(fd)), "of", os.readlink(f"/proc/self/fd/{fd}"))
    else:
        print(os.read(fd, 100).decode())
"#;

#[track_caller]
fn python(arguments: &[&str]) -> String {
    let mut python = Command::new("python3");
    let said = run_ok(python.args(["-c", PROGRAM]).args(arguments), 30);
    said.trim().to_owned()
}

#[track_caller]
fn take(path: &Path) -> String {
    python(&["take", path.to_str().unwrap()])
}

#[track_caller]
fn open(dir: &Path, handle: &str) -> String {
    python(&["open", dir.to_str().unwrap(), handle])
}

#[test]
fn a_handle_leads_to_its_file_after_the_caches_were_dropped_and_after_a_remount() {
    let Some(mount) = Mount::new() else { return };
    let dir = mount.path().join("a/b");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "content").unwrap();
    let (file, directory) = (take(&dir.join("file")), take(&dir));
    let check = || {
        assert_eq!(open(&mount.path(), &file), "content");
        let listed = format!("file of {}", dir.display());
        assert_eq!(open(&mount.path(), &directory), listed, "with its path");
    };
    check();
    rustix::fs::sync();
    if drop_caches() {
        check();
    }
    fs::rename(dir.join("file"), mount.path().join("moved")).unwrap();
    fs::rename(mount.path().join("moved"), dir.join("file")).unwrap();
    mount.remount();
    check();
}

#[test]
fn the_handle_of_a_file_that_is_gone_is_stale() {
    let Some(mount) = Mount::new() else { return };
    let file = mount.path().join("file");
    fs::write(&file, "old").unwrap();
    let handle = take(&file);
    fs::remove_file(&file).unwrap();
    fs::write(&file, "new").unwrap();
    assert_eq!(open(&mount.path(), &handle), "Stale file handle");
    rustix::fs::sync();
    if drop_caches() {
        assert_eq!(open(&mount.path(), &handle), "Stale file handle");
    }
}

#[test]
fn a_handle_works_on_a_mounted_snapshot_too() {
    let Some(mount) = Mount::new() else { return };
    let (dir, at) = (mount.path().join("a/b"), mount.sandbox().subdir("snapshot"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "before").unwrap();
    mount.cask(&["snapshot", &format!("{VOLUME}@s")]);
    fs::write(dir.join("file"), "after").unwrap();
    mount.cask(&["mount", &format!("{VOLUME}@s"), at.to_str().unwrap()]);
    let handle = take(&at.join("a/b/file"));
    if drop_caches() {
        assert_eq!(open(&at, &handle), "before");
    }
    mount.cask(&["umount", at.to_str().unwrap()]);
}
