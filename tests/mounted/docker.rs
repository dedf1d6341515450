//! A container bind-mounts a mount: `docker run -v MOUNTPOINT:/data`.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::harness::{Guard, Mount, docker_missing, run, run_ok, sh};

/// An image made of busybox alone, removed when this goes.
struct Image(String);

impl Image {
    #[track_caller]
    fn make(mount: &Mount) -> Self {
        let rootfs = mount.sandbox().subdir("rootfs");
        let name = format!("cask-test-busybox:{}", std::process::id());
        let script = r#"mkdir "$1/bin" "$1/data"; cp "$(command -v busybox)" "$1/bin/busybox"
            for name in sh cat echo ls mv stat sync; do ln -s busybox "$1/bin/$name"; done
            tar -C "$1" -c . | docker import - "$2" >/dev/null"#;
        sh(script, &[&rootfs, name.as_ref()]);
        Self(name)
    }

    /// A command in a new container that has the mount at `/data`.
    fn command(&self, mount: &Mount, script: &str) -> Command {
        let mut command = Command::new("docker");
        let volume = format!("{}:/data", mount.path().display());
        command.args(["run", "--rm", "--network=none", "-v", &volume, &self.0]);
        command.args(["/bin/sh", "-ec", script]);
        command
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        drop(run(Command::new("docker").args(["rmi", "-f", &self.0]), 60));
    }
}

#[test]
fn a_container_and_the_host_see_each_others_writes() {
    if docker_missing() {
        return;
    }
    let Some(mount) = Mount::new() else { return };
    let image = Image::make(&mount);
    fs::write(mount.path().join("from-host"), "host\n").unwrap();
    let script = "cat /data/from-host; echo container > /data/tmp; mv /data/tmp /data/from-container; \
                  echo more >> /data/from-host";
    assert_eq!(run_ok(&mut image.command(&mount, script), 60), "host\n");
    let read = |name: &str| fs::read_to_string(mount.path().join(name)).unwrap();
    assert_eq!(read("from-container"), "container\n");
    assert_eq!(read("from-host"), "host\nmore\n");
    mount.remount();
    assert_eq!(
        run_ok(&mut image.command(&mount, "cat /data/from-container"), 60),
        "container\n"
    );
}

#[test]
fn a_running_container_sees_at_once_what_the_host_writes() {
    ask_a_container(|_, _| {});
}

#[test]
fn a_running_container_does_not_notice_that_the_server_is_killed() {
    ask_a_container(|mount, round| {
        if round % 5 == 0 {
            kill_process(mount.server_pid(), Signal::KILL).unwrap();
        }
    });
}

/// A container answers each file that the host writes; `before` is done before each.
#[track_caller]
fn ask_a_container(before: impl Fn(&Mount, u32)) {
    if docker_missing() {
        return;
    }
    let Some(mount) = Mount::new() else { return };
    let image = Image::make(&mount);
    let script = "n=0; while [ $n -lt 20 ]; do if [ -e /data/ask-$n ]; then cat /data/ask-$n > /data/t; \
                  mv /data/t /data/answer-$n; n=$((n+1)); fi; done";
    let mut container = Guard::spawn(&mut image.command(&mount, script));
    for round in 0..20 {
        before(&mount, round);
        let dir = mount.path();
        fs::write(dir.join("ask"), format!("{round}")).unwrap();
        fs::rename(dir.join("ask"), dir.join(format!("ask-{round}"))).unwrap();
        let answer = dir.join(format!("answer-{round}"));
        let start = Instant::now();
        while !answer.exists() {
            assert!(start.elapsed().as_secs() < 60, "no answer in round {round}");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(fs::read_to_string(answer).unwrap(), format!("{round}"));
    }
    assert!(container.wait(Duration::from_secs(30)).unwrap().success());
}
