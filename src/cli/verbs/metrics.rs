//! `cask metrics`.

use crate::cli::locate::{Root, cannot_list};
use crate::cli::{Result, output};
use crate::metrics;

/// Print what can be measured of all volumes, for Prometheus
///
/// The text format of Prometheus, with a label "volume". Of a mounted volume: requests of the kernel by their kind, with
/// how long they took, bytes read and written, the log, the collector, and what the volume holds, all counted by its
/// server since it started. Of every volume: its state, its scheduled snapshots, damage that was found, what it takes on
/// the host, and its limits. No volume is opened for it. `cask docker serve --metrics ADDR` serves the same over HTTP.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {}

pub(in crate::cli) fn run(_: &Arguments, root: &Root) -> Result<()> {
    let text = metrics::text(&root.store()).map_err(cannot_list)?;
    output::raw(&text)
}
