#!/usr/bin/env bash
# Fills DIR with Docker and Compose of a newer Debian, to be run on this one from HOME/bin: each program names the
# loader and the libraries that came with it. Needs debootstrap, patchelf and a mirror.
#
#   tests/docker/newer-engine.sh HOME DIR [SUITE]    HOME: what DIR will be called in the end

set -euo pipefail

home=$1 dir=$2 suite=${3:-trixie}
mirror=$("$(dirname "$0")/mirror.sh")
# The first stage fetches packages, and runs nothing of them.
debootstrap --foreign --variant=minbase --include=containerd,docker.io,docker-cli,docker-compose,runc "$suite" \
    "$dir/root" "$mirror" >"$dir/log" 2>&1 || { tail -n 20 "$dir/log" >&2; exit 1; }
for package in "$dir"/root/var/cache/apt/archives/*.deb; do dpkg -x "$package" "$dir/root"; done

loader=$(readlink -f "$dir/root/usr/lib64/ld-linux-x86-64.so.2")
libraries=$dir/root/usr/lib/x86_64-linux-gnu
mkdir "$dir/bin" "$dir/lib"
cp "$loader" "$dir/lib/ld-linux-x86-64.so.2"
for program in bin/containerd bin/containerd-shim-runc-v2 bin/docker bin/docker-init sbin/docker-proxy sbin/dockerd \
    sbin/runc libexec/docker/cli-plugins/docker-compose; do
    program=$dir/root/usr/$program
    # A link leads nowhere from here.
    [ -e "$program" ] && [ ! -L "$program" ] || continue
    cp "$program" "$dir/bin/"
    patchelf --print-interpreter "$program" >/dev/null 2>&1 || continue
    "$loader" --library-path "$libraries" --list "$program" | awk '$3 ~ /^\// { print $3 }' | xargs -r cp -n -t "$dir/lib"
    patchelf --set-interpreter "$home/lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$home/lib" \
        "$dir/bin/${program##*/}"
done
rm -rf "$dir/root" "$dir/log"
