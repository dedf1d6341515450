//! How the tables are made (docs/format.md explains each).
//!
//! SQLite stores a declaration as it is written, on the first pages, and a salvage takes those from a new database: so
//! neither the lines nor the order of what is here may change.

use super::text::sql;

/// The tables that version 1 had, as a new database has them.
pub(super) const FIRST: &str = sql!(
    "
    CREATE TABLE inode (
        {inode head}
    ) STRICT;
    CREATE TABLE inode_past (
        {inode past},
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX inode_past_died ON inode_past (died);

    CREATE TABLE dentry (
        {dentry head},
        PRIMARY KEY (parent, name)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX dentry_cookie ON dentry (parent, cookie);
    CREATE TABLE dentry_past (
        {dentry past},
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (parent, name, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX dentry_past_cookie ON dentry_past (parent, cookie);
    CREATE INDEX dentry_past_died ON dentry_past (died);

    CREATE TABLE extent (
        {extent head},
        PRIMARY KEY (ino, off)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE extent_past (
        {extent past},
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, off, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX extent_past_died ON extent_past (died);

    CREATE TABLE xattr (
        {xattr head},
        PRIMARY KEY (ino, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE xattr_past (
        {xattr past},
        died INTEGER NOT NULL CHECK (died > born),
        PRIMARY KEY (ino, name, born)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX xattr_past_died ON xattr_past (died);

    CREATE TABLE chunk (
        {chunk head}
    ) STRICT;
    CREATE UNIQUE INDEX chunk_hash ON chunk (hash) WHERE shared = 1;

    CREATE TABLE snapshot (
        {snapshot head}
    ) STRICT;
    CREATE TABLE purge (
        {purge head}
    ) STRICT;
    CREATE TABLE revived (
        {revived head}, PRIMARY KEY (epoch, ino)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE orphan ({orphan head}) STRICT;
    CREATE TABLE setting ({setting head}) STRICT, WITHOUT ROWID;
    INSERT INTO setting ({setting}) VALUES ('numbers', 3), ('epoch', 1), ('checkpoints', 0);
"
);

/// Counts that are kept from one open to the next, and group snapshots that are not done with.
pub(super) const COUNTS_AND_CUTS: &str = sql!(
    "
    CREATE TABLE tally (
        {tally head}
    ) STRICT;
    CREATE TABLE segment (
        {segment head}
    ) STRICT;
    CREATE TABLE pending (
        {pending head}
    ) STRICT;
    INSERT INTO setting ({setting}) VALUES ('counted', 0);
"
);

/// With an inode, the last request that changed its entries or attributes. The history has no such column.
pub(super) const REQUESTS: &str = "
    ALTER TABLE inode ADD COLUMN request INTEGER;
";

/// Copies whose extents are still to be written.
pub(super) const COPIES: &str = sql!(
    "
    CREATE TABLE copying (
        {copying head}
    ) STRICT;
"
);

/// Made when there is first something to say (`tables::refused`).
pub(in crate::meta) const REFUSED: &str = sql!(
    "
    CREATE TABLE refused (
        {refused head}, PRIMARY KEY (ino, off)
    ) STRICT, WITHOUT ROWID"
);
