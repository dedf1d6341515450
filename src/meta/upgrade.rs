//! Databases that an earlier cask made, brought to the present tables.

use rusqlite::Connection;

use super::Result;
use super::schema::{SINCE_2, SINCE_3, SINCE_4, VERSION};

// Version 1 did not know which chunks the head names.
const LIVE: &str = "
    ALTER TABLE chunk ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
    CREATE TEMP TABLE named AS SELECT chunk AS id, count(*) AS live FROM extent GROUP BY chunk;
    CREATE UNIQUE INDEX temp.named_id ON named (id);
    UPDATE chunk SET live = n.live FROM temp.named n WHERE chunk.id = n.id;
    DROP TABLE temp.named;";

/// Brings tables of an earlier version to the present one, all or nothing.
pub(super) fn from(version: i64, conn: &Connection) -> Result<()> {
    let steps = match version {
        1 => format!("{LIVE} {SINCE_2} {SINCE_3} {SINCE_4}"),
        2 => format!("{SINCE_3} {SINCE_4}"),
        _ => SINCE_4.to_owned(),
    };
    let set_version = format!("PRAGMA user_version = {VERSION};");
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {steps} {set_version} COMMIT;"))?;
    Ok(())
}
