//! Compares cask with a plain directory on the same disk: `cargo bench --bench compare -- [OPTIONS]`.
//!
//! Every row is measured on each target in turn, several times; the table shows medians, their ratio to
//! the plain directory, and the floor that the ratio must not fall below. Needs root (caches are dropped)
//! and an otherwise idle machine. See `--help` for the options.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on stops")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is the result"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "what is measured is the filesystem's own durability"
)]

mod measuring;
mod rows;
mod table;
mod target;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;

use measuring::Scale;
use rows::GROUPS;
use table::Results;
use target::Target;

/// Compares cask with a plain directory on the same disk.
#[derive(Parser)]
struct Options {
    /// Small amounts, two repeats: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Only the rows whose names contain one of these words.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// How often each row is measured on each target.
    #[arg(long)]
    repeats: Option<usize>,
    /// Another target: a directory on the filesystem to compare with.
    #[arg(long = "target", value_name = "NAME=DIR", value_parser = parse_target)]
    targets: Vec<(String, PathBuf)>,
    /// Where the plain directory and the volume are made.
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,
    /// What `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_target(text: &str) -> Result<(String, PathBuf), String> {
    let (name, dir) = text.split_once('=').ok_or("it must be NAME=DIR")?;
    Ok((name.to_owned(), PathBuf::from(dir)))
}

fn main() {
    let options = Options::parse();
    assert!(
        rustix::process::geteuid().is_root(),
        "needs root, to drop caches and to mount"
    );
    let scale = if options.quick {
        Scale::QUICK
    } else {
        Scale::FULL
    };
    let repeats = options.repeats.unwrap_or(if options.quick { 2 } else { 5 });
    let scratch = tempfile::Builder::new()
        .prefix("cask-compare-")
        .tempdir_in(&options.dir)
        .unwrap();
    // PostgreSQL's user must reach its cluster.
    measuring::open_to_all(scratch.path());
    let mut targets = vec![Target::plain(scratch.path()), Target::cask(scratch.path())];
    targets.extend(
        options
            .targets
            .iter()
            .map(|(name, dir)| Target::peer(name, dir)),
    );

    let wanted = |row: &str| {
        options.rows.is_empty() || options.rows.iter().any(|word| row.contains(word.as_str()))
    };
    let mut results = Results::default();
    for group in GROUPS
        .iter()
        .filter(|group| group.rows.iter().any(|row| wanted(row)))
    {
        for repeat in 0..repeats {
            // Whoever comes first finds the disk in another state: take turns.
            for index in 0..targets.len() {
                let place = (index + repeat) % targets.len();
                let target = &mut targets[place];
                eprintln!(
                    "{}: {} ({} of {repeats})",
                    group.name,
                    target.name,
                    repeat + 1
                );
                for sample in (group.measure)(target, &scale, scratch.path()) {
                    results.add(&target.name, sample);
                }
            }
        }
    }
    let peaks: BTreeMap<String, u64> = targets
        .iter_mut()
        .filter_map(|target| Some((target.name.clone(), target.peak_rss()?)))
        .collect();
    let names: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
    print!("{}", results.table(&names, &wanted, &peaks, repeats));
}
