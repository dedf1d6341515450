//! Every table's columns, in their order. Nowhere else stands a list of them: statements are filled in by `sql!`.
//!
//! What each column means: docs/format.md. A column that is added needs a step in `schema::upgrade`.

/// A column.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Its type and constraints in the head, or in a table that has no history.
    pub(super) head: &'static str,
    /// The same in the history.
    pub(super) past: &'static str,
    /// What SQLite checks when a row of the head is written.
    pub(super) check: &'static str,
    /// The condition, behind its name, for a value that no cask writes: nobody can read the row then.
    pub(super) nonsense: &'static str,
    /// Whether the history has none, and so lists that go there do not.
    pub(super) is_head_only: bool,
}

/// A table, or a pair of one for the head and one for the history.
pub(in crate::meta) struct Table {
    pub(super) name: &'static str,
    /// Its columns, as the lines of its declaration have them.
    pub(super) lines: &'static [&'static [Column]],
}

const fn column(name: &'static str, declared: &'static str) -> Column {
    Column {
        name,
        head: declared,
        past: declared,
        check: "",
        nonsense: "",
        is_head_only: false,
    }
}

const fn int(name: &'static str) -> Column {
    column(name, "INTEGER NOT NULL")
}

const fn key(name: &'static str) -> Column {
    Column {
        head: "INTEGER PRIMARY KEY",
        ..int(name)
    }
}

const fn blob(name: &'static str) -> Column {
    column(name, "BLOB NOT NULL")
}

impl Column {
    const fn check(self, check: &'static str) -> Self {
        Self { check, ..self }
    }

    const fn nonsense(self, nonsense: &'static str) -> Self {
        Self { nonsense, ..self }
    }

    const fn head_only(self) -> Self {
        Self {
            is_head_only: true,
            ..self
        }
    }
}

const NO_U32: &str = "NOT BETWEEN 0 AND 4294967295";
const NO_NANOS: &str = "NOT BETWEEN 0 AND 999999999";
const NEGATIVE: &str = "< 0";

pub(in crate::meta) const INODE: Table = Table {
    name: "inode",
    lines: &[
        &[key("ino").check("ino > 0"), int("born")],
        &[
            int("kind").nonsense("NOT IN (4096, 8192, 16384, 24576, 32768, 40960, 49152)"),
            int("mode")
                .check("mode BETWEEN 0 AND 4095")
                .nonsense("NOT BETWEEN 0 AND 4095"),
        ],
        &[int("uid").nonsense(NO_U32), int("gid").nonsense(NO_U32)],
        &[
            int("nlink").check("nlink >= 0").nonsense(NO_U32),
            int("size").check("size >= 0").nonsense(NEGATIVE),
        ],
        &[
            int("allocated").check("allocated >= 0").nonsense(NEGATIVE),
            int("rdev").nonsense(NO_U32),
        ],
        &[int("parent"), int("place")],
        &[int("atime"), int("atime_ns").nonsense(NO_NANOS)],
        &[int("mtime"), int("mtime_ns").nonsense(NO_NANOS)],
        &[int("ctime"), int("ctime_ns").nonsense(NO_NANOS)],
        &[column("target", "BLOB")],
        &[column("request", "INTEGER").head_only()],
    ],
};

const DENTRY: Table = Table {
    name: "dentry",
    lines: &[
        &[
            int("parent"),
            blob("name").check("length(name) BETWEEN 1 AND 255"),
        ],
        &[int("born"), int("ino"), int("cookie")],
    ],
};

const EXTENT: Table = Table {
    name: "extent",
    lines: &[
        &[int("ino"), int("off").check("off >= 0"), int("born")],
        &[int("len").check("len > 0"), int("chunk"), int("chunk_off")],
    ],
};

const XATTR: Table = Table {
    name: "xattr",
    lines: &[&[int("ino"), blob("name"), int("born"), blob("value")]],
};

const CHUNK: Table = Table {
    name: "chunk",
    lines: &[
        &[key("id"), blob("hash").check("length(hash) = 32")],
        &[
            int("segment").nonsense(NO_U32),
            int("off").nonsense(NEGATIVE),
        ],
        &[
            int("len")
                .check("len > 0")
                .nonsense("NOT BETWEEN 1 AND 1048576"),
            int("stored_len").nonsense("NOT BETWEEN 0 AND 1048576"),
        ],
        &[int("codec").nonsense("NOT IN (0, 1, 2)"), blob("sums")],
        &[int("refs").check("refs > 0"), int("shared")],
        &[int("live").check("live BETWEEN 0 AND refs")],
    ],
};

