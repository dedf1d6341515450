//! Damage of each kind of object: it is found and named, what needs the object is refused, the rest can be had.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::host::{Host, Store};
use crate::random::Random;

const BYTES: usize = 300_000;

/// A repository with two snapshots of a volume and one of another, none of which share a chunk.
struct Scene {
    store: Store,
    here: Host,
    there: Host,
    /// The objects of the first snapshot that no other needs.
    own: Vec<PathBuf>,
    /// All others.
    others: Vec<PathBuf>,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy)]
enum Harm {
    FlipFirst,
    FlipHeader,
    FlipMiddle,
    FlipLast,
    Halve,
    Empty,
    Longer,
    Delete,
}

const HARMS: [Harm; 8] = [
    Harm::FlipFirst,
    Harm::FlipHeader,
    Harm::FlipMiddle,
    Harm::FlipLast,
    Harm::Halve,
    Harm::Empty,
    Harm::Longer,
    Harm::Delete,
];

impl Scene {
    fn new() -> Self {
        let store = Store::dir();
        let here = store.host();
        here.create();
        let bytes = |seed| Random::new(seed).bytes(BYTES);
        let push = |name: &str, seed| {
            here.make_volume(name, &[("file", &bytes(seed))]);
            here.run(&["snapshot", &format!("{name}@one")]).succeeds();
            here.push(&format!("{name}@one"));
        };
        push("b", 1);
        let before = objects(&store);
        push("a", 2);
        let after = objects(&store);
        here.run(&["rm", "--force", "a"]).succeeds();
        let there = store.host();
        there.add(&["--key-file=key"]).succeeds();
        Self {
            own: after.difference(&before).cloned().collect(),
            others: before.into_iter().collect(),
            store,
            here,
            there,
        }
    }

    fn own(&self, kind: &str) -> PathBuf {
        only(&self.own, kind)
    }

    fn other(&self, kind: &str) -> PathBuf {
        only(&self.others, kind)
    }

    fn path(&self, object: &Path) -> PathBuf {
        self.store.objects().join(object)
    }

    /// It is told which object is damaged.
    #[track_caller]
    fn is_named(&self, object: &Path) {
        let found = self.here.run(&["remote", "check", "--read-data"]);
        let name = object.file_name().unwrap().to_str().unwrap();
        let name = if name == "about" {
            object
                .parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
        } else {
            name
        };
        assert_eq!(found.code, 6, "{found:?}");
        assert!(
            found.out.contains(name) || found.err.contains(name),
            "no {name} in {found:?}"
        );
        assert!(found.err.contains("; "), "no next step: {found:?}");
    }

    #[track_caller]
    fn is_refused(&self, codes: &[i32]) {
        let pulled = self.there.run(&["pull", "r:a@one", "back"]);
        assert!(codes.contains(&pulled.code), "{pulled:?}");
        assert!(
            pulled.err.contains("; ") && pulled.out.is_empty(),
            "{pulled:?}"
        );
        assert_eq!(self.there.left_over(), Vec::<String>::new());
    }

    #[track_caller]
    fn can_be_had(&self, state: &str, seed: u64) {
        self.there.run(&["pull", state, "back"]).succeeds();
        assert!(self.there.read("back", "file") == Random::new(seed).bytes(BYTES));
        self.there.run(&["rm", "--force", "back"]).succeeds();
    }

    /// Does each harm to an object, looks, and takes it back.
    fn each_harm(&self, object: &Path, look: impl Fn(Harm)) {
        let path = self.path(object);
        let whole = fs::read(&path).unwrap();
        for harm in HARMS {
            eprintln!("{harm:?} of {}", object.display());
            harm.apply(&path, &whole);
            look(harm);
            fs::write(&path, &whole).unwrap();
        }
    }

    /// Exchanges two objects, looks, and takes it back.
    fn exchanged(&self, kind: &str, look: impl Fn(&Path)) {
        let (one, other) = (self.own(kind), self.other(kind));
        let [first, second] = [&one, &other].map(|object| fs::read(self.path(object)).unwrap());
        eprintln!("{} in place of {}", other.display(), one.display());
        fs::write(self.path(&one), &second).unwrap();
        look(&one);
        fs::write(self.path(&one), &first).unwrap();
    }
}

