# A user without rights, with Podman, in a mount and a process namespace of the test's: nothing outside of it changes.
# $1 is a directory with `home` in it; what is printed is what the test looks at.

set -e
if [ "$(id -u)" = 0 ]; then
    # The namespace of a user's Podman gets the mounts that are made later, as where systemd runs the host.
    mount --make-rshared /
    echo 'rootless:x:60123:60123::/mnt:/bin/sh' | cat /etc/passwd - >"$1/passwd"
    echo 'rootless:x:60123:' | cat /etc/group - >"$1/group"
    echo 'rootless:200000:65536' | tee "$1/subuid" >"$1/subgid"
    for name in passwd group subuid subgid; do
        [ -e "/etc/$name" ] || touch "/etc/$name"
        mount --bind "$1/$name" "/etc/$name"
    done
    mknod -m 666 "$1/fuse" c 10 229
    mount --bind "$1/fuse" /dev/fuse
    chown -R 60123:60123 "$1/home"
    mount --bind "$1/home" /mnt
    exec setpriv --reuid 60123 --regid 60123 --clear-groups sh "/mnt/rootless.sh" "$1"
fi

export HOME=/mnt XDG_RUNTIME_DIR=/mnt/run TMPDIR=/mnt/tmp PATH=/mnt/bin:$PATH CONTAINERS_CONF=/mnt/containers.conf
export CONTAINERS_STORAGE_CONF=/mnt/storage.conf
unset CASK_ROOT CONTAINER_HOST STORAGE_DRIVER STORAGE_OPTS
cd
podman import -q image.tar busybox >/dev/null
in_container() { podman run --rm "$@"; }

cask create bound >/dev/null
cask mount bound dir
echo of-the-host >dir/f
in_container -v /mnt/dir:/data busybox sh -ec 'cat /data/f; echo of-a-container >/data/g'
stat -c 'its owner is %u' dir/g
cat dir/g
in_container --user 5 -v /mnt/dir:/data busybox cat /data/f 2>/dev/null || echo another user may not
cask umount ./dir

# Root of the user's namespace is root for cask, too: it is told where the user's things are.
CASK_ROOT=/mnt/.local/share/cask podman unshare \
    cask docker serve --socket run/docker.sock --run-dir run/cask --linger-ms 300 2>plugin.log &
for _ in $(seq 100); do [ -e run/cask/podman.sock ] && break; sleep 0.1; done
podman volume create --driver cask -o uid=5 -o mode=0750 db
podman run -d --name first -v db:/data busybox sleep 1000 >/dev/null
in_container --user 5 -v db:/data busybox sh -ec 'echo by-5 >/data/f; stat -c "owned by %u" /data/f'
podman exec first cat /data/f
cask snapshot db@snap
podman rm -f -t 0 first >/dev/null
podman volume create --driver cask -o from=db@snap copy
in_container -v copy:/data busybox cat /data/f
podman volume rm copy db
cask ls -q
