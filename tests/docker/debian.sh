#!/usr/bin/env bash
# Makes DIR/root.tar: a Debian with systemd, in which the package is tried. Needs root, debootstrap and a mirror.
#
#   tests/docker/debian.sh DIR

set -euo pipefail

dir=$1
mirror=$(grep -hvE '^ *#' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null \
    | grep -oE 'https?://[^ ]+' | grep -v security | head -n 1 || true)
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,fuse3,procps bookworm "$dir/root" \
    "${mirror:-http://deb.debian.org/debian}" >"$dir/log" 2>&1 || { tail -n 20 "$dir/log" >&2; exit 1; }
rm -f "$dir"/root/var/cache/apt/archives/*.deb
tar --xattrs -C "$dir/root" -cf "$dir/root.tar" .
rm -rf "$dir/root" "$dir/log"
