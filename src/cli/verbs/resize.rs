//! `cask resize`.

use crate::control::{FaultKind, Op};
use crate::server;
use crate::types::Limits;

use crate::cli::format::human_bytes;
use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::quantity::{Limit, merge, parse_count, parse_size};
use crate::cli::{CliError, Kind, Result, output};

/// Set how much a volume may hold, mounted or not
///
/// Counted is the data of its files, each byte as often as it is in a file; neither holes nor snapshots count.
/// "none" lifts a limit.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// How many bytes: a number with K, M, G, T or P, or none
    #[arg(value_name = "SIZE", value_parser = parse_size, required_unless_present = "inodes")]
    size: Option<Limit>,
    /// How many files, directories and so on: a number, or none
    #[arg(long, value_name = "N", value_parser = parse_count)]
    inodes: Option<Limit>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    let (located, config) = root.open(&arguments.volume)?;
    let limits = merge(config.limits, arguments.size, arguments.inodes);
    warn_if_over_disk(&located, limits);
    let done = server::perform(&located.dir, &Op::Limit { limits });
    done.map(drop)
        .map_err(|error| refused(error, &located, limits, arguments))
}

fn refused(error: server::Error, located: &Located, limits: Limits, asked: &Arguments) -> CliError {
    let fault = match error {
        server::Error::Fault(fault) if fault.kind == FaultKind::Exceeded => fault,
        error => return located.explain(error),
    };
    let number = |limit: Option<Limit>| limit.and_then(|limit| limit.0);
    let mut wanted = named(number(asked.size), number(asked.inodes));
    if wanted.is_empty() {
        // What is lifted is not in the way: what was set before is.
        wanted = named(limits.bytes, limits.inodes);
    }
    let message = format!(
        "{located} cannot be limited to {}: {fault}",
        wanted.join(" and ")
    );
    CliError::new(Kind::Failed, message).hint("remove files first, or set a higher limit")
}

fn named(bytes: Option<u64>, inodes: Option<u64>) -> Vec<String> {
    let inodes = inodes.map(|count| match count {
        1 => "1 inode".to_owned(),
        many => format!("{many} inodes"),
    });
    bytes.map(human_bytes).into_iter().chain(inodes).collect()
}

/// A limit that the host cannot hold promises what nobody has.
pub(in crate::cli) fn warn_if_over_disk(located: &Located, limits: Limits) {
    let (Some(limit), Ok(host)) = (limits.bytes, rustix::fs::statvfs(&located.dir)) else {
        return;
    };
    let total = host.f_blocks.saturating_mul(host.f_frsize);
    if limit > total {
        output::warn(&format!(
            "the limit of {} is more than the {} of the disk that holds {located}",
            human_bytes(limit),
            human_bytes(total)
        ));
    }
}