impl Harm {
    fn apply(self, path: &Path, whole: &[u8]) {
        let mut bytes = whole.to_vec();
        let len = bytes.len();
        match self {
            Self::FlipFirst => bytes[0] ^= 1,
            Self::FlipHeader => bytes[30.min(len - 1)] ^= 0x80,
            Self::FlipMiddle => bytes[len / 2] ^= 1,
            Self::FlipLast => bytes[len - 1] ^= 1,
            Self::Halve => bytes.truncate(len / 2),
            Self::Empty => bytes.clear(),
            Self::Longer => bytes.push(0),
            Self::Delete => return fs::remove_file(path).unwrap(),
        }
        fs::write(path, bytes).unwrap();
    }
}

/// The objects of a store, by their names.
fn objects(store: &Store) -> BTreeSet<PathBuf> {
    let top = store.objects();
    let (mut found, mut left) = (BTreeSet::new(), vec![top.clone()]);
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if !path.ends_with(".lock") {
                found.insert(path.strip_prefix(&top).unwrap().to_owned());
            }
        }
    }
    found
}

#[track_caller]
fn only(objects: &[PathBuf], kind: &str) -> PathBuf {
    let mut found = objects.iter().filter(|object| object.starts_with(kind));
    let one = found.next().unwrap_or_else(|| panic!("no {kind}")).clone();
    assert_eq!(found.next(), None);
    one
}

#[test]
fn damage_of_packs_and_runs_is_found() {
    let scene = Scene::new();
    for kind in ["pack", "run"] {
        let object = scene.own(kind);
        scene.each_harm(&object, |harm| {
            scene.is_named(&object);
            // What is wrong beyond the chunks that it needs, a pull does not read.
            let is_read = kind == "run"
                || !matches!(
                    harm,
                    Harm::FlipFirst | Harm::FlipHeader | Harm::FlipLast | Harm::Longer
                );
            if is_read {
                scene.is_refused(&[6]);
            }
            scene.can_be_had("r:b@one", 1);
        });
        scene.exchanged(kind, |object| {
            scene.is_named(object);
            scene.is_refused(&[6]);
            scene.can_be_had("r:b@one", 1);
        });
    }
    scene.here.verify();
    scene.can_be_had("r:a@one", 2);
}

#[test]
fn damage_of_snapshots_is_found() {
    let scene = Scene::new();
    // Another snapshot of the same volume.
    scene.there.run(&["pull", "r:a@one", "a"]).succeeds();
    scene.there.run(&["rm", "--force", "a"]).succeeds();
    let object = scene.own("snap");
    scene.each_harm(&object, |harm| {
        match harm {
            // It is as if it had never been.
            Harm::Delete => scene.is_refused(&[3]),
            _ => {
                scene.is_named(&object);
                scene.is_refused(&[6]);
            }
        }
        scene.can_be_had("r:b@one", 1);
    });
    scene.exchanged("snap", |object| {
        scene.is_named(object);
        scene.is_refused(&[6]);
        scene.can_be_had("r:b@one", 1);
    });
    scene.here.verify();
}

/// One of a volume's snapshots is damaged: the others are not.
#[test]
fn a_damaged_snapshot_hides_no_other() {
    let scene = Scene::new();
    let (here, there) = (&scene.here, &scene.there);
    here.run(&["snapshot", "b@two"]).succeeds();
    let before = objects(&scene.store);
    here.push("b@two");
    let after = objects(&scene.store);
    let fresh: Vec<_> = after.difference(&before).cloned().collect();
    let snapshot = only(&fresh, "snap");
    scene.each_harm(&snapshot, |harm| {
        if !matches!(harm, Harm::Delete) {
            scene.is_named(&snapshot);
        }
        scene.can_be_had("r:b@one", 1);
        scene.can_be_had("r:a@one", 2);
        let listed = there.run(&["remote", "ls", "r", "--format", "{{.Volume}}@{{.Snapshot}}"]);
        assert!(
            listed.out.contains("b@one") && listed.out.contains("a@one"),
            "{listed:?}"
        );
    });
}

