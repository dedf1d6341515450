//! cargo with its target directory on a mount: builds, knows what is fresh, runs what it built.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Mount, run};

/// Builds the crate in `dir` with the target directory `target`. Returns what cargo said.
#[track_caller]
fn build(dir: &Path, target: &Path) -> String {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--offline"])
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", target);
    cargo
        .env("CARGO_TERM_COLOR", "never")
        .env_remove("RUSTFLAGS");
    let done = run(&mut cargo, 140);
    assert!(done.status.success(), "{}", done.output());
    done.stderr
}

#[track_caller]
fn write_crate(dir: &Path, dependencies: &str, main: &str) {
    fs::create_dir_all(dir.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [workspace]\n[dependencies]\n{dependencies}"
    );
    fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    fs::write(dir.join("src/main.rs"), main).unwrap();
    // The versions that were fetched to build cask itself, so no network is needed.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = fs::read_to_string(lock)
        .unwrap()
        .replace("name = \"cask\"", "name = \"sample\"");
    fs::write(dir.join("Cargo.lock"), text).unwrap();
}

/// Builds, then builds again without work, then again after a change; runs the result each time.
#[track_caller]
fn check_build(dependencies: &str, main: &str) {
    let Some(mount) = Mount::new() else { return };
    let (dir, target) = (mount.path().join("sample"), mount.path().join("target"));
    write_crate(&dir, dependencies, main);
    assert!(build(&dir, &target).contains("Compiling sample"));
    let greet = |expected: &str| {
        let done = run(&mut Command::new(target.join("debug/sample")), 20);
        assert_eq!(done.stdout, expected);
    };
    greet("[1,2,3]\n");
    for _ in 0..2 {
        let again = build(&dir, &target);
        assert!(!again.contains("Compiling"), "nothing changed: {again}");
        mount.remount();
    }
    fs::write(dir.join("src/main.rs"), main.replace('3', "4")).unwrap();
    let changed = build(&dir, &target);
    assert!(
        changed.contains("Compiling sample"),
        "a change was not seen: {changed}"
    );
    assert_eq!(
        changed.matches("Compiling").count(),
        1,
        "only the sample changed: {changed}"
    );
    greet("[1,2,4]\n");
}

#[test]
fn cargo_builds_a_small_crate_on_a_mount() {
    check_build("", "fn main() { println!(\"[1,2,3]\"); }\n");
}

#[test]
fn cargo_builds_a_crate_with_dependencies_on_a_mount() {
    let dependencies = "serde_json = \"1\"\nserde = { version = \"1\", features = [\"derive\"] }\n\
                        clap = { version = \"4\", features = [\"derive\"] }\n";
    let main = "#[derive(clap::Parser)] struct Options {}\n\
                #[derive(serde::Serialize)] struct Three(u8, u8, u8);\n\
                fn main() {\n    let Options {} = clap::Parser::parse();\n\
                println!(\"{}\", serde_json::to_string(&Three(1, 2, 3)).unwrap());\n}\n";
    check_build(dependencies, main);
}
