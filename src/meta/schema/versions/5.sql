-- The tables as the cask of version 5 made them.
CREATE TABLE inode (
        ino INTEGER PRIMARY KEY CHECK (ino > 0), born INTEGER NOT NULL,
        kind INTEGER NOT NULL, mode INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 4095),
        uid INTEGER NOT NULL, gid INTEGER NOT NULL,
        nlink INTEGER NOT NULL CHECK (nlink >= 0), size INTEGER NOT NULL CHECK (size >= 0),
        allocated INTEGER NOT NULL CHECK (allocated >= 0), rdev INTEGER NOT NULL,
        parent INTEGER NOT NULL, place INTEGER NOT NULL,
        atime INTEGER NOT NULL, atime_ns INTEGER NOT NULL,
        mtime INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        ctime INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
        target BLOB
    , request INTEGER) STRICT;
CREATE TABLE inode_past (
        ino INTEGER NOT NULL, born INTEGER NOT NULL,
        kind INTEGER NOT NULL, mode INTEGER NOT NULL,
        uid INTEGER NOT NULL, gid INTEGER NOT NULL,
        nlink INTEGER NOT NULL, size INTEGER NOT NULL,
        allocated INTEGER NOT NULL, rdev INTEGER NOT NULL,
        parent INTEGER NOT NULL, place INTEGER NOT NULL,
        atime INTEGER NOT NULL, atime_ns INTEGER NOT NULL,
        mtime INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        ctime INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
        target BLOB,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, born)
    ) STRICT, WITHOUT ROWID;
CREATE INDEX inode_past_died ON inode_past (died);
CREATE TABLE dentry (
        parent INTEGER NOT NULL, name BLOB NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
        born INTEGER NOT NULL, ino INTEGER NOT NULL, cookie INTEGER NOT NULL,
        PRIMARY KEY (parent, name)
    ) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX dentry_cookie ON dentry (parent, cookie);
CREATE TABLE dentry_past (
        parent INTEGER NOT NULL, name BLOB NOT NULL,
        born INTEGER NOT NULL, ino INTEGER NOT NULL, cookie INTEGER NOT NULL,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (parent, name, born)
    ) STRICT, WITHOUT ROWID;
CREATE INDEX dentry_past_cookie ON dentry_past (parent, cookie);
CREATE INDEX dentry_past_died ON dentry_past (died);
CREATE TABLE extent (
        ino INTEGER NOT NULL, off INTEGER NOT NULL CHECK (off >= 0), born INTEGER NOT NULL,
        len INTEGER NOT NULL CHECK (len > 0), chunk INTEGER NOT NULL, chunk_off INTEGER NOT NULL,
        PRIMARY KEY (ino, off)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE extent_past (
        ino INTEGER NOT NULL, off INTEGER NOT NULL, born INTEGER NOT NULL,
        len INTEGER NOT NULL, chunk INTEGER NOT NULL, chunk_off INTEGER NOT NULL,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, off, born)
    ) STRICT, WITHOUT ROWID;
CREATE INDEX extent_past_died ON extent_past (died);
CREATE TABLE xattr (
        ino INTEGER NOT NULL, name BLOB NOT NULL, born INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (ino, name)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE xattr_past (
        ino INTEGER NOT NULL, name BLOB NOT NULL, born INTEGER NOT NULL, value BLOB NOT NULL,
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, name, born)
    ) STRICT, WITHOUT ROWID;
CREATE INDEX xattr_past_died ON xattr_past (died);
CREATE TABLE chunk (
        id INTEGER PRIMARY KEY, hash BLOB NOT NULL CHECK (length(hash) = 32),
        segment INTEGER NOT NULL, off INTEGER NOT NULL,
        len INTEGER NOT NULL CHECK (len > 0), stored_len INTEGER NOT NULL,
        codec INTEGER NOT NULL, sums BLOB NOT NULL,
        refs INTEGER NOT NULL CHECK (refs > 0), shared INTEGER NOT NULL,
        live INTEGER NOT NULL CHECK (live BETWEEN 0 AND refs)
    ) STRICT;
CREATE UNIQUE INDEX chunk_hash ON chunk (hash) WHERE shared = 1;
CREATE TABLE snapshot (
        epoch INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
        numbers INTEGER NOT NULL, label TEXT NOT NULL DEFAULT '', held INTEGER NOT NULL DEFAULT 0
    ) STRICT;
CREATE TABLE purge (
        id INTEGER PRIMARY KEY, after INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
    ) STRICT;
CREATE TABLE revived (
        epoch INTEGER NOT NULL, ino INTEGER NOT NULL, PRIMARY KEY (epoch, ino)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE orphan (ino INTEGER PRIMARY KEY) STRICT;
CREATE TABLE setting (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tally (
        inodes INTEGER NOT NULL, extents INTEGER NOT NULL, logical INTEGER NOT NULL,
        head_chunks INTEGER NOT NULL, head_plain INTEGER NOT NULL, head_stored INTEGER NOT NULL,
        past_chunks INTEGER NOT NULL, past_plain INTEGER NOT NULL, past_stored INTEGER NOT NULL
    ) STRICT;
CREATE TABLE segment (
        id INTEGER PRIMARY KEY, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL
    ) STRICT;
CREATE TABLE pending (
        epoch INTEGER PRIMARY KEY, cut TEXT NOT NULL, ledger TEXT NOT NULL, ledger_dir BLOB NOT NULL,
        taken INTEGER NOT NULL DEFAULT 0
    ) STRICT;
CREATE TABLE copying (
        id INTEGER PRIMARY KEY, target INTEGER NOT NULL, off INTEGER NOT NULL CHECK (off >= 0),
        source INTEGER NOT NULL CHECK (source <> target), source_off INTEGER NOT NULL CHECK (source_off >= 0),
        len INTEGER NOT NULL CHECK (len > 0), bytes INTEGER NOT NULL CHECK (bytes >= 0)
    ) STRICT;
