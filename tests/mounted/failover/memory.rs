//! A server that the kernel kills for a lack of memory in its control group, again and again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use cask::control::Client;

use super::{inspected_while_dying, wait_until};
use crate::harness::{Mount, VOLUME, run_ok};

const TOP: &str = "/sys/fs/cgroup";
/// As much as a server takes, and some.
const LIMIT_BYTES: u64 = 60 << 20;
/// Each takes a thread of the server's.
const CONNECTIONS: usize = 900;

/// A control group of the test's own, which is gone with its last process.
struct Group {
    dir: PathBuf,
    limit: &'static str,
}

impl Group {
    fn make() -> Option<Self> {
        let name = format!("cask-test-{}", std::process::id());
        let versions = [
            (format!("{TOP}/memory/{name}"), "memory.limit_in_bytes"),
            (format!("{TOP}/{name}"), "memory.max"),
        ];
        for (dir, limit) in versions {
            if fs::create_dir(&dir).is_ok() {
                let dir = PathBuf::from(dir);
                let group = Self { dir, limit };
                if group.dir.join(limit).exists() {
                    return Some(group);
                }
            }
        }
        eprintln!("SKIPPED: no control group can have a limit of memory here");
        None
    }

    fn set_limit(&self, bytes: &str) {
        fs::write(self.dir.join(self.limit), bytes).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let since = Instant::now();
        while fs::remove_dir(&self.dir).is_err() && since.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Has the command begin in the group.
fn within(group: &Group, command: &Command) -> Command {
    let mut inside = Command::new("sh");
    let script = r#"echo $$ >"$1/cgroup.procs"; shift; exec "$@""#;
    inside.args(["-ec", script, "sh"]).arg(&group.dir);
    inside.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        inside.env(key, value.unwrap_or_default());
    }
    inside
}

/// Asks for more than there is.
fn take_memory(mount: &Mount) {
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let Ok(Some(mut client)) = Client::connect(&mount.volume_dir()) else {
            return;
        };
        if client.status().is_err() {
            return;
        }
        held.push(client);
    }
}

#[test]
fn a_server_that_the_kernel_kills_for_memory_stays_down() {
    // The group is gone after what runs in it.
    let Some(group) = Group::make() else { return };
    let Some(mount) = Mount::new() else { return };
    fs::write(mount.path().join("file"), "safe").unwrap();
    mount.umount();
    let at = mount.path();
    let command = mount.command(&["mount", VOLUME, &at.to_string_lossy()]);
    run_ok(&mut within(&group, &command), 60);
    mount.sandbox().note_connections();
    group.set_limit(&LIMIT_BYTES.to_string());
    let since = Instant::now();
    let is_down = || inspected_while_dying(&mount).contains("lacked memory");
    while !is_down() {
        assert!(since.elapsed() < Duration::from_secs(60), "it goes on");
        // Longer than a server has to serve to be taken for sound.
        std::thread::sleep(Duration::from_millis(500));
        take_memory(&mount);
    }
    let error = fs::read(at.join("file")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EIO));
    mount.umount();
    mount.mount();
    assert_eq!(fs::read(at.join("file")).unwrap(), b"safe");
    wait_until("nobody is left in the group", || {
        fs::read_to_string(group.dir.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty())
    });
}
