//! The command line with a repository in a directory: what README says.

use std::path::Path;
use std::process::{Command, Output};

struct Host {
    root: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    fn cask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cask"));
        command.arg("--root").arg(self.root.path()).args(arguments);
        command.output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.cask(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    fn fails(&self, arguments: &[&str], code: i32, said: &str) {
        let output = self.cask(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }

    fn import(&self, name: &str, tree: &Path) {
        self.ok(&["import", name, tree.to_str().unwrap()]);
    }
}

/// A key, and a place for a repository.
struct Elsewhere {
    _dir: tempfile::TempDir,
    key: String,
    url: String,
    tree: std::path::PathBuf,
}

impl Elsewhere {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (key, tree) = (dir.path().join("key"), dir.path().join("tree"));
        std::fs::write(&key, [3; 32]).unwrap();
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("f"), "one").unwrap();
        let url = format!("file://{}", dir.path().join("repository").display());
        Self {
            key: key.to_str().unwrap().to_owned(),
            url,
            tree,
            _dir: dir,
        }
    }

    fn add(&self, host: &Host, create: &[&str]) -> String {
        let add = ["remote", "add", "nas", &self.url, "--key-file", &self.key];
        host.ok(&[&add, create].concat())
    }
}

#[test]
fn a_volume_gets_to_another_host_and_back() {
    let (here, there, elsewhere) = (Host::new(), Host::new(), Elsewhere::new());
    here.import("db", &elsewhere.tree);
    let told = elsewhere.add(&here, &["--create"]);
    assert!(told.contains("push, pull, check: yes"), "{told}");
    assert!(told.contains("keep this and the key file"), "{told}");
    here.ok(&["snapshot", "db@a"]);
    assert_eq!(here.ok(&["push", "db@a"]), "nas:db@a");
    let fresh = here.ok(&["push", "db", "nas"]);
    assert!(fresh.starts_with("nas:db@2"), "{fresh}");
    assert_eq!(elsewhere.add(&there, &[]).lines().count(), 4);
    assert_eq!(there.ok(&["pull", "nas:db@a"]), "db");
    assert_eq!(there.ok(&["pull", "nas:db", "newest"]), "newest");
    for volume in ["db", "newest"] {
        let out = elsewhere.tree.with_file_name(volume);
        there.ok(&["cp", &format!("{volume}:/f"), out.to_str().unwrap()]);
        assert_eq!(std::fs::read_to_string(out).unwrap(), "one");
    }
    there.fails(&["pull", "nas:db"], 4, "choose another name");
    there.fails(&["pull", "nas:db@b", "x"], 3, "there is no nas:db@b");
    there.fails(&["pull", "nas:other"], 3, "cask remote ls nas");
    there.fails(&["pull", "s3:db"], 3, "no remote \"s3\"");
}

#[test]
fn all_snapshots_are_pushed_once_and_forgotten_by_rules() {
    let (host, elsewhere) = (Host::new(), Elsewhere::new());
    host.import("db", &elsewhere.tree);
    elsewhere.add(&host, &["--create"]);
    for name in ["db@a", "db@b", "db@c"] {
        host.ok(&["snapshot", name]);
    }
    let push = ["push", "db", "--all-snapshots", "--format", "json"];
    let lines = host.ok(&push);
    let sent = |lines: &str| -> Vec<u64> {
        let values = lines.lines().map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["Objects"].as_u64()
        });
        values.flatten().collect()
    };
    assert!(sent(&lines).iter().all(|objects| *objects > 0), "{lines}");
    let again = host.ok(&push);
    assert_eq!(sent(&again), [0, 0, 0], "{again}");
    // One of the same name that is another is not taken for it, though it is of the same second.
    host.ok(&["snapshot", "rm", "db@c"]);
    host.ok(&["snapshot", "db@c"]);
    host.fails(&["push", "db@c"], 4, "there is another nas:db@c");
    let gone = host.ok(&[
        "remote",
        "forget",
        "nas:db",
        "--keep-last",
        "1",
        "--dry-run",
    ]);
    assert_eq!(gone.lines().count(), 2, "{gone}");
    assert_eq!(
        host.ok(&["remote", "forget", "nas:db", "--keep-last", "1"]),
        gone
    );
    let checked = host.ok(&["remote", "check", "--read-data"]);
    assert!(checked.starts_with("1 snapshots, 1 packs"), "{checked}");
    let collected = host.ok(&["remote", "gc"]);
    assert!(
        collected.starts_with("removed 0 packs and 2 runs"),
        "{collected}"
    );
    host.fails(&["remote", "forget", "nas:db"], 2, "--keep-daily 7");
}

