#!/usr/bin/env bash
# Makes the image rust:1-bookworm where no image registry can be reached.
#
#   tests/docker-base-image.sh [NAME]        NAME is rust:1-bookworm unless given
#
# The system comes from debootstrap and the mirror that this machine's apt uses, the Rust toolchain is
# this machine's own. Needs root, Docker and debootstrap; takes a minute or two. Does nothing when there
# is such an image already.

set -euo pipefail

NAME=${1:-rust:1-bookworm}
SUITE=bookworm
# What of the real image (buildpack-deps) a build of cask needs.
PACKAGES=ca-certificates,gcc,g++,make,libc6-dev,git,pkg-config,curl

if docker image inspect "$NAME" >/dev/null 2>&1; then
    echo "$NAME is there already" >&2
    exit 0
fi

cd "$(dirname "$0")/.."
# With rust-toolchain.toml in sight this is the pinned toolchain.
toolchain=$(rustc --print sysroot)
mirror=$(grep -hvE '^ *#' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null \
    | grep -oE 'https?://[^ ]+' | grep -v security | head -n 1 || true)
mirror=${mirror:-http://deb.debian.org/debian}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

echo "debootstrap $SUITE from $mirror" >&2
debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$dir" "$mirror" >"$dir.log" 2>&1 \
    || { tail -n 20 "$dir.log" >&2; exit 1; }
rm -f "$dir.log"
rm -rf "$dir"/var/cache/apt/archives/*.deb

echo "copying $toolchain" >&2
mkdir -p "$dir/usr/local/rust" "$dir/usr/local/cargo/bin"
tar -C "$toolchain" --exclude=share/doc --exclude=lib/rustlib/src -c . | tar -C "$dir/usr/local/rust" -x

# This machine's way to its registries, if it has one of its own: whom it trusts, and cargo's settings.
cp /etc/ssl/certs/ca-certificates.crt "$dir/etc/ssl/certs/ca-certificates.crt"
cp -r /usr/local/share/ca-certificates/. "$dir/usr/local/share/ca-certificates/"
[ ! -e "${CARGO_HOME:-$HOME/.cargo}/config.toml" ] || cp "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$dir/usr/local/cargo/"

tar -C "$dir" -c . | docker import \
    --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV CARGO_HOME=/usr/local/cargo' \
    - "$NAME"
