#!/usr/bin/env python3
"""Restores a snapshot from a repository of cask, as a tar archive, without cask.

    restore.py REPOSITORY VOLUME[@SNAPSHOT] --key-file F | --passphrase-file F > out.tar

REPOSITORY is a directory, file:///DIRECTORY, or s3://BUCKET/PREFIX (--endpoint URL where the store is not AWS;
credentials from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION). VOLUME is a name or a uuid;
without SNAPSHOT it is the newest one. The format is that of ../remote-format.md; every piece is authenticated.

Needs Python 3.11, `cryptography` (44 for a passphrase) and `zstandard`. The archive is in the POSIX format with what
GNU tar adds (holes, extended attributes): tar --xattrs --xattrs-include='*' --numeric-owner -xpf out.tar, as root.
Memory grows with the number of files, and not with their size.
"""

import argparse
import datetime
import functools
import hashlib
import hmac
import io
import json
import os
import pathlib
import struct
import sys
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml
from bisect import bisect_left
from collections import defaultdict, namedtuple

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORMAT = 1
NEWER = {"run": 2, "snapshot": 2}  # the newest format of these kinds
KINDS = {"pack": 1, "run": 2, "index": 3, "snapshot": 4, "about": 5, "moved": 8}
TRAILER = 2**64 - 1
TAG = 16
PLAIN, ZSTD = 0, 2
# Numbers and texts in a row of each table.
COLUMNS = {"inode": (16, 1), "entry": (3, 1), "extent": (10, 0), "xattr": (1, 2)}
WINDOW = 4 << 20  # what is fetched of a pack at once
MOVES_MAX = 64  # how often chunks are moved at most
HOLE = 4096  # holes in the archive begin and end at multiples of this

Inode = namedtuple("Inode", "ino mode uid gid nlink size allocated rdev parent cookie "
                            "atime atime_ns mtime mtime_ns ctime ctime_ns target")
Extent = namedtuple("Extent", "ino off len chunk_off pack piece offset stored_len plain_len packing")


# The store: a directory, or a bucket. What is not there is a FileNotFoundError.

class Directory:
    def __init__(self, root):
        self.root = pathlib.Path(root)

    def get(self, name, start=0, length=-1):
        with open(self.root / name, "rb") as file:
            file.seek(start)
            return file.read(length)

    def list(self, prefix):
        found = (self.root / prefix).rglob("*")
        return [str(path.relative_to(self.root)) for path in found
                if path.is_file() and not path.name.startswith(".")]


class Bucket:
    def __init__(self, url, endpoint):
        parts = urllib.parse.urlsplit(url)
        env = os.environ.get
        self.region = env("AWS_REGION") or env("AWS_DEFAULT_REGION") or "us-east-1"
        self.base = (endpoint or f"https://s3.{self.region}.amazonaws.com").rstrip("/")
        self.bucket = parts.netloc
        self.prefix = "".join(part + "/" for part in parts.path.split("/") if part)
        self.access, self.secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
        self.token = env("AWS_SESSION_TOKEN")

    def request(self, key, query, headers):
        """A GET, signed: AWS Signature Version 4, without a body."""
        path = urllib.parse.quote(f"/{self.bucket}/{key}".rstrip("/"), safe="/-_.~")
        query = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote, safe="-_.~")
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        empty = hashlib.sha256(b"").hexdigest()
        signed = {"host": urllib.parse.urlsplit(self.base).netloc, "x-amz-content-sha256": empty, "x-amz-date": now}
        if self.token:
            signed["x-amz-security-token"] = self.token
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical = "\n".join(["GET", path, query, lines, names, empty])
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        sign = functools.partial(hmac.digest, digest="sha256")
        secret = functools.reduce(lambda key, part: sign(key, part.encode()), scope.split("/"),
                                  b"AWS4" + self.secret.encode())
        signature = sign(secret, text.encode()).hex()
        authorization = (f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
                         f"SignedHeaders={names}, Signature={signature}")
        url = f"{self.base}{path}" + (f"?{query}" if query else "")
        request = urllib.request.Request(url, headers={**signed, **headers, "authorization": authorization})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(f"{key} is not there") from error
            raise

    def get(self, name, start=0, length=-1):
        bounds = {} if length < 0 else {"range": f"bytes={start}-{start + length - 1}"}
        return self.request(self.prefix + name, {}, bounds)

    def list(self, prefix):
        found, query = [], {"list-type": "2", "prefix": f"{self.prefix}{prefix}/"}
        while True:
            page = xml.fromstring(self.request("", query, {}))
            keys = page.iterfind("{*}Contents/{*}Key")
            found += [key.text.removeprefix(self.prefix) for key in keys]
            if page.findtext("{*}IsTruncated") != "true":
                return found
            query["continuation-token"] = page.findtext("{*}NextContinuationToken")


