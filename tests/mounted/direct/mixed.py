"""Direct, buffered and mapped access to one file, mixed at random, each held against bytes in memory.

mixed.py DIR SECONDS SEED ENGINE

ENGINE says how direct requests are made: `sync`, `aio` (io_submit(2)) or `uring` (io_uring(7)). Other processes read
the file all the time, so that its pages are in the cache whenever a direct write ends. Exit 77: no such engine here.
"""

import ctypes
import errno
import mmap
import multiprocessing
import os
import random
import struct
import sys
import time

PAGE = 4096
PAGES = 64
SIZE = PAGE * PAGES
SYSTEM = ctypes.CDLL(None, use_errno=True)
IO_SETUP, IO_SUBMIT, IO_GETEVENTS, URING_SETUP, URING_ENTER = 206, 209, 208, 425, 426


def call(number, *arguments):
    result = SYSTEM.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def address(buffer):
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Sync:
    def run(self, fd, requests):
        """Each request: whether it writes, a page-aligned buffer, an offset. Returns how many bytes each moved."""
        return [(os.pwritev if writes else os.preadv)(fd, [buffer], at) for writes, buffer, at in requests]


class Aio:
    def __init__(self):
        self.context = ctypes.c_ulong(0)
        call(IO_SETUP, 64, ctypes.byref(self.context))

    def run(self, fd, requests):
        blocks = []
        for index, (writes, buffer, at) in enumerate(requests):
            fields = struct.pack(
                "<QIIHhIQQqQII", index, 0, 0, 1 if writes else 0, 0, fd, address(buffer), len(buffer), at, 0, 0, 0
            )
            blocks.append(ctypes.create_string_buffer(fields, 64))
        pointers = (ctypes.c_void_p * len(blocks))(*[ctypes.addressof(block) for block in blocks])
        assert call(IO_SUBMIT, self.context, len(blocks), pointers) == len(blocks)
        events = ctypes.create_string_buffer(32 * len(blocks))
        assert call(IO_GETEVENTS, self.context, len(blocks), len(blocks), events, None) == len(blocks)
        moved = {}
        for index in range(len(blocks)):
            data, _, result, _ = struct.unpack_from("<QQqq", events.raw, 32 * index)
            moved[data] = result
        return [moved[index] for index in range(len(blocks))]


class Uring:
    ENTRIES = 64

    def __init__(self):
        parameters = ctypes.create_string_buffer(120)
        self.fd = call(URING_SETUP, self.ENTRIES, parameters)
        fields = struct.unpack_from("<10I", parameters.raw, 40), struct.unpack_from("<10I", parameters.raw, 80)
        (_, self.sq_tail, sq_mask, _, _, _, sq_array, *_), (self.cq_head, self.cq_tail, cq_mask, _, _, cqes, *_) = fields
        sq_entries, cq_entries = struct.unpack_from("<2I", parameters.raw, 0)
        self.sq = mmap.mmap(self.fd, sq_array + 4 * sq_entries, offset=0)
        self.cq = mmap.mmap(self.fd, cqes + 16 * cq_entries, offset=0x8000000)
        self.sqes = mmap.mmap(self.fd, 64 * sq_entries, offset=0x10000000)
        self.sq_array, self.cqes = sq_array, cqes
        self.sq_mask, self.cq_mask = self.word(self.sq, sq_mask), self.word(self.cq, cq_mask)

    @staticmethod
    def word(memory, at):
        return struct.unpack_from("<I", memory, at)[0]

    def run(self, fd, requests):
        tail = self.word(self.sq, self.sq_tail)
        for index, (writes, buffer, at) in enumerate(requests):
            slot = (tail + index) & self.sq_mask
            opcode = 23 if writes else 22
            sqe = struct.pack("<BBHiQQIIQ", opcode, 0, 0, fd, at, address(buffer), len(buffer), 0, index)
            self.sqes[64 * slot : 64 * slot + 64] = sqe.ljust(64, b"\0")
            struct.pack_into("<I", self.sq, self.sq_array + 4 * slot, slot)
        struct.pack_into("<I", self.sq, self.sq_tail, (tail + len(requests)) & 0xFFFFFFFF)
        assert call(URING_ENTER, self.fd, len(requests), len(requests), 1, None, 0) == len(requests)
        moved = {}
        while len(moved) < len(requests):
            head = self.word(self.cq, self.cq_head)
            if head == self.word(self.cq, self.cq_tail):
                call(URING_ENTER, self.fd, 0, 1, 1, None, 0)
                continue
            data, result = struct.unpack_from("<Qi", self.cq, self.cqes + 16 * (head & self.cq_mask))
            moved[data] = result
            struct.pack_into("<I", self.cq, self.cq_head, (head + 1) & 0xFFFFFFFF)
        return [moved[index] for index in range(len(requests))]