#[test]
fn a_volume_whose_name_was_lost_is_found_still() {
    let (host, elsewhere) = (Host::new(), Elsewhere::new());
    host.import("db", &elsewhere.tree);
    elsewhere.add(&host, &["--create"]);
    host.ok(&["snapshot", "db@a"]);
    host.ok(&["push", "db@a"]);
    let repository = elsewhere.url.strip_prefix("file://").unwrap();
    std::fs::remove_dir_all(Path::new(repository).join("vol")).unwrap();
    let listed = host.ok(&[
        "remote",
        "ls",
        "nas",
        "--format",
        "{{.Volume}}@{{.Snapshot}}",
    ]);
    assert_eq!(listed, "db@a");
    assert_eq!(host.ok(&["pull", "nas:db", "again"]), "again");
}

#[test]
fn packs_that_went_are_sent_again() {
    let (host, elsewhere) = (Host::new(), Elsewhere::new());
    host.import("db", &elsewhere.tree);
    elsewhere.add(&host, &["--create"]);
    host.ok(&["snapshot", "db@a"]);
    host.ok(&["push", "db@a"]);
    let repository = Path::new(elsewhere.url.strip_prefix("file://").unwrap());
    std::fs::remove_dir_all(repository.join("pack")).unwrap();
    host.fails(&["remote", "check"], 6, "is damaged");
    host.fails(&["pull", "nas:db@a", "x"], 6, "is not there");
    assert!(!host.ok(&["ls", "-q"]).contains('x'));
    host.ok(&["push", "db"]);
    assert_eq!(host.ok(&["pull", "nas:db", "again"]), "again");
}

#[test]
fn a_remote_is_set_told_of_and_forgotten() {
    let (host, elsewhere) = (Host::new(), Elsewhere::new());
    host.fails(&["push", "db"], 3, "no volume \"db\"");
    host.import("db", &elsewhere.tree);
    host.fails(&["push", "db"], 3, "there is no remote");
    elsewhere.add(&host, &["--create"]);
    let url = &elsewhere.url;
    let again = [
        "remote",
        "add",
        "two",
        url,
        "--create",
        "--key-file",
        &elsewhere.key,
    ];
    host.fails(&again, 4, "leave out --create");
    host.ok(&["remote", "set", "nas", "limit-up=20M"]);
    let told = host.ok(&["remote", "inspect", "nas"]);
    assert!(told.contains("\"limit_up\":20971520"), "{told}");
    assert!(!told.contains("0303"), "{told}");
    let listed = host.ok(&["remote", "ls", "--format", "{{.Name}} {{.Url}}"]);
    assert_eq!(listed, format!("nas {url}"));
    host.ok(&["remote", "rm", "nas"]);
    host.fails(&["remote", "inspect", "nas"], 3, "there is no remote");
    let wrong = elsewhere.tree.join("wrong");
    std::fs::write(&wrong, [4; 32]).unwrap();
    let add = [
        "remote",
        "add",
        "nas",
        url,
        "--key-file",
        wrong.to_str().unwrap(),
    ];
    host.fails(&add, 1, "not a key of this repository");
    host.fails(
        &["remote", "add", "nas", "nowhere", "--create"],
        2,
        "s3://BUCKET/PREFIX",
    );
}
