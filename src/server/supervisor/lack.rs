//! Whether the kernel killed a process for a lack of memory: it counts that for each control group.

use std::fs;
use std::path::Path;

/// Kills for a lack of memory in this process's control group, which is that of its servers, so far. Nothing where
/// the kernel does not tell.
///
/// Source: `memory.events` of cgroups(7) version 2, `memory.oom_control` of version 1; on a host that puts processes into
/// no group, `/proc/vmstat`.
pub(super) fn kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = candidates(&groups).into_iter();
    let files = files.chain([String::from("/proc/vmstat")]);
    let mut counts = files.filter_map(|file| count_in(&fs::read_to_string(Path::new(&file)).ok()?));
    counts.next()
}

/// The files that may tell, where hierarchies are usually mounted; in a container the group is the mount's root.
fn candidates(groups: &str) -> Vec<String> {
    let path = |hierarchy: &str| {
        let mut lines = groups.lines().filter_map(|line| line.split_once(hierarchy));
        lines.find_map(|(before, path)| before.bytes().all(|b| b.is_ascii_digit()).then_some(path))
    };
    let mut files = Vec::new();
    if let Some(path) = path(":memory:") {
        for path in [path, ""] {
            files.push(format!("/sys/fs/cgroup/memory{path}/memory.oom_control"));
        }
    }
    if let Some(path) = path("::") {
        for path in [path, ""] {
            for top in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                files.push(format!("{top}{path}/memory.events"));
            }
        }
    }
    files
}

fn count_in(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, count) = lines.find(|(key, _)| *key == "oom_kill")?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_count_is_read() {
        let version_2 = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 1\noom_group_kill 0\n";
        let version_1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n";
        assert_eq!(count_in(version_2), Some(1));
        assert_eq!(count_in(version_1), Some(7));
        assert_eq!(count_in("oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn the_group_is_looked_for_in_each_hierarchy() {
        let hybrid = "9:name=systemd:/s\n4:memory:/m\n3:cpu,cpuacct:/c\n0::/u\n";
        let files = candidates(hybrid);
        assert_eq!(files[0], "/sys/fs/cgroup/memory/m/memory.oom_control");
        assert!(files.contains(&"/sys/fs/cgroup/unified/u/memory.events".to_owned()));
        let unified = candidates("0::/system.slice/cask-volume-7.scope\n");
        let first = "/sys/fs/cgroup/system.slice/cask-volume-7.scope/memory.events";
        assert_eq!(unified[0], first);
    }
}
