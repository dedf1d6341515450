#!/bin/bash
# After kill -9 of the server the next one does not know which segments were not synced: its fsync does not sync them.
# Usage: reopen.sh CASK ; root, strace. Prints the files that were synced by an fsync after the remount.
set -eu
CASK=$1; root=$(mktemp -d); mnt=$root/mnt; mkdir "$mnt"
export CASK_ROOT=$root/store
trap 'umount -l "$mnt" 2>/dev/null || true; sleep 1; rm -rf "$root"' EXIT
"$CASK" create v >/dev/null; "$CASK" mount v "$mnt"
head -c 300000 /dev/urandom > "$mnt/f"          # close: written, committed; not synced
pid=$(grep -o '"pid":[0-9]*' "$CASK_ROOT/volumes/v/server.json" | cut -d: -f2 || true)
[ -n "${pid:-}" ] || pid=$(pgrep -f "serve --volume $CASK_ROOT/volumes/v")
kill -9 "$pid"; sleep 0.3; umount -l "$mnt" || true
"$CASK" mount v "$mnt"
pid=$(pgrep -f "serve --volume $CASK_ROOT/volumes/v")
strace -f -y -e trace=fsync,fdatasync,sync_file_range,syncfs -o "$root/trace" -p "$pid" & sleep 1
python3 - "$mnt/f" <<'PY'
import os,sys
f=os.open(sys.argv[1],os.O_RDWR); os.fsync(f); os.close(f)
PY
"$CASK" sync v
"$CASK" umount v
sleep 0.5; kill %1 2>/dev/null || true
echo "--- synced after the remount, until the clean close:"
grep -o '<[^>]*>' "$root/trace" | sort | uniq -c
cat "$CASK_ROOT/volumes/v/state"; echo
if grep -q 'segments/00000001.seg' "$root/trace"; then echo "OK: the segment was synced"; else echo "BUG: fsync, cask sync and a clean close returned 0, and segments/00000001.seg was never synced"; fi
ls -la "$CASK_ROOT/volumes/v"
