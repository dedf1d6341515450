//! Holds the code to its layout: layers, one owner for each outside crate, a `//!` on every file.
//!
//! An error names the file and the rule. The rules are the tables below; `docs/architecture.md` has the
//! reasons.

#[path = "tidy/imports.rs"]
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer and the layers it may import. `cli` reaches FUSE through `server` only.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("durable", &[]),
    ("at_once", &[]),
    ("chunks", &["types", "durable"]),
    ("meta", &["types"]),
    ("volume", &["types", "durable", "chunks", "meta", "remote"]),
    ("fuse", &["types", "volume"]),
    ("control", &["types"]),
    ("server", &["types", "durable", "volume", "fuse", "control"]),
    ("remote", &["types", "durable", "at_once"]),
    ("transfer", &["types", "durable", "volume", "remote"]),
    ("metrics", &["types", "volume", "server"]),
    (
        "docker",
        &[
            "types", "durable", "volume", "server", "control", "remote", "transfer", "metrics",
        ],
    ),
    (
        "commands",
        &["types", "volume", "server", "control", "remote", "docker"],
    ),
    (
        "web",
        &[
            "types", "volume", "server", "control", "metrics", "commands",
        ],
    ),
    (
        "cli",
        &[
            "types", "durable", "at_once", "volume", "server", "control", "docker", "remote",
            "transfer", "metrics", "commands", "web",
        ],
    ),
];

