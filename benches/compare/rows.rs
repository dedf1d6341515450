//! What is measured, in groups whose rows share their files.

mod programs;
mod small;
mod space;
mod stream;

use std::path::Path;

use super::measuring::Scale;
use super::table::Sample;
use super::target::Target;

/// Rows that are measured in one go on one target.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) rows: &'static [&'static str],
    pub(crate) measure: fn(&mut Target, &Scale, &Path) -> Vec<Sample>,
}

pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "stream",
        rows: stream::ROWS,
        measure: stream::measure,
    },
    Group {
        name: "append",
        rows: stream::APPEND_ROWS,
        measure: stream::measure_append,
    },
    Group {
        name: "append during gc",
        rows: space::GC_ROWS,
        measure: space::measure_gc,
    },
    Group {
        name: "small files",
        rows: small::ROWS,
        measure: small::measure,
    },
    Group {
        name: "untar",
        rows: programs::UNTAR_ROWS,
        measure: programs::measure_untar,
    },
    Group {
        name: "git",
        rows: programs::GIT_ROWS,
        measure: programs::measure_git,
    },
    Group {
        name: "pgbench",
        rows: programs::PGBENCH_ROWS,
        measure: programs::measure_pgbench,
    },
    Group {
        name: "sqlite",
        rows: programs::SQLITE_ROWS,
        measure: programs::measure_sqlite,
    },
    Group {
        name: "space",
        rows: space::ROWS,
        measure: space::measure,
    },
];
