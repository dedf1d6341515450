//! Images without a registry: busybox, with a tool of these tests; and PostgreSQL, from this machine's packages.

use std::path::PathBuf;

use crate::harness::sh;
use crate::host::Host;

/// busybox, all its commands, and `/bin/tool`. It has no `/data`: Docker would give a new volume its owner and mode.
pub(crate) const BUSYBOX: &str = "busybox";
/// PostgreSQL, run as the user `postgres`.
pub(crate) const POSTGRESQL: &str = "postgresql";

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/docker/tool.c");

/// A directory with the root of the busybox image.
#[track_caller]
pub(crate) fn busybox_root(host: &Host) -> PathBuf {
    let root = host.sandbox().subdir("busybox");
    let script = r#"mkdir "$1/bin" "$1/tmp"; cp "$(command -v busybox)" "$1/bin/busybox"
        for name in $(busybox --list); do [ $name = busybox ] || ln -s busybox "$1/bin/$name"; done
        gcc -O2 -Wall -Werror -static -o "$1/bin/tool" "$2""#;
    sh(script, &[&root, TOOL.as_ref()]);
    root
}

/// Gives the host's dockerd the busybox image; returns its root.
#[track_caller]
pub(crate) fn import_busybox(host: &Host) -> PathBuf {
    let root = busybox_root(host);
    import(host, &root, BUSYBOX);
    root
}

/// Gives the host's dockerd what is below `root` as an image.
#[track_caller]
pub(crate) fn import(host: &Host, root: &std::path::Path, name: &str) {
    let tar = host.dir().join("image.tar");
    let script = r#"tar --xattrs --xattrs-include='*' --format=posix -C "$1" -cf "$2" ."#;
    sh(script, &[root, &tar]);
    host.docker_ok(&["import", tar.to_str().unwrap(), name]);
    std::fs::remove_file(tar).unwrap();
}

/// Gives the host's dockerd the image of PostgreSQL.
#[track_caller]
pub(crate) fn import_postgresql(host: &Host) {
    let root = host.sandbox().subdir("postgresql");
    let script = r#"bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1); version=$(basename $(dirname $bin))
        mkdir "$1"/{bin,tmp,etc,run}; chmod 1777 "$1/tmp"; cp "$(command -v busybox)" "$1/bin/busybox"
        for name in sh dd rm; do ln -s busybox "$1/bin/$name"; done
        programs=($bin/{postgres,initdb,pg_ctl,psql,pgbench})
        # The compiler for queries is larger than all the rest.
        libraries=$(ldd "${programs[@]}" ${bin%bin}lib/*.so | grep -o '/[^ ]*\.so[^ :]*' | sort -u | grep -vE 'LLVM|llvm|:$')
        tar -ch --exclude='llvmjit*' --exclude=bitcode "${programs[@]}" ${bin%bin}lib $libraries \
            /usr/share/postgresql/$version /usr/share/zoneinfo 2>"$1/tmp/tar" | tar -C "$1" -x
        ln -s $bin "$1/pg"; rm "$1/tmp/tar"
        echo postgres:x:70:70::/tmp:/bin/sh >"$1/etc/passwd"; echo postgres:x:70: >"$1/etc/group""#;
    sh(script, &[&root]);
    import(host, &root, POSTGRESQL);
}