# Objects, keys, and rows.

def derive(secret, salt, purpose):
    return HKDF(SHA256(), 32, salt, purpose.encode()).derive(secret)


def unseal(key, number, sealed, name, header=b""):
    try:
        return AESGCM(key).decrypt(bytes(4) + struct.pack(">Q", number), sealed, header)
    except InvalidTag:
        sys.exit(f"{name} is damaged: piece {number} is not what was stored")


def unpack(frame, limit):
    return zstandard.ZstdDecompressor().decompress(frame, max_output_size=limit)


def refuse_newer(found, name, known=FORMAT):
    if found > known:
        sys.exit(f"{name} has format {found}; this program knows formats up to {known}")


def varint(stream):
    number = shift = 0
    while True:
        byte = stream.read(1)[0]
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number


def numbers(stream, rows):
    """A column of numbers: differences, zigzag, modulo 2^64."""
    column, before = io.BytesIO(stream.read(varint(stream))), 0
    for _ in range(rows):
        zigzag = varint(column)
        before = (before + (zigzag >> 1 ^ -(zigzag & 1))) % 2**64
        yield before


def texts(stream, rows):
    """A column of texts: their lengths, then all of them."""
    lengths = list(numbers(stream, rows))
    column = io.BytesIO(stream.read(varint(stream)))
    return [column.read(length) for length in lengths]


