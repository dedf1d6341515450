//! What killed pushes leave half written in a directory.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::host::{Store, last_json};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn what_was_not_finished_is_counted_and_goes_when_it_is_old() {
    let store = Store::dir();
    let host = store.host();
    host.create();
    host.make_volume("db", &[("file", b"content")]);
    host.push("db");
    let count = |verb: &[&str]| {
        let arguments = [&["remote"], verb, &["--format", "json"]].concat();
        let told = host.run(&arguments).succeeds();
        last_json(&told.out)["Unfinished"].as_u64().unwrap()
    };
    assert_eq!((count(&["check"]), count(&["gc"])), (0, 0));
    let leave = |name: &str, age: Duration| -> PathBuf {
        let path = store.objects().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, [0; 1000]).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        path
    };
    let minute = Duration::from_secs(60);
    let old = [
        leave("pack/ab/.new-0123456789abcdef", DAY + minute),
        leave(".new-00000000000000ff", 3 * DAY),
    ];
    let young = leave("run/00/.new-0123456789abcdef", DAY - minute);
    let other = leave("pack/ab/.hidden", 3 * DAY);
    assert_eq!(count(&["check"]), 3);
    assert_eq!(count(&["gc", "--dry-run"]), 2);
    assert!(old.iter().all(|path| path.exists()));
    let told = host.run(&["remote", "gc"]).succeeds();
    assert!(told.out.contains("2 objects that were not"), "{told:?}");
    assert!(old.iter().all(|path| !path.exists()));
    assert!(young.exists() && other.exists());
    assert_eq!((count(&["check"]), count(&["gc"])), (1, 0));
    let told = host.run(&["remote", "check"]).succeeds();
    assert!(told.out.contains("1 objects that were not"), "{told:?}");
    host.verify();
}