def read_on(path, until):
    while time.time() < until:
        fd = os.open(path, os.O_RDONLY)
        os.pread(fd, SIZE, 0)
        os.close(fd)


class Mixed:
    def __init__(self, path, engine, chance):
        self.path, self.engine, self.chance = path, engine, chance
        self.direct = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_DIRECT, 0o600)
        self.cached = os.open(path, os.O_RDWR)
        self.expected = bytearray()
        self.truncate(SIZE)
        self.map = mmap.mmap(self.cached, SIZE)

    def fill(self, length):
        return bytes([self.chance.randrange(1, 256)]) * length

    def ranges(self):
        """Page-aligned ranges within the file, which do not touch each other."""
        pages = len(self.expected) // PAGE
        edges = sorted(self.chance.sample(range(pages + 1), min(pages + 1, 2 * self.chance.randrange(1, 5))))
        pairs = zip(edges[::2], edges[1::2])
        return [(first * PAGE, (end - first) * PAGE) for first, end in pairs]

    def write_direct(self):
        requests = []
        for at, length in self.ranges():
            buffer = mmap.mmap(-1, length)
            buffer[:] = self.fill(length)
            self.expected[at : at + length] = buffer[:]
            requests.append((True, buffer, at))
        if requests:
            moved = self.engine.run(self.direct, requests)
            assert moved == [len(buffer) for _, buffer, _ in requests], moved

    def write_cached(self):
        at = self.chance.randrange(SIZE - 1)
        data = self.fill(self.chance.randrange(1, min(3 * PAGE, SIZE - at) + 1))
        os.pwrite(self.cached, data, at)
        self.expected.extend(bytes(max(0, at + len(data) - len(self.expected))))
        self.expected[at : at + len(data)] = data

    def write_mapped(self):
        whole = len(self.expected) // PAGE * PAGE
        if whole:
            at = self.chance.randrange(whole)
            data = self.fill(min(100, whole - at))
            self.map[at : at + len(data)] = data
            self.expected[at : at + len(data)] = data

    def truncate(self, size=None):
        size = self.chance.randrange(SIZE + 1) if size is None else size
        os.ftruncate(self.cached, size)
        del self.expected[size:]
        self.expected.extend(bytes(size - len(self.expected)))

    def step(self):
        act = self.chance.choice(
            [self.write_direct] * 4 + [self.write_cached] * 2 + [self.write_mapped, self.truncate, self.grow, self.sync]
        )
        act()
        return act.__name__

    def grow(self):
        self.truncate(SIZE)

    def sync(self):
        os.fsync(self.cached)

    def differences(self):
        whole = len(self.expected) // PAGE * PAGE
        views = {"read": os.pread(self.cached, SIZE, 0), "mapping": self.map[:whole]}
        if whole:
            buffer = mmap.mmap(-1, whole)
            moved = self.engine.run(self.direct, [(False, buffer, 0)])
            views["direct read"] = buffer[: moved[0]]
        for view, seen in views.items():
            wanted = bytes(self.expected) if view == "read" else bytes(self.expected[:whole])
            if seen != wanted:
                stale = [at for at in range(0, SIZE, PAGE) if seen[at : at + PAGE] != wanted[at : at + PAGE]]
                yield f"{view}: {len(seen)} bytes for {len(wanted)}, other bytes in the pages at {stale}"


def main():
    directory, seconds, seed, name = sys.argv[1:]
    try:
        engine = {"sync": Sync, "aio": Aio, "uring": Uring}[name]()
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            print(f"no {name} here: {error}")
            sys.exit(77)
        raise
    path = os.path.join(directory, f"mixed-{name}")
    mixed = Mixed(path, engine, random.Random(int(seed)))
    until = time.time() + float(seconds)
    readers = [multiprocessing.Process(target=read_on, args=(path, until), daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    steps = 0
    while time.time() < until:
        act = mixed.step()
        steps += 1
        for difference in mixed.differences():
            sys.exit(f"seed {seed}, {name}, step {steps}, after {act}: {difference}")
    print(f"{name}: {steps} steps")


main()
