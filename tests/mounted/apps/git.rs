//! git on a mount: clone, check, change, commit, after a remount as before.

use std::process::Command;

use crate::harness::{Mount, run_ok, sh};

/// A repository with history, made outside the mount.
pub(crate) const MAKE_REPOSITORY: &str = r#"
    git init -q -b main "$1"; cd "$1"
    git config user.name test; git config user.email test@example.org
    for commit in $(seq 15); do
        for dir in $(seq 8); do
            mkdir -p "dir$dir/deep/er"
            for file in $(seq 6); do
                seq "$((commit * dir))" "$((commit * dir + file * 90))" > "dir$dir/deep/er/file$file-$((commit % 5))"
            done
        done
        ln -sf "dir1/deep" "link$commit"; printf '#!/bin/sh\n' > "run$commit"; chmod +x "run$commit"
        git add -A; git commit -q -m "commit $commit"
    done
    git tag -a -m tag v1"#;

#[track_caller]
pub(crate) fn git(arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    run_ok(&mut command, 100)
}

#[test]
fn a_git_clone_is_whole_and_clean_before_and_after_a_remount() {
    let Some(mount) = Mount::new() else { return };
    let source = mount.plain().join("source");
    sh(MAKE_REPOSITORY, &[&source]);
    let url = format!("file://{}", source.display());
    let clone = mount.path().join("clone");
    let clone = clone.to_str().unwrap();
    git(&["clone", "-q", "--no-local", &url, clone]);
    for _ in 0..2 {
        git(&["-C", clone, "fsck", "--full", "--strict"]);
        assert_eq!(git(&["-C", clone, "status", "--porcelain"]), "");
        mount.remount();
    }
    let same = r#"cd "$1"; git archive HEAD | sha256sum; cd "$2"; git archive HEAD | sha256sum"#;
    let sums = sh(same, &[&source, clone.as_ref()]);
    let sums: Vec<_> = sums.lines().collect();
    assert_eq!(sums[0], sums[1]);

    sh(
        r#"cd "$1"; echo more >> run1; rm run2; git mv run3 run33; mkdir n; echo > n/new"#,
        &[clone.as_ref()],
    );
    let status = git(&["-C", clone, "status", "--porcelain", "-uall"]);
    assert_eq!(status, " M run1\n D run2\nR  run3 -> run33\n?? n/new\n");
    git(&[
        "-C",
        clone,
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "commit",
        "-qam",
        "x",
    ]);
    git(&["-C", clone, "gc", "-q", "--prune=now"]);
    git(&["-C", clone, "fsck", "--full", "--strict"]);
}
