//! `cask ls --trash`.

use serde::Serialize;

use crate::volume::store::{self, Trashed};

use crate::cli::format::{self, Format, human_bytes};
use crate::cli::locate::Root;
use crate::cli::{CliError, Kind, Result, output};

/// A volume in the trash as it is shown: the field names are published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct View {
    name: String,
    trashed: String,
    due: String,
    physical_bytes: u64,
    dir: String,
}

/// How much of each volume is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Told {
    Names,
    All,
}

pub(in crate::cli) fn run(told: Told, format: &Format, root: &Root) -> Result<()> {
    let views: Vec<View> = trashed(root)?.iter().map(View::of).collect();
    if told == Told::Names {
        return views.iter().try_for_each(|view| output::line(&view.name));
    }
    output::listed(format, &views, table)
}

/// What is in the trash, by name, and of one name the oldest first.
pub(in crate::cli) fn trashed(root: &Root) -> Result<Vec<Trashed>> {
    root.store().trashed().map_err(|error| {
        CliError::new(Kind::Failed, "cannot list the trash")
            .because(error)
            .hint("name another root with --root, or run as its owner")
    })
}

impl View {
    fn of(trashed: &Trashed) -> Self {
        Self {
            name: trashed.name.to_string(),
            trashed: trashed.since.to_string(),
            due: trashed.due.to_string(),
            physical_bytes: store::host_bytes(&trashed.dir),
            dir: trashed.dir.display().to_string(),
        }
    }
}

fn table(views: &[View]) -> String {
    let mut rows = vec![["NAME", "TRASHED", "DUE", "DISK"].map(str::to_owned)];
    rows.extend(views.iter().map(|view| {
        [
            view.name.clone(),
            format::to_the_second(&view.trashed),
            format::to_the_second(&view.due),
            human_bytes(view.physical_bytes),
        ]
    }));
    format::columns(&rows)
}
