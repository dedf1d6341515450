#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test of cask. Ends with the test runner's summary.
#
#   ./test.sh                  all tests, at most 35 minutes on 2 cores with the build
#   CASK_TEST_LONG=1 ./test.sh the long versions of the same tests (about two hours)
#   CASK_TEST_SEED=N           another seed for the random tests
#   CASK_BIN=PATH              another `cask` program for the mounted tests
#
# On a Debian machine, as root, nothing else is needed but Rust. Without root (or /dev/fuse, or Docker)
# the tests that need it say so and do nothing; with CI=true that is a failure.

set -euo pipefail
cd "$(dirname "$0")"

# The versions that the tests were written against.
TOOLS=(pjdfstest:pjdfstest:0.2.2 fsx:fsx:0.3.2 cargo-nextest:cargo-nextest:0.9.143
    cargo-deny:cargo-deny:0.20.2)
PACKAGES=(acl attr btrfs-progs busybox-static ca-certificates dbus debootstrap docker-compose docker.io e2fsprogs fuse3 gcc git jq
    libacl1-dev libc6-dev mount pkg-config podman postgresql procps python3 sqlite3 strace systemd tar uidmap
    util-linux)
SCRATCH=$(mktemp -d)
DOCKERD=

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

# pjdfstest acts as two users; PostgreSQL's comes with its package.
create_users() {
    is_root || return 0
    id tests >/dev/null 2>&1 || useradd --system --no-create-home --home-dir / \
        --shell /usr/sbin/nologin --user-group tests
}

check_machine() {
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

# Ends what this script started, and nothing else.
finish() {
    local status=$?
    if [ -n "$DOCKERD" ]; then
        kill "$DOCKERD" 2>/dev/null || true
        for _ in $(seq 100); do kill -0 "$DOCKERD" 2>/dev/null || break; sleep 0.1; done
    fi
    rm -rf "$SCRATCH"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

run_tests() {
    local profile=ci limit=1800
    [ "${CASK_TEST_LONG:-}" = 1 ] && profile=long limit=14400
    # The runner has a limit for each test; this one is for the runner. No pipe: its summary is the end.
    timeout --foreground --signal=INT --kill-after=60 "$limit" cargo nextest run --profile "$profile" "$@"
}

phase "packages" install_packages
phase "users" create_users
phase "machine" check_machine
phase "tools" install_tools
phase "format" cargo fmt --all --check
phase "dependencies" check_dependencies
phase "clippy" cargo clippy --quiet --all-targets -- -D warnings
phase "build" cargo build --quiet --all-targets
phase "docker" start_docker
phase "doc tests" cargo test --quiet --doc
say "== tests"
run_tests "$@"
