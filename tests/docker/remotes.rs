//! Volumes that Docker makes of snapshots in a remote: they are used before they are here, and the remote stays as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::{Host, wait_for};
use crate::image::import_busybox;

/// A remote `nas` in a directory.
pub(crate) struct Nas {
    dir: tempfile::TempDir,
}

impl Nas {
    #[track_caller]
    pub(crate) fn add(host: &Host) -> Self {
        let nas = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let key = nas.dir.path().join("key");
        fs::write(&key, [7; 32]).unwrap();
        let (url, key) = (format!("file://{}", nas.objects().display()), key.display());
        let key = format!("--key-file={key}");
        host.cask_ok(&["remote", "add", "nas", &url, "--create", &key]);
        nas
    }

    fn objects(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    /// All that is there, but for what says that a volume of some host needs it.
    pub(crate) fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut found, mut left) = (BTreeMap::new(), vec![self.objects()]);
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    found.insert(path, bytes);
                }
            }
        }
        let pins = self.objects().join("pin");
        found.retain(|path: &PathBuf, _| !path.starts_with(&pins) && !is_hidden(path));
        found
    }

    /// It cannot be reached any more.
    fn take_away(&self) {
        fs::rename(self.objects(), self.dir.path().join("away")).unwrap();
    }
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// What is elsewhere of a volume: nothing, when all is here.
fn lacks(host: &Host, name: &str) -> Option<u64> {
    host.inspect(name)["Origin"]["Chunks"].as_u64()
}

const SUMS: &str = "md5sum /data/a /data/b";

/// A volume with two large files, a snapshot of which is in the remote; the sums of both.
#[track_caller]
fn pushed(host: &Host) -> String {
    let fill = "head -c 3000000 /dev/urandom > /data/a; head -c 3000000 /dev/urandom > /data/b";
    let sums = host.run_in("db", &format!("{fill}; {SUMS}"));
    host.cask_ok(&["snapshot", "db@snap"]);
    host.cask_ok(&["push", "db@snap", "nas"]);
    host.run_in("db", "echo later > /data/a");
    sums
}

#[track_caller]
fn create(host: &Host, prefetch: &str) {
    host.docker_ok(&[
        "volume",
        "create",
        "-d",
        "cask",
        "-o",
        "from=nas:db@snap",
        "-o",
        prefetch,
        "far",
    ]);
}

#[test]
fn what_a_container_reads_comes_when_it_is_read() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    let nas = Nas::add(&host);
    let sums = pushed(&host);
    let before = nas.content();
    create(&host, "prefetch=metadata");
    host.start_container("main", "far", "exec sleep 1000");
    let all = lacks(&host, "far").unwrap();
    let first = host.docker_ok(&["exec", "main", "md5sum", "/data/a"]);
    assert!(sums.starts_with(&first), "{first}");
    let rest = lacks(&host, "far").unwrap();
    assert!(0 < rest && rest < all, "{rest} of {all}");
    // It is a volume like any other: written, and read by the next container.
    host.docker_ok(&["exec", "main", "sh", "-c", "echo mine > /data/mine"]);
    host.docker_ok(&["rm", "-f", "main"]);
    assert_eq!(
        host.run_in("far", &format!("cat /data/mine; {SUMS}")),
        format!("mine\n{sums}")
    );
    host.docker_ok(&["volume", "rm", "far"]);
    assert!(!host.volumes().contains(&"far".to_owned()));
    assert_eq!(nas.content(), before, "the remote is as it was");
    let checked = host.cask_ok(&["remote", "check", "nas", "--read-data"]);
    assert!(checked.starts_with("1 snapshots"), "{checked}");
}

#[test]
fn all_comes_in_the_background_and_the_remote_may_go() {
    let Some(host) = Host::new() else { return };
    import_busybox(&host);
    let nas = Nas::add(&host);
    let sums = pushed(&host);
    let before = nas.content();
    create(&host, "prefetch=all");
    host.start_container("main", "far", "exec sleep 1000");
    wait_for("all is here", || lacks(&host, "far").is_none());
    assert_eq!(nas.content(), before, "the remote is as it was");
    nas.take_away();
    host.docker_ok(&["rm", "-f", "main"]);
    assert_eq!(host.run_in("far", SUMS), sums);
    host.docker_ok(&["volume", "rm", "far"]);
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_no_volume() {
    let Some(host) = Host::new() else { return };
    let _nas = Nas::add(&host);
    host.cask_ok(&["create", "db"]);
    for (options, said) in [
        (["from=nas:db@snap", "prefetch=all"], "nas:db@snap"),
        (["from=other:db@snap", "prefetch=all"], "other"),
        (["from=nas:db@snap", "prefetch=most"], "prefetch=most"),
        (["from=db", "prefetch=all"], "prefetch"),
    ] {
        let mut arguments = vec!["volume", "create", "-d", "cask"];
        arguments.extend(options.iter().flat_map(|option| ["-o", option]));
        arguments.push("far");
        host.docker_fails(&arguments, &[said]);
        assert_eq!(host.volumes(), ["db"], "{options:?}");
    }
}
