#!/bin/bash
# Runs the race_* tests of this folder with faults injected by strace. Usage: races.sh TEST_BINARY
T=$1
run() { # test, path below the volume, injection
    home=$(mktemp -d); REVIEW_MAKE=$home "$T" -q make_volume >/dev/null
    echo "=== $1"
    REVIEW_DIR=$home/v timeout 60 strace -f -qq -o /dev/null -P "$home/v/$2" -e trace="${3%%:*}" -e inject="$3" \
        "$T" --nocapture --exact "$1" 2>&1 | grep -E "took|fsync:|first:|returned|acknowledged|^test "
    rm -rf "$home"
}
run race_entry segments fsync:delay_exit=2000000
run race_error segments/00000001.seg fdatasync:error=EIO:delay_exit=2000000:when=3
echo "=== race_stop"
home=$(mktemp -d); REVIEW_MAKE=$home "$T" -q make_volume >/dev/null
REVIEW_DIR=$home/v REVIEW_GO=$home/go "$T" --nocapture --exact race_stop 2>&1 | grep -E "took|first:|acknowledged|^test " &
while ! [ -e "$home/go" ]; do sleep 0.05; done
timeout 20 strace -f -qq -o /dev/null -p "$(pgrep -f -- '--exact race_stop' | head -1)" -P "$home/v/meta.db-wal" -e trace=pwrite64 -e inject=pwrite64:error=EIO:delay_exit=2000000:when=200
wait; rm -rf "$home"
