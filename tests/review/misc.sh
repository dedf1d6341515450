#!/bin/bash
# Smaller things on a real mount. Usage: misc.sh CASK ; root, strace, python3, gcc not needed
CASK=$1; root=$(mktemp -d); mnt=$root/mnt; mkdir "$mnt"; export CASK_ROOT=$root/store; v=$CASK_ROOT/volumes/v
trap 'umount -l "$mnt" 2>/dev/null || true; sleep 1; rm -rf "$root"' EXIT
"$CASK" create v >/dev/null; "$CASK" mount v "$mnt"; chmod 755 "$root"; chmod 1777 "$mnt"
echo "--- root without CAP_FSETID truncates a set-uid file (ext4 clears the bit)"
for d in "$mnt" "$root"; do
    touch "$d/s"; echo hello > "$d/s"; chmod 4755 "$d/s"
    setpriv --inh-caps=-fsetid --bounding-set=-fsetid bash -c "truncate -s 2 '$d/s'"; stat -c '%a %n' "$d/s"
done
echo "--- an unprivileged process makes server.log grow"
ls -l "$v/server.log" | awk '{print $5}'
setpriv --reuid 12345 --regid 12345 --clear-groups /usr/bin/python3 - "$mnt/x" <<'PY'
import os,sys,time
p=sys.argv[1]; os.close(os.open(p,os.O_CREAT|os.O_RDWR))
os.setxattr(p,"user.a",b"x"*40000); t=time.time(); n=0
while time.time()-t<3:
    n+=1
    try: os.setxattr(p,"user.b",b"x"*40000)
    except OSError as e: pass
print(n,"calls in 3 s")
PY
ls -l "$v/server.log" | awk '{print $5}'; tail -2 "$v/server.log"
echo "--- listxattr of many names"
python3 - "$mnt/x" <<'PY'
import os,sys
p=sys.argv[1]; open(p,"a")
try: os.removexattr(p,"user.a")
except OSError: pass
for i in range(6900):
    try: os.setxattr(p,"user.%04d"%i,b"")
    except OSError as e: print(i,e); break
try: print(len(os.listxattr(p)))
except OSError as e: print("listxattr:",e)
PY
cp -a "$mnt/x" "$root/y"; 
echo "--- orphans after everything was forgotten"
mkdir "$mnt/d"; (cd "$mnt/d"; for i in $(seq 2000); do echo > f$i; done; ln f1 g1; mkdir sub; ln -s a b; mkfifo p; ls -la . >/dev/null; find . >/dev/null
 exec 5<f7; for i in $(seq 300); do cat f$i >/dev/null; mv f$i h$i; done; ls -l >/dev/null)
(cd "$mnt/d"; for k in 1 2 3; do ls -lR . >/dev/null & find . -newer f400 >/dev/null & done; wait)
rm -rf "$mnt/d"; echo 2 > /proc/sys/vm/drop_caches; sleep 2; "$CASK" sync v
cp "$v"/meta.db* "$root/"; python3 -c "
import sqlite3;c=sqlite3.connect('$root/meta.db');print('orphans',c.execute('select count(*) from orphan').fetchone(),'inodes',c.execute('select count(*) from inode').fetchone())"
echo "--- zero-length names, odd xattrs"
python3 - "$mnt" <<'PY'
import os,sys
m=sys.argv[1]
for n in ("user.","system.foo","trusted.x","security.x","user."+"a"*250):
    try: os.setxattr(m,n,b"v"); print(n[:20],"ok")
    except OSError as e: print(n[:20],e.strerror)
for val in (b"",b"\2\0\0\0",b"\2\0\0\0"+b"\xff"*8,b"\2\0\0\0"+b"\x01\0\x07\0\xff\xff\xff\xff"*3, b"\3\0\0\0"):
    try: os.setxattr(m,"system.posix_acl_access",val); print("acl ok")
    except OSError as e: print("acl",e.strerror)
PY
umount "$mnt"; sleep 1; cat "$v/state"