#[test]
fn damage_of_what_a_volume_is_called_is_found() {
    let scene = Scene::new();
    let object = scene.own("vol");
    let uuid = object
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    let by_uuid = format!("r:{uuid}@one");
    let look = |_harm| {
        // The snapshots say the same, and nothing is lost.
        scene.is_named(&object);
        scene.can_be_had("r:b@one", 1);
        scene.can_be_had("r:a@one", 2);
        scene.can_be_had(&by_uuid, 2);
    };
    scene.each_harm(&object, look);
    scene.exchanged("vol", |_| look(Harm::FlipFirst));
}

#[test]
fn what_a_volume_is_called_is_said_again() {
    let scene = Scene::new();
    let object = scene.other("vol");
    let about = scene.path(&object);
    let is_whole = || {
        let found = scene.here.run(&["remote", "check"]);
        assert!(!found.out.contains("vol/"), "{found:?}");
    };
    let harms: [&dyn Fn(); 2] = [&|| fs::remove_file(&about).unwrap(), &|| {
        fs::write(&about, b"rotten").unwrap();
    }];
    // A push that sends nothing does so when a check has told.
    for spoil in harms {
        spoil();
        scene.is_named(&object);
        scene.here.push("b");
        is_whole();
    }
    // One that sends chunks looks.
    for spoil in harms {
        spoil();
        fs::remove_dir_all(scene.store.objects().join("pack")).unwrap();
        scene.here.push("b");
        is_whole();
    }
}

#[test]
fn damage_of_an_index_is_found() {
    let scene = Scene::new();
    let object = scene.own("index");
    scene.each_harm(&object, |harm| {
        // Without it a push sends more than it has to.
        if !matches!(harm, Harm::Delete) {
            scene.is_named(&object);
        }
        scene.can_be_had("r:a@one", 2);
        scene.can_be_had("r:b@one", 1);
    });
    scene.exchanged("index", |object| {
        scene.is_named(object);
        scene.can_be_had("r:a@one", 2);
    });
}

#[test]
fn damage_of_the_mark_is_found() {
    let scene = Scene::new();
    let object = PathBuf::from("cask.json");
    scene.each_harm(&object, |harm| {
        let code = if matches!(harm, Harm::Delete) { 3 } else { 6 };
        // White space more is none.
        if matches!(harm, Harm::Longer) {
            return;
        }
        let found = scene.here.run(&["remote", "check"]);
        assert!(found.code == code || found.code == 1, "{found:?}");
        assert!(
            found.err.contains("cask.json") || found.err.contains("repository"),
            "{found:?}"
        );
        scene.is_refused(&[code, 1]);
        let pushed = scene.here.run(&["push", "b@one"]);
        assert!(pushed.code == code || pushed.code == 1, "{pushed:?}");
    });
    scene.here.verify();
}

/// A wrapped key that is damaged opens nothing, and another still does.
#[test]
fn damage_of_a_key_leaves_the_others() {
    let scene = Scene::new();
    let object = scene.other("keys");
    scene.here.write_secret("phrase", b"correct horse");
    let added = scene
        .here
        .run(&["remote", "key", "add", "r", "--passphrase-file=phrase"]);
    added.succeeds();
    scene.each_harm(&object, |harm| {
        let third = scene.store.host();
        let opened = third.add(&["--key-file=key"]);
        if matches!(
            harm,
            Harm::FlipFirst | Harm::Halve | Harm::Empty | Harm::Longer | Harm::Delete
        ) {
            opened.fails(1, &["remote \"r\"", "not a key of this repository"]);
        }
    });
    let third = scene.store.host();
    third.write_secret("phrase", b"correct horse");
    fs::remove_file(scene.path(&object)).unwrap();
    third.add(&["--passphrase-file=phrase"]).succeeds();
}

/// What the check says that mends it does: the data is there again.
#[test]
fn a_push_sends_again_what_was_lost() {
    for harm in [Harm::Delete, Harm::Halve, Harm::FlipMiddle] {
        let scene = Scene::new();
        let object = scene.other("pack");
        let whole = fs::read(scene.path(&object)).unwrap();
        harm.apply(&scene.path(&object), &whole);
        scene.is_named(&object);
        scene.here.push("b");
        scene.there.run(&["pull", "r:b", "back"]).succeeds();
        assert!(
            scene.there.read("back", "file") == Random::new(1).bytes(BYTES),
            "{harm:?}"
        );
    }
}
