//! Medians, ratios and floors.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One measurement of one row: a rate, so more is better, and what else is worth showing.
pub(crate) struct Sample {
    pub(crate) row: &'static str,
    pub(crate) rate: f64,
    /// Milliseconds that half, and 99 of 100, of the operations took at most.
    pub(crate) latencies: Option<(f64, f64)>,
}

/// What the ratio of a row must not fall below; `docs/benchmarks.md` has their history.
const FLOORS: &[(&str, f64)] = &[
    ("sequential write + fsync", 0.6),
    ("sequential read warm", 0.9),
    ("sequential read cold", 0.5),
    ("append 4K + fdatasync", 0.3),
    ("create small files", 0.05),
    ("stat warm", 0.9),
    ("read small files warm", 0.9),
    ("delete small files", 0.08),
    ("pgbench", 0.4),
];
const RSS_MIB_MOST: u64 = 150;

/// All samples, by row and target.
#[derive(Default)]
pub(crate) struct Results {
    rows: Vec<&'static str>,
    samples: BTreeMap<(&'static str, String), Vec<Sample>>,
}

impl Results {
    pub(crate) fn add(&mut self, target: &str, sample: Sample) {
        if !self.rows.contains(&sample.row) {
            self.rows.push(sample.row);
        }
        self.samples
            .entry((sample.row, target.to_owned()))
            .or_default()
            .push(sample);
    }

    fn median(&self, row: &'static str, target: &str) -> Option<f64> {
        let samples = self.samples.get(&(row, target.to_owned()))?;
        Some(median(samples.iter().map(|sample| sample.rate).collect()))
    }

    fn latencies(&self, row: &'static str, target: &str) -> Option<(f64, f64)> {
        let samples = self.samples.get(&(row, target.to_owned()))?;
        let (half, most): (Vec<_>, Vec<_>) =
            samples.iter().filter_map(|sample| sample.latencies).unzip();
        (!half.is_empty()).then(|| (median(half), median(most)))
    }

    /// The table, one line a row. The first target is the yardstick.
    pub(crate) fn table(
        &self,
        targets: &[String],
        wanted: &dyn Fn(&str) -> bool,
        peaks: &BTreeMap<String, u64>,
        repeats: usize,
    ) -> String {
        let mut out = format!(
            "medians of {repeats}; ratio to {}; per second\n\n",
            targets[0]
        );
        write!(out, "{:<28}{:>12}", "row", targets[0]).unwrap();
        for target in &targets[1..] {
            write!(out, "{target:>12}{:>8}", "ratio").unwrap();
        }
        writeln!(out, "   floor").unwrap();
        for row in self.rows.iter().filter(|row| wanted(row)) {
            let yardstick = self.median(row, &targets[0]).unwrap_or(f64::NAN);
            write!(out, "{row:<28}{yardstick:>12.1}").unwrap();
            for target in &targets[1..] {
                let rate = self.median(row, target).unwrap_or(f64::NAN);
                write!(out, "{rate:>12.1}{:>8.3}", rate / yardstick).unwrap();
            }
            let ratio = self.median(row, "cask").unwrap_or(f64::NAN) / yardstick;
            writeln!(out, "   {}", verdict(row, ratio)).unwrap();
            for target in targets {
                if let Some((half, most)) = self.latencies(row, target) {
                    writeln!(out, "    {target}: p50 {half:.3} ms, p99 {most:.3} ms").unwrap();
                }
            }
        }
        for (target, kib) in peaks {
            let mib = kib / 1024;
            let verdict = if mib < RSS_MIB_MOST { "ok" } else { "ABOVE" };
            writeln!(
                out,
                "{target}: the server's peak RSS {mib} MiB (below {RSS_MIB_MOST}: {verdict})"
            )
            .unwrap();
        }
        out
    }
}

fn verdict(row: &str, ratio: f64) -> String {
    let floor = FLOORS.iter().find(|(name, _)| *name == row);
    floor.map_or_else(String::new, |(_, floor)| {
        format!("{floor} {}", if ratio >= *floor { "ok" } else { "BELOW" })
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}