const SNAPSHOT: Table = Table {
    name: "snapshot",
    lines: &[
        &[
            key("epoch"),
            column("name", "TEXT NOT NULL UNIQUE"),
            int("created"),
        ],
        &[
            int("numbers"),
            column("label", "TEXT NOT NULL DEFAULT ''"),
            column("held", "INTEGER NOT NULL DEFAULT 0"),
        ],
    ],
};

const PURGE: Table = Table {
    name: "purge",
    lines: &[&[key("id"), int("after"), int("first"), int("last")]],
};

const REVIVED: Table = Table {
    name: "revived",
    lines: &[&[int("epoch"), int("ino")]],
};

const ORPHAN: Table = Table {
    name: "orphan",
    lines: &[&[key("ino")]],
};

const SETTING: Table = Table {
    name: "setting",
    lines: &[&[column("key", "TEXT PRIMARY KEY"), int("value")]],
};

const TALLY: Table = Table {
    name: "tally",
    lines: &[
        &[int("inodes"), int("extents"), int("logical")],
        &[int("head_chunks"), int("head_plain"), int("head_stored")],
        &[int("past_chunks"), int("past_plain"), int("past_stored")],
    ],
};

const SEGMENT: Table = Table {
    name: "segment",
    lines: &[&[key("id"), int("chunks"), int("bytes")]],
};

const PENDING: Table = Table {
    name: "pending",
    lines: &[
        &[
            key("epoch"),
            column("cut", "TEXT NOT NULL"),
            column("ledger", "TEXT NOT NULL"),
            blob("ledger_dir"),
        ],
        &[column("taken", "INTEGER NOT NULL DEFAULT 0")],
    ],
};

const COPYING: Table = Table {
    name: "copying",
    lines: &[
        &[key("id"), int("target"), int("off").check("off >= 0")],
        &[
            int("source").check("source <> target"),
            int("source_off").check("source_off >= 0"),
        ],
        &[
            int("len").check("len > 0"),
            int("bytes").check("bytes >= 0"),
        ],
    ],
};

const REFUSED: Table = Table {
    name: "refused",
    lines: &[
        &[
            int("ino"),
            int("off").check("off >= 0"),
            int("end").check("end > off"),
        ],
        &[int("full").check("full IN (0, 1)")],
    ],
};

/// Those that have a history: a table of the same name and `_past`, with `died` behind the other columns.
#[cfg(test)]
pub(super) const WITH_HISTORY: [&Table; 4] = [&INODE, &DENTRY, &EXTENT, &XATTR];

const ALL: [&Table; 15] = [
    &INODE, &DENTRY, &EXTENT, &XATTR, &CHUNK, &SNAPSHOT, &PURGE, &REVIVED, &ORPHAN, &SETTING,
    &TALLY, &SEGMENT, &PENDING, &COPYING, &REFUSED,
];

/// The table of this name.
pub(super) const fn table(name: &[u8]) -> &'static Table {
    let mut i = 0;
    while i < ALL.len() {
        if equal(ALL[i].name.as_bytes(), name) {
            return ALL[i];
        }
        i += 1;
    }
    panic!("there is no such table")
}

impl Table {
    /// How many columns its lists have.
    pub(in crate::meta) const fn width(&self) -> usize {
        let (mut width, mut line) = (0, 0);
        while line < self.lines.len() {
            let mut i = 0;
            while i < self.lines[line].len() {
                if !self.lines[line][i].is_head_only {
                    width += 1;
                }
                i += 1;
            }
            line += 1;
        }
        width
    }

    /// Where in its lists a column stands, from 0 on.
    pub(in crate::meta) const fn position(&self, name: &str) -> usize {
        match self.find(name.as_bytes()) {
            Some(at) => at,
            None => panic!("there is no such column"),
        }
    }

    pub(super) const fn find(&self, name: &[u8]) -> Option<usize> {
        let (mut at, mut line) = (0, 0);
        while line < self.lines.len() {
            let mut i = 0;
            while i < self.lines[line].len() {
                if equal(self.lines[line][i].name.as_bytes(), name) {
                    return Some(at);
                }
                at += 1;
                i += 1;
            }
            line += 1;
        }
        None
    }
}

// Operators of traits cannot be used while cask is compiled.
const fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut i = 0;
    while i < one.len() {
        if one[i] != other[i] {
            return false;
        }
        i += 1;
    }
    true
}
