set -eu
CASK=/tmp/target-review/release/cask; root=$(mktemp -d); mnt=$root/mnt; mkdir $mnt; export CASK_ROOT=$root/store
trap 'umount -l "$mnt" 2>/dev/null || true; sleep 1; rm -rf "$root"' EXIT
$CASK create v >/dev/null; $CASK mount v $mnt
python3 /work/wt-review/tests/review/mtime.py $mnt
mkdir /tmp/rv_plain; python3 /work/wt-review/tests/review/mtime.py /tmp/rv_plain; rm -r /tmp/rv_plain
setfattr -n user.cask.dir -v mine $mnt; getfattr -n user.cask.dir --only-values $mnt; echo; getfattr -d -m - $mnt
chmod 755 $root; setpriv --reuid 12345 --clear-groups getfattr -n user.cask.dir --only-values $mnt; echo
find $CASK_ROOT -printf '%m %y %p\n'
