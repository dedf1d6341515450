//! The versions of the tables, and the steps from each to the next.

use rusqlite::Connection;

use super::tables::{COPIES, COUNTS_AND_CUTS, FIRST, REQUESTS};
use crate::meta::error::Result;

/// The version of the tables, which is the on-disk format of a volume.
pub const FORMAT_VERSION: u32 = 5;
/// The same as `PRAGMA user_version` has it.
pub(super) const VERSION: i64 = FORMAT_VERSION as i64;
/// The first version that has the table `copying`.
pub(in crate::meta) const WITH_COPYING: i64 = 4;

/// What leads from one version to the next.
struct Step {
    leads_to: i64,
    /// What becomes of rows that are there. A new database has none.
    converts: &'static str,
    /// What the version before did not have.
    adds: &'static str,
}

/// One for each version but the first.
const STEPS: &[Step] = &[
    Step {
        leads_to: 2,
        converts: LIVE,
        adds: COUNTS_AND_CUTS,
    },
    Step {
        leads_to: 3,
        converts: "",
        adds: REQUESTS,
    },
    Step {
        leads_to: 4,
        converts: "",
        adds: COPIES,
    },
    // Pages may have sums, which an earlier cask would not keep.
    Step {
        leads_to: 5,
        converts: "",
        adds: "",
    },
];

const _: () = {
    let (mut i, mut version) = (0, 1);
    while i < STEPS.len() {
        version += 1;
        assert!(STEPS[i].leads_to == version, "each step leads on by one");
        i += 1;
    }
    assert!(version == VERSION, "the last step leads to the present");
};

// Version 1 did not know which chunks the head names.
const LIVE: &str = "
    ALTER TABLE chunk ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
    CREATE TEMP TABLE named AS SELECT chunk AS id, count(*) AS live FROM extent GROUP BY chunk;
    CREATE UNIQUE INDEX temp.named_id ON named (id);
    UPDATE chunk SET live = n.live FROM temp.named n WHERE chunk.id = n.id;
    DROP TABLE temp.named;";

/// Makes the tables of a database that has none.
pub(super) fn make_tables(conn: &Connection) -> Result<()> {
    let added: String = STEPS.iter().map(|step| step.adds).collect();
    conn.execute_batch(&format!("BEGIN; {FIRST} {added} COMMIT;"))?;
    Ok(())
}

/// Brings tables of an earlier version to the present one, all or nothing: after an error the connection is to be
/// closed, which rolls back.
pub(super) fn upgrade(version: i64, conn: &Connection) -> Result<()> {
    let steps: String = STEPS
        .iter()
        .filter(|step| step.leads_to > version)
        .flat_map(|step| [step.converts, step.adds])
        .collect();
    // The version is on the database's first page: the same transaction changes it.
    let set_version = format!("PRAGMA user_version = {VERSION};");
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {steps} {set_version} COMMIT;"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::columns::WITH_HISTORY;
    use super::*;

    /// The tables of each version, as a cask of that version made them; 5 has those of 4.
    const OLD: [&str; FORMAT_VERSION as usize] = [
        include_str!("versions/1.sql"),
        include_str!("versions/2.sql"),
        include_str!("versions/3.sql"),
        include_str!("versions/4.sql"),
        include_str!("versions/4.sql"),
    ];

    fn of_version(version: i64) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        let made = OLD[usize::try_from(version).unwrap() - 1];
        conn.execute_batch(made).unwrap();
        conn
    }

    fn names(conn: &Connection, table: &str) -> Vec<String> {
        let mut stmt = conn
            .prepare(&format!("PRAGMA table_info ({table})"))
            .unwrap();
        let names = stmt.query_map([], |row| row.get(1)).unwrap();
        names.map(|name| name.unwrap()).collect()
    }

    fn tables(conn: &Connection) -> Vec<(String, Vec<String>)> {
        let mut stmt = conn
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .unwrap();
        let found = stmt.query_map([], |row| row.get::<_, String>(0)).unwrap();
        found
            .map(|name| name.unwrap())
            .map(|name| (name.clone(), names(conn, &name)))
            .collect()
    }

    fn fresh() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        make_tables(&conn).unwrap();
        conn
    }

    #[test]
    fn an_upgraded_database_has_the_columns_of_a_new_one() {
        let expected = tables(&fresh());
        assert_eq!(expected.len(), 18);
        for version in 1..VERSION {
            let conn = of_version(version);
            // The last step changed no table.
            assert_eq!(tables(&conn) == expected, version == WITH_COPYING);
            upgrade(version, &conn).unwrap();
            assert_eq!(tables(&conn), expected, "version {version}");
        }
    }

    #[test]
    fn an_upgrade_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        let mut conn = Connection::open(&path).unwrap();
        let old = of_version(1);
        // What the last step makes is there already.
        old.execute_batch("CREATE TABLE copying (id)").unwrap();
        rusqlite::backup::Backup::new(&old, &mut conn)
            .unwrap()
            .step(-1)
            .unwrap();
        let before = tables(&conn);
        upgrade(1, &conn).unwrap_err();
        drop(conn);
        assert_eq!(tables(&Connection::open(&path).unwrap()), before);
    }

    #[test]
    fn the_history_has_each_column_of_the_head_but_those_of_the_head_only() {
        let conn = fresh();
        for table in WITH_HISTORY {
            let (mut head, mut past) = (
                names(&conn, table.name),
                names(&conn, &format!("{}_past", table.name)),
            );
            let columns = || table.lines.iter().copied().flatten();
            let all: Vec<_> = columns().map(|column| column.name).collect();
            assert_eq!(head, all, "the columns are those of the description");
            head.retain(|name| !columns().any(|column| column.name == name && column.is_head_only));
            assert_eq!(past.pop().as_deref(), Some("died"));
            assert_eq!(past, head, "{}", table.name);
        }
        let head_only: Vec<_> = WITH_HISTORY
            .iter()
            .flat_map(|table| table.lines.iter().copied().flatten())
            .filter(|column| column.is_head_only)
            .map(|column| column.name)
            .collect();
        assert_eq!(head_only, ["request"]);
    }

    /// A salvage grafts the first pages of a new database onto one that an earlier cask of the same version made.
    #[test]
    fn a_new_database_declares_its_tables_as_its_version_always_has() {
        let conn = fresh();
        let mut stmt = conn
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
            .unwrap();
        let declared = stmt.query_map([], |row| row.get(0)).unwrap();
        let declared: Vec<String> = declared.map(|sql| sql.unwrap()).collect();
        let (_, expected) = OLD[OLD.len() - 1].split_once('\n').unwrap();
        assert_eq!(format!("{};\n", declared.join(";\n")), expected);
    }
}
