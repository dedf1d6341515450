CASK=/tmp/target-review/release/cask; root=$(mktemp -d); mnt=$root/mnt; mkdir "$mnt"; export CASK_ROOT=$root/store
trap 'umount -l "$mnt" 2>/dev/null || true; sleep 1; rm -rf "$root"' EXIT
$CASK create v >/dev/null; $CASK mount v $mnt; chmod 755 $root; chmod 1777 $mnt; mkdir $root/plain
for d in $mnt $root/plain; do touch $d/a; chmod 666 $d/a; setfattr -n trusted.secretname -v x $d/a; echo $d; setpriv --reuid 12345 --regid 12345 --clear-groups getfattr -m - $d/a 2>&1 | grep -v Remov; done
# stat consistency vs ext4 after ops on other names
for d in $mnt $root/plain; do (cd $d; mkdir p q; echo x > p/f; ln p/f q/g; stat -c '%n %h' p/f q/g; ls -l p q >/dev/null; rm p/f; stat -c '%n %h' q/g; ln q/g p/f; ln q/g p/h; stat -c '%n %h' p/f q/g p/h; echo y > p/v; ln p/v q/w; stat -c '%h' q/w; mv p/h p/v; stat -c '%n %h' p/f q/g q/w p/v; mkdir p/d q/d2; stat -c '%n %h' p q; mv p/d q/d3; stat -c '%n %h' p q; mv -T q/d3 q/d2; stat -c '%n %h' p q; python3 - <<PY
import ctypes,os
l=ctypes.CDLL(None,use_errno=True)
print(l.renameat2(-100,b"q/d2",-100,b"p/f",2))
print([ (n,os.stat(n).st_nlink) for n in ("p","q","q/d2","p/f","q/g")])
# rename victim open; nlink 0
f=os.open("q/w",os.O_RDWR); os.rename("q/g","q/w"); print(os.fstat(f).st_nlink); 
d=os.open("p/f",os.O_DIRECTORY); os.rmdir("p/f"); print(os.fstat(d).st_nlink, os.stat("p").st_nlink)
try: os.link("/proc/self/fd/%d"%f,"back",follow_symlinks=True); print("linked")
except OSError as e: print("link:",e.strerror)
a=os.stat("p"); os.mkdir("p/z"); b=os.stat("p"); print(b.st_mtime_ns>a.st_mtime_ns, b.st_ctime_ns>a.st_ctime_ns)
PY
) > $root/out.$(basename $d) 2>&1; done; diff $root/out.mnt $root/out.plain && echo same; cat $root/out.mnt | tail -8
# concurrent stress for restart of log, with fsyncs
python3 - $mnt <<'PY'
import os,sys,threading,time,random
m=sys.argv[1]; stop=time.time()+12; n=[0]*8; err=[]
def w(k):
    r=random.Random(k)
    while time.time()<stop:
        p=f"{m}/s{k}-{r.randrange(300)}"
        try:
            f=os.open(p,os.O_CREAT|os.O_RDWR); os.pwrite(f,os.urandom(r.choice([10,5000,300000])),r.choice([0,4096,100000]))
            if r.random()<.1: os.fsync(f)
            os.close(f)
            if r.random()<.3: os.rename(p,f"{m}/s{k}-{r.randrange(300)}")
            if r.random()<.3: os.unlink(p)
        except FileNotFoundError: pass
        except OSError as e: err.append(repr(e))
        n[k]+=1
ts=[threading.Thread(target=w,args=(k,)) for k in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]; print(sum(n),err[:3])
PY
ls -la $CASK_ROOT/volumes/v | grep wal; tail -3 $CASK_ROOT/volumes/v/server.log
$CASK umount v; cat $CASK_ROOT/volumes/v/state
