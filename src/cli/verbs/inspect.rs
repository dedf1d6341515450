//! `cask inspect`.

use crate::server::{self, ServerState};
use crate::types::Usage;

use crate::cli::containers::Containers;
use crate::cli::format::{self, Format};
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::view::Inspection;
use crate::cli::{Result, output, usage};

/// Show everything about volumes, as a JSON array
///
/// Containers are those of a Docker engine that have one of the mounts; Podman is not asked.
/// Usage is null when the volume cannot be opened to count, as while another process has it open.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volumes
    #[arg(required = true, value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volumes: Vec<VolumeRef>,
    /// json, or a template such as '{{.Uuid}}'
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = Format::parse)]
    format: Format,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let found = arguments.volumes.iter().map(|volume| inspect(volume, root));
    let mut found: Vec<Inspection> = found.collect::<Result<_>>()?;
    note_containers(&mut found);
    match &arguments.format {
        Format::Template(template) => found
            .iter()
            .try_for_each(|one| output::line(&template.render(one)?)),
        Format::Json | Format::Table => output::line(&format::pretty_json(&found)?),
    }
}

fn note_containers(found: &mut [Inspection]) {
    if !found.iter().any(|one| one.view.is_mounted()) {
        return;
    }
    // Once for all of them: it asks the engine.
    let containers = Containers::ask();
    for one in found {
        one.view.note_containers(&containers);
    }
}

fn inspect(volume: &VolumeRef, root: &Root) -> Result<Inspection> {
    let (located, config) = root.open(volume)?;
    let server_state = server::server_state(&located.dir).map_err(|e| located.explain(e))?;
    let usage = count(&located, &server_state);
    Ok(Inspection::of(&located, &config, &server_state, usage))
}

fn count(located: &Located, server_state: &ServerState) -> Option<Usage> {
    if matches!(server_state, ServerState::Dead(_)) {
        // Opening it would count, and also begin a recovery that nobody asked for.
        return None;
    }
    let counted = usage::of(located);
    counted
        .inspect_err(|error| output::warn(&format!("no usage: {error}")))
        .ok()
}