/// Outside crates that belong to some layers only: nobody else names them.
const OWNERS: &[(&str, &[&str])] = &[
    ("fuser", &["fuse"]),
    ("rusqlite", &["meta"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("env_logger", &["cli", "server", "main"]),
    ("blake3", &["chunks", "types", "remote"]),
    ("object_store", &["remote"]),
    ("tokio", &["remote", "web"]),
    ("futures_util", &["remote", "web"]),
    ("bytes", &["remote", "web"]),
    ("aws_lc_rs", &["remote"]),
    ("argon2", &["remote"]),
    ("postcard", &["server"]),
    ("crc32c", &["chunks", "meta"]),
    ("lru", &["chunks", "volume", "remote", "transfer"]),
    ("jiff", &["cli", "commands", "web", "types", "volume"]),
    ("signal_hook", &["server", "cli"]),
    ("uuid", &["types"]),
    ("prometheus_client", &["metrics"]),
    ("tar", &["commands"]),
    ("axum", &["web"]),
    ("maud", &["web"]),
    ("indicatif", &["cli"]),
    ("listenfd", &["cli"]),
    ("lz4_flex", &["chunks"]),
    ("zstd", &["chunks", "remote"]),
];

/// Words that docs/glossary.md has others for; users may read them still, in texts.
const WORDS: &[&str] = &[
    "residents",
    "Residents",
    "keeper",
    "Keeper",
    "Cut",
    "CutId",
    "CutPart",
    "ledger",
    "Ledger",
    "twin",
    "twins",
    "Twin",
    "settle",
    "settled",
    "settling",
    "Settled",
    "linger",
    "Linger",
    "Hello",
    "Meeting",
    "timeout",
    "patiently",
    "Standing",
    "standing",
    "Wish",
    "wish",
    "Dress",
    "dress",
    "Farewell",
    "farewell",
    "Turns",
    "turns",
    "crumbs",
];

const LINES_MAX: usize = 600;

/// Tables whose columns are listed in `src/meta/schema/` only, where `sql!` takes them from.
const TABLES: &[&str] = &[
    "inode", "dentry", "extent", "xattr", "chunk", "snapshot", "pending", "copying", "purge",
    "tally", "segment", "refused", "setting", "orphan", "revived",
];

/// Who begins a transaction that writes (invariant 4).
const WRITERS: &[&str] = &[
    "src/meta/",
    "src/volume/metadata.rs",
    "src/volume/history/group_snapshot.rs",
    "src/volume/history/clone.rs",
];

/// What is wrong with a file, by its path below the crate's root.
fn complaints(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rule = |broken: bool, rule: String| {
        if broken {
            found.push(format!("{path}: {rule}"));
        }
    };
    rule(
        !text.starts_with("//!"),
        "the file must open with `//!`".to_owned(),
    );
    rule(
        path.ends_with("/mod.rs"),
        "name the file after its module, not mod.rs".to_owned(),
    );
    let code = code_of(text);
    for word in ["todo!", "unimplemented!"] {
        rule(code.contains(word), format!("no `{word}`"));
    }
    let Some(layer) = layer_of(path) else {
        return found;
    };
    for fault in sql_complaints(path, &code) {
        rule(true, fault.to_owned());
    }
    let writes = ["database.write()", "database().write()"];
    rule(
        !WRITERS.iter().any(|writer| path.starts_with(writer))
            && writes.iter().any(|call| code.contains(call)),
        "changes go through `volume/change.rs` or `Metadata::change` (invariant 4)".to_owned(),
    );
    let lines = text.lines().count();
    rule(
        lines > LINES_MAX,
        format!("{lines} lines, at most {LINES_MAX}"),
    );
    for (other, _) in LAYERS {
        let allowed = LAYERS.iter().find(|(name, _)| *name == layer);
        let allowed = allowed.is_none_or(|(_, below)| below.contains(other)) || *other == layer;
        rule(
            !allowed && imports(&code, other),
            format!("`{layer}` must not import `{other}`"),
        );
    }
    let words = words_of(&code);
    for word in words.iter().filter(|word| WORDS.contains(&word.as_str())) {
        rule(
            true,
            format!("`{word}`: docs/glossary.md has another word for it"),
        );
    }
    for (krate, owners) in OWNERS {
        let named = ["use ", "(", "<", " ", "&", "!", "[", ",", "{", "\n"]
            .iter()
            .any(|before| code.contains(&format!("{before}{krate}::")));
        let broken = named && !owners.contains(&layer);
        rule(
            broken,
            format!("only {owners:?} may use the crate `{krate}`, not `{layer}`"),
        );
    }
    found
}

/// What is wrong with the SQL of a file of `meta`: rows that are moved by `*`, and columns listed by hand.
fn sql_complaints(path: &str, code: &str) -> Vec<&'static str> {
    if !path.starts_with("src/meta/") || path.starts_with("src/meta/schema/") {
        return Vec::new();
    }
    let one_line = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    if one_line.contains("SELECT *") || one_line.contains(".*, ?") || one_line.contains(".* FROM") {
        found.push("name the columns, no `SELECT *`");
    }
    let is_listed = one_line.split("INTO ").skip(1).any(|rest| {
        let Some((table, list)) = rest.split_once(" (") else {
            return false;
        };
        let table = table.strip_suffix("_past").unwrap_or(table);
        let list = list.split(')').next().unwrap_or_default();
        TABLES.contains(&table) && !list.contains('{')
    });
    let is_bare = one_line.split("INTO ").skip(1).any(|rest| {
        let table = rest.split(' ').next().unwrap_or_default();
        let is_bare = ["SELECT", "VALUES"].contains(&rest.split(' ').nth(1).unwrap_or_default());
        is_bare && TABLES.contains(&table.strip_suffix("_past").unwrap_or(table))
    });
    let times = ["atime_ns,", "mtime_ns,", "ctime_ns,"];
    if is_listed || is_bare || times.iter().any(|name| one_line.contains(name)) {
        found.push("columns are listed in src/meta/schema only");
    }
    found
}

/// The first component below `src`, without `.rs`; nothing for tests and benches, which may use all.
fn layer_of(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

/// Whether `code` names the layer: `crate::x`, `crate::{.., x::..}`, `cask::x` or `super::super::x`.
fn imports(code: &str, layer: &str) -> bool {
    let direct = [format!("crate::{layer}"), format!("cask::{layer}")];
    let is_end = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let named = |text: &str| code.split(text).skip(1).any(is_end);
    let grouped = code.split("crate::{").skip(1).any(|rest| {
        let group = rest.split(';').next().unwrap_or_default();
        group
            .split([',', '{', '}', ' ', '\n'])
            .any(|part| part.split("::").next() == Some(layer))
    });
    direct.iter().any(|text| named(text)) || grouped
}

/// The words of code, but for those in texts, which may go over several lines.
fn words_of(code: &str) -> Vec<String> {
    let plain = code.replace("\\\"", "").replace("'\"'", "");
    let outside = plain.split('"').step_by(2);
    let words = outside.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.map(str::to_owned).collect()
}

/// The text without its comments, so that prose may name anything.
fn code_of(text: &str) -> String {
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// All `.rs` files below `dir`.
fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "tests", "benches"] {
        rust_files(&root.join(dir), &mut files);
    }
    assert!(files.len() > 20, "the sources were not found: {files:?}");
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("tests/tidy.rs")) {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap();
        found.extend(complaints(path, &fs::read_to_string(file).unwrap()));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whoever changes one of two files that import each other has to understand both.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for crate_folder in ["src", "benches/compare"] {
        let (folder, mut paths) = (root.join(crate_folder), Vec::new());
        rust_files(&folder, &mut paths);
        let mut files = imports::Files::default();
        for path in &paths {
            let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
            files.add(name, &fs::read_to_string(path).unwrap());
        }
        let circles: Vec<_> = files
            .circles()
            .iter()
            .map(|c| files.edges(c).join("\n"))
            .collect();
        assert!(
            circles.is_empty(),
            "{crate_folder}:\n{}",
            circles.join("\n")
        );
    }
}

#[test]
fn the_checker_finds_each_kind_of_fault() {
    let find = |path: &str, text: &str, expected: &str| {
        let found = complaints(path, &format!("//! Doc.\n{text}"));
        assert!(
            found.iter().any(|line| line.contains(expected)),
            "{path} {text:?}: {found:?}"
        );
        assert!(found.iter().all(|line| line.starts_with(path)), "{found:?}");
    };
    find(
        "src/meta/tx.rs",
        "use crate::volume::Volume;",
        "`meta` must not import `volume`",
    );
    find(
        "src/control.rs",
        "use crate::{types::Ino, volume};",
        "`control` must not import `volume`",
    );
    find(
        "src/cli/mount.rs",
        "use crate::fuse;",
        "`cli` must not import `fuse`",
    );
    find(
        "src/volume.rs",
        "fn f(c: &rusqlite::Connection) {}",
        "crate `rusqlite`, not `volume`",
    );
    find(
        "src/volume/ops.rs",
        "use fuser::Errno;",
        "crate `fuser`, not `volume`",
    );
    for sql in [
        "INSERT INTO xattr_past SELECT *, ?3 FROM xattr",
        "INSERT INTO xattr_past ({xattr}, died) SELECT x.*, ?3 FROM xattr x",
    ] {
        find("src/meta/a.rs", sql, "no `SELECT *`");
    }
    for sql in [
        "INSERT OR IGNORE INTO xattr (ino, name, born, value) VALUES (?1, ?2, ?3, ?4)",
        "INSERT INTO xattr_past SELECT ino, name, born, value, ?2 FROM xattr",
        "SELECT atime, atime_ns, mtime FROM inode",
    ] {
        find("src/meta/a.rs", sql, "listed in src/meta/schema only");
    }
    find(
        "src/volume/ops.rs",
        "fn f(core: &Core) { core.database().write(); }",
        "(invariant 4)",
    );
    find("src/types.rs", "struct Ledger;", "another word for it");
    find("src/types.rs", &"\n".repeat(700), "lines, at most 600");
    find("src/chunks/mod.rs", "", "not mod.rs");
    find("src/chunks.rs", "fn f() { todo!() }", "no `todo!`");
}

#[test]
fn the_checker_lets_pass_what_is_no_fault() {
    assert_eq!(
        complaints("tests/x.rs", "fn f() {}"),
        ["tests/x.rs: the file must open with `//!`"]
    );
    assert_eq!(
        complaints(
            "src/fuse/a.rs",
            "//! Doc.\nuse crate::volume;\nuse fuser::Errno;"
        ),
        [""; 0]
    );
    assert_eq!(
        complaints(
            "src/cli/a.rs",
            "//! Doc.\nconst A: &str = \"its keeper\"; // keeper\n"
        ),
        [""; 0]
    );
    assert_eq!(
        complaints("src/meta/a.rs", "//! Doc.\n// crate::volume is above.\n"),
        [""; 0]
    );
}
