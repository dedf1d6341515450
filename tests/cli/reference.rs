//! docs/cli.md says what the program does.

use std::fs;

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
