# A file's own times go backwards, and a file written after another was made looks older: the server stamps with the
# exact clock, the kernel (which owns the times of cached files) with the coarse one, up to a tick behind.
import os, sys
d = sys.argv[1]; back = older = 0
for i in range(500):
    p = f"{d}/t{i}"
    f = os.open(p, os.O_CREAT | os.O_WRONLY)
    a = os.fstat(f).st_mtime_ns
    os.write(f, b"x")
    b = os.fstat(f).st_mtime_ns
    back += b < a
    os.symlink("x", p + ".l")
    os.write(f, b"y")
    older += os.fstat(f).st_mtime_ns < os.lstat(p + ".l").st_mtime_ns
    os.close(f); os.unlink(p); os.unlink(p + ".l")
print(f"of 500: mtime went backwards {back} times; written after the link was made, and older than it: {older}")
