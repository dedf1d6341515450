//! docs/cli.md says what the program does.

use std::fs;
use std::path::Path;

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    let text = cask::cli::reference();
    if std::env::var_os("CASK_BLESS").is_some() {
        cask::durable::replace_file(path.as_ref(), text.as_bytes()).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == text,
        "docs/cli.md is stale: CASK_BLESS=1 cargo test --test cli"
    );
}

/// What a package holds is written beforehand: `cargo deb` builds nothing but the program.
#[test]
fn manual_pages_and_completions_are_up_to_date() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let files = cask::cli::packaging();
    if std::env::var_os("CASK_BLESS").is_some() {
        for below in ["man", "completions"] {
            fs::remove_dir_all(dir.join(below)).unwrap();
            fs::create_dir(dir.join(below)).unwrap();
        }
        for (name, text) in &files {
            cask::durable::replace_file(&dir.join(name), text).unwrap();
        }
    }
    for (name, text) in &files {
        let written = fs::read(dir.join(name)).unwrap_or_default();
        assert!(
            written == *text,
            "packaging/{name} is stale: CASK_BLESS=1 cargo test --test cli"
        );
    }
    let count = |below: &str| fs::read_dir(dir.join(below)).unwrap().count();
    assert_eq!(count("man") + count("completions"), files.len());
}

#[test]
fn every_command_has_help() {
    let bench = crate::support::Bench::new();
    for command in [
        "create", "ls", "inspect", "mount", "umount", "rm", "rename", "set", "sync",
    ] {
        let help = bench.run(&[command, "--help"]).succeeds().out;
        assert!(help.contains("Usage: cask"), "{help}");
    }
    bench.run(&["--version"]).succeeds();
}
