#!/bin/bash
# A volume whose segment could not be synced is closed: the log, which is all that could undo the lost write, must stay.
# Usage: close_after_eio.sh CASK ; root, strace, python3
set -eu
CASK=$1; root=$(mktemp -d); mnt=$root/mnt; mkdir "$mnt"; export CASK_ROOT=$root/store; v=$CASK_ROOT/volumes/v
trap 'umount -l "$mnt" 2>/dev/null || true; sleep 1; rm -rf "$root"' EXIT
"$CASK" create v >/dev/null; "$CASK" mount v "$mnt"
pid=$(pgrep -f "serve --volume $v")
python3 - "$mnt/f" <<'PY'
import os,sys
f=os.open(sys.argv[1],os.O_CREAT|os.O_RDWR); os.write(f,b"A"*9000); os.fsync(f); print("A: fsync returned 0")
PY
strace -f -qq -o /dev/null -p "$pid" -P "$v/segments/00000001.seg" -e trace=fdatasync -e inject=fdatasync:error=EIO & sleep 1
python3 - "$mnt/f" <<'PY' || true
import os,sys
f=os.open(sys.argv[1],os.O_RDWR); os.write(f,b"B"*9000)
try: os.fsync(f); print("B: fsync returned 0")
except OSError as e: print("B:",e)
PY
"$CASK" umount v || echo "umount says $?"
sleep 0.5; kill %1 2>/dev/null || true
cat "$v/state"; echo; ls "$v"
if [ -s "$v/meta.db-wal" ]; then echo "OK: the log is there"; else
python3 - "$v/meta.db" <<'PY'
import sqlite3,sys
print("BUG: no log; meta.db itself names the unsynced chunk and A's is gone: (id, off, len)",
  sqlite3.connect("file:%s?immutable=1"%sys.argv[1],uri=True).execute("select id,off,len from chunk").fetchall())
PY
fi
