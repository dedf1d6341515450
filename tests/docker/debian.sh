#!/usr/bin/env bash
# Makes DIR/root.tar: a Debian with systemd, in which the package is tried. Needs root, debootstrap and a mirror.
#
#   tests/docker/debian.sh DIR

set -euo pipefail

dir=$1
mirror=$("$(dirname "$0")/mirror.sh")
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,fuse3,procps bookworm "$dir/root" \
    "$mirror" >"$dir/log" 2>&1 || { tail -n 20 "$dir/log" >&2; exit 1; }
rm -f "$dir"/root/var/cache/apt/archives/*.deb
tar --xattrs -C "$dir/root" -cf "$dir/root.tar" .
rm -rf "$dir/root" "$dir/log"