class Repository:
    def __init__(self, store, secret, is_passphrase):
        self.store, self.gone = store, set()
        mark = json.loads(store.get("cask.json"))
        refuse_newer(mark["format"], "cask.json")
        self.master = self.find_key(mark["repository"], secret, is_passphrase)

    def find_key(self, repository, secret, is_passphrase):
        newer = None
        for name in self.store.list("keys"):
            wrapped = json.loads(self.store.get(name))
            if wrapped["format"] > FORMAT:
                newer = name
                continue
            salt, kdf = bytes.fromhex(wrapped["salt"]), wrapped["kdf"]
            if is_passphrase and "argon2id" in kdf:
                from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
                cost = kdf["argon2id"]
                key = Argon2id(salt=salt, length=32, iterations=cost["passes"], lanes=1,
                               memory_cost=cost["memory_kib"]).derive(secret)
            elif not is_passphrase and kdf == "hkdf_sha256":
                key = derive(secret, salt, "cask remote 1 key file")
            else:
                continue
            try:
                bound_to = f"cask remote 1 key of {repository}".encode()
                return AESGCM(key).decrypt(bytes(12), bytes.fromhex(wrapped["wrapped"]), bound_to)
            except InvalidTag:
                continue
        sys.exit("it is not a key of this repository" + (f", unless for {newer}, which is newer" if newer else ""))

    def key(self, kind, id):
        return derive(self.master, bytes.fromhex(id), f"cask remote 1 {kind}")

    def open(self, name, kind, data):
        """The id, the key and the trailer of an object."""
        if len(data) < 64 or data[:8] != b"CASKOBJ1":
            sys.exit(f"{name} is no object of cask")
        version, raw, length, id = struct.unpack("<8xIB3xI4x32s8x", data[:64])
        refuse_newer(version, name, NEWER.get(kind, FORMAT))
        if raw != KINDS[kind] or length > len(data) - 64:
            sys.exit(f"{name} is damaged: it is of another kind, or too short")
        key = self.key(kind, id.hex())
        return id.hex(), key, unseal(key, TRAILER, data[len(data) - length:], name, data[:64])

    def documents(self, directory, kind):
        """The objects of JSON below a directory, each beside its name."""
        for name in self.store.list(directory):
            yield name, json.loads(self.open(name, kind, self.store.get(name))[2])

    def find(self, wanted):
        """The published snapshot that VOLUME[@SNAPSHOT] means."""
        volume, _, snapshot = wanted.partition("@")
        known = [about["volume"] for name, about in self.documents("vol", "about")
                 if name == f"vol/{about['volume']}/about" and volume in (about["name"], about["volume"])]
        if not known and self.store.list(f"snap/{volume}"):
            known = [volume]  # what it was called is lost
        if len(known) != 1:
            sys.exit(f"there are {len(known)} volumes {volume}" + ("; name it by its uuid" if known else ""))
        found = [one for name, one in self.documents(f"snap/{known[0]}", "snapshot")
                 if name == f"snap/{one['volume']}/{one['id']}" and one["state"] == "published"
                 and snapshot in ("", one["name"])]
        if not found:
            sys.exit(f"there is no snapshot {wanted}")
        return max(found, key=lambda one: one["created"])

    @functools.lru_cache(2)
    def run(self, id):
        """All of a run, its key, and its trailer. Its format is in the header."""
        name = f"run/{id[:2]}/{id}"
        data = self.store.get(name)
        found, key, trailer = self.open(name, "run", data)
        if found != id:
            sys.exit(f"{name} is damaged: it is another run")
        return data, key, json.loads(trailer)

    @functools.lru_cache(16)
    def block(self, id, number):
        """The rows of one block of a run that lies above no other."""
        return [row for _, row in self.told(id, number)]

    @functools.lru_cache(16)
    def told(self, id, number):
        """The rows of one block of a run, each with whether it is gone: then only its key is told."""
        data, key, trailer = self.run(id)
        block = trailer["blocks"][number]
        sealed = data[block["offset"]:block["offset"] + block["bytes"]]
        stream = io.BytesIO(unpack(unseal(key, number, sealed, f"run {id}"), 256 << 20))
        count, (of_numbers, of_texts) = block["rows"], COLUMNS[block["table"]]
        is_delta = struct.unpack_from("<I", data, 8)[0] == 2
        gone = list(numbers(stream, count)) if is_delta else [0] * count
        columns = [list(numbers(stream, count)) for _ in range(of_numbers)]
        columns += [texts(stream, count) for _ in range(of_texts)]
        return list(zip(gone, zip(*columns)))

    @functools.lru_cache(8)
    def window(self, pack, number):
        return self.store.get(f"pack/{pack[:2]}/{pack}", number * WINDOW, WINDOW)

    @functools.lru_cache(64)
    def moved(self, pack):
        """Where the chunks of a pack are that was packed anew, by their pieces there; None if nothing tells."""
        name = f"moved/{pack}"
        try:
            data = self.store.get(name)
        except FileNotFoundError:
            return None
        body = self.open(name, "moved", data)[2]
        if body[:32].hex() != pack:
            sys.exit(f"{name} is damaged: it is of another pack")
        (count,) = struct.unpack_from("<I", body, 32)
        packs = [body[at:at + 32].hex() for at in range(36, 36 + 32 * count, 32)]
        return {old: (packs[number], *place) for old, number, *place
                in struct.iter_unpack("<6IB", body[36 + 32 * count:])}

    def bytes_of(self, extent, pack):
        """The bytes of a file that an extent stands for: of the pack that it names, or of where that was moved to."""
        for _ in range(MOVES_MAX):
            try:
                if pack not in self.gone:
                    return self.bytes_there(extent, pack)
            except FileNotFoundError:
                if self.moved(pack) is None:
                    raise
                self.gone.add(pack)
            moved = self.moved(pack)
            if extent.piece not in moved:
                sys.exit(f"moved/{pack} is damaged: it does not tell of piece {extent.piece}")
            pack, piece, offset, stored_len, plain_len, packing = moved[extent.piece]
            extent = extent._replace(piece=piece, offset=offset, stored_len=stored_len, plain_len=plain_len,
                                     packing=packing)
        sys.exit(f"pack {pack} is damaged: its chunks were moved again and again")

    def bytes_there(self, extent, pack):
        end = extent.offset + extent.stored_len + TAG
        first = extent.offset // WINDOW
        windows = b"".join(self.window(pack, number) for number in range(first, (end - 1) // WINDOW + 1))
        sealed = windows[extent.offset - first * WINDOW:end - first * WINDOW]
        chunk = unseal(self.key("pack", pack), extent.piece, sealed, f"pack {pack}")
        if extent.packing == ZSTD:
            chunk = unpack(chunk, extent.plain_len)
        elif extent.packing != PLAIN:
            sys.exit(f"pack {pack}: piece {extent.piece} is packed in an unknown way")
        found = chunk[extent.chunk_off:extent.chunk_off + extent.len]
        if len(chunk) != extent.plain_len or len(found) != extent.len:
            sys.exit(f"pack {pack} is damaged: piece {extent.piece} has another length than was stored")
        return found


class Tree:
    """The rows of a snapshot. Extents stay where they are: in the blocks of runs; those of deltas are held."""

    def __init__(self, repository, snapshot):
        self.repository = repository
        self.inodes, self.entries, self.xattrs, self.blocks = {}, defaultdict(dict), defaultdict(dict), []
        self.changed = defaultdict(dict)  # extents of deltas by file and place; None where one is gone
        for run in (run["id"] for run in snapshot["runs"]):
            for number, block in enumerate(repository.run(run)[2]["blocks"]):
                rows = repository.block(run, number)
                if block["table"] == "extent":
                    self.blocks.append((rows[-1][0], run, number))  # by the last file in it
                else:
                    self.take(block["table"], [(0, row) for row in rows])
        # The newest last: what it tells takes the place of what was told before.
        for run in (run["id"] for delta in snapshot.get("deltas", []) for run in delta):
            packs = repository.run(run)[2]["packs"]
            for number, block in enumerate(repository.run(run)[2]["blocks"]):
                rows = repository.told(run, number)
                if block["table"] == "extent":
                    for gone, row in rows:
                        self.changed[row[0]][row[1]] = None if gone else (Extent(*row), packs[row[4]])
                else:
                    self.take(block["table"], rows)
        if snapshot.get("deltas") and len(self.inodes) != snapshot["inodes"]:
            sys.exit(f"snapshot {snapshot['name']} is damaged: its runs have other inodes than were pushed")

    def take(self, table, rows):
        for gone, row in rows:
            match table:
                case "inode":
                    rows_of, key, value = self.inodes, row[0], Inode(*row)
                case "entry":
                    rows_of, key, value = self.entries[row[0]], row[3], row[1]
                case "xattr":
                    rows_of, key, value = self.xattrs[row[0]], row[1], row[2]
            if gone:
                rows_of.pop(key, None)
            else:
                rows_of[key] = value

    def extents(self, ino):
        """The extents of a file in their order, each with the pack that it is in."""
        changed = self.changed.get(ino, {})
        waiting = sorted(place for place, told in changed.items() if told)[::-1]
        for extent, pack in self.unchanged(ino):
            while waiting and waiting[-1] < extent.off:
                yield changed[waiting.pop()]
            if extent.off not in changed:
                yield extent, pack
        while waiting:
            yield changed[waiting.pop()]

    def unchanged(self, ino):
        """Those that were there before all deltas."""
        for _, run, number in self.blocks[bisect_left(self.blocks, (ino,)):]:
            rows = self.repository.block(run, number)
            for row in rows[bisect_left(rows, (ino,)):]:
                if row[0] != ino:
                    return
                extent = Extent(*row)
                yield extent, self.repository.run(run)[2]["packs"][extent.pack]

    def walk(self):
        """Every name with its inode, a directory before what is in it."""
        waiting = [(b"", 1)]
        while waiting:
            path, ino = waiting.pop()
            inode = self.inodes[ino]
            yield path, inode
            if inode.mode & 0o170000 == 0o040000:
                prefix = path + b"/" if path else b""
                waiting += [(prefix + name, child) for name, child in sorted(self.entries[ino].items(), reverse=True)]


# The archive.

TYPES = {0o100000: b"0", 0o120000: b"2", 0o020000: b"3", 0o060000: b"4", 0o040000: b"5", 0o010000: b"6"}
OCTAL_MAX = 0o77777777777


def seconds(secs, nanos):
    """A time as text: below zero, digits count away from zero."""
    total = (secs - 2**64 if secs >= 2**63 else secs) * 10**9 + nanos
    return f"{'-' if total < 0 else ''}{abs(total) // 10**9}.{abs(total) % 10**9:09}".encode()


def record(key, value):
    """A record of an extended header, which counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def pad(length):
    return bytes(-length % 512)


def header(kind, path=b"", link=b"", size=0, inode=None):
    """A block of ustar; what does not fit is in records before it."""
    def octal(number, digits):
        return b"%0*o\0" % (digits, number if 0 <= number < 8**digits else 0)
    mode, uid, gid = (inode.mode & 0o7777, inode.uid, inode.gid) if inode else (0, 0, 0)
    mtime = inode.mtime if inode and inode.mtime < 2**63 else 0
    device = (os.major(inode.rdev), os.minor(inode.rdev)) if kind in (b"3", b"4") else (0, 0)
    fields = [path[:100].ljust(100, b"\0"), octal(mode, 7), octal(uid, 7), octal(gid, 7), octal(size, 11),
              octal(min(mtime, OCTAL_MAX), 11), b" " * 8, kind, link[:100].ljust(100, b"\0"), b"ustar\00000", bytes(64),
              octal(device[0], 7), octal(device[1], 7), bytes(167)]
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


class Archive:
    def __init__(self, tree, out):
        self.tree, self.out, self.linked = tree, out, {}

    def write(self):
        for path, inode in self.tree.walk():
            kind = TYPES.get(inode.mode & 0o170000)
            if kind is None:
                print(f"{os.fsdecode(path)}: a tar archive holds no sockets", file=sys.stderr)
            elif inode.ino in self.linked:
                self.entry(b"1", path, inode, [], link=self.linked[inode.ino])
            elif kind == b"0":
                self.file(path, inode)
            else:
                self.entry(kind, (path or b".") + (b"/" if kind == b"5" else b""), inode, self.records(inode),
                           link=inode.target)
            if inode.nlink > 1 and kind != b"5":
                self.linked.setdefault(inode.ino, path)
        self.out.write(bytes(1024))

    def records(self, inode):
        found = [(b"mtime", seconds(inode.mtime, inode.mtime_ns)), (b"atime", seconds(inode.atime, inode.atime_ns))]
        found += [(key, b"%d" % id) for key, id in ((b"uid", inode.uid), (b"gid", inode.gid)) if id > 0o7777777]
        for name, value in sorted(self.tree.xattrs[inode.ino].items()):
            name = name.replace(b"%", b"%25").replace(b"=", b"%3D")
            found.append((b"SCHILY.xattr." + name, value))
        return found

    def entry(self, kind, path, inode, records, link=b"", size=0):
        if len(path) > 100 or not path.isascii():
            records = records + [(b"path", path)]
        if len(link) > 100 or not link.isascii():
            records = records + [(b"linkpath", link)]
        if size > OCTAL_MAX:
            records = records + [(b"size", b"%d" % size)]
        if records:
            data = b"".join(record(key, value) for key, value in records)
            self.out.write(header(b"x", size=len(data)) + data + pad(len(data)))
        self.out.write(header(kind, path, link, size, inode))

    def runs(self, inode):
        """Where a file has data, in blocks: what is between is a hole."""
        start = end = 0
        for extent, _ in self.tree.extents(inode.ino):
            first = extent.off - extent.off % HOLE
            if first > end:
                if end > start:
                    yield start, end
                start = first
            end = min(extent.off + extent.len + -(extent.off + extent.len) % HOLE, inode.size)
        if end > start:
            yield start, end

    def file(self, path, inode):
        """A file; one with holes in the form 1.0 of GNU tar, whose data begin with a map."""
        records, stored, map_bytes, count = self.records(inode), 0, 0, 1
        line = b"%d\n%d\n"
        for start, end in self.runs(inode):
            stored, count = stored + end - start, count + 1
            map_bytes += len(line % (start, end - start))
        if stored == inode.size:
            self.entry(b"0", path, inode, records, size=stored)
        else:
            # The last run, an empty one, tells GNU tar the size.
            first, last = b"%d\n" % count, line % (inode.size, 0)
            map_bytes += len(first) + len(last)
            records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", path),
                        (b"GNU.sparse.realsize", b"%d" % inode.size)]
            stored += map_bytes + len(pad(map_bytes))
            self.entry(b"0", path, inode, records, size=stored)
            self.out.write(first)
            for start, end in self.runs(inode):
                self.out.write(line % (start, end - start))
            self.out.write(last + pad(map_bytes))
        self.data(inode)
        self.out.write(pad(stored))

    def data(self, inode):
        """The bytes of a file, without its holes."""
        at = 0
        for extent, pack in self.tree.extents(inode.ino):
            rest = min(-at % HOLE, inode.size - at, extent.off - at)
            self.out.write(bytes(rest))
            # Either in the same block now, or behind a hole.
            first = max(at + rest, extent.off - extent.off % HOLE)
            self.out.write(bytes(extent.off - first) + self.tree.repository.bytes_of(extent, pack))
            at = extent.off + extent.len
        self.out.write(bytes(min(-at % HOLE, inode.size - at)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository")
    parser.add_argument("snapshot", metavar="VOLUME[@SNAPSHOT]")
    secret = parser.add_mutually_exclusive_group(required=True)
    secret.add_argument("--key-file", type=pathlib.Path)
    secret.add_argument("--passphrase-file", type=pathlib.Path, help="its first line is the passphrase")
    parser.add_argument("--endpoint", help="the URL of an S3 store that is not AWS")
    parser.add_argument("-o", "--output", help="where the archive goes; otherwise to standard output")
    given = parser.parse_args()
    if given.repository.startswith("s3://"):
        store = Bucket(given.repository, given.endpoint)
    else:
        store = Directory(given.repository.removeprefix("file://"))
    key = (given.key_file or given.passphrase_file).read_bytes()
    if given.passphrase_file:
        key = key.split(b"\n")[0]
    try:
        repository = Repository(store, key, given.passphrase_file is not None)
        tree = Tree(repository, repository.find(given.snapshot))
        with open(given.output, "wb") if given.output else sys.stdout.buffer as out:
            Archive(tree, out).write()
    except (OSError, urllib.error.HTTPError) as error:
        sys.exit(f"cannot read or write: {error}")


if __name__ == "__main__":
    main()
