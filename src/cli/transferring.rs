//! How far a transfer is, for people and for programs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::{CliError, Result, format, output};
use crate::transfer::{Progress, Watch};

/// Between two lines for programs.
const PAUSE: Duration = Duration::from_secs(1);

/// What is told of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// A bar on a terminal, and what was made at the end.
    People,
    /// An object a line: the field names are published.
    Json,
}

impl Told {
    /// Parses the option's value.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "text" => Ok(Self::People),
            "json" => Ok(Self::Json),
            _ => Err("a format is text or json".to_owned()),
        }
    }
}

/// A transfer as it is told.
pub(super) struct Transferring {
    told: Told,
    bar: ProgressBar,
    last: Mutex<Option<Instant>>,
}

#[derive(Serialize)]
struct View {
    total: u64,
    done: u64,
    moved: u64,
    objects: u64,
}

impl Transferring {
    /// Begins; `doing` is what people read.
    pub(super) fn start(told: Told, doing: &'static str) -> Self {
        let bar = match told {
            Told::People => ProgressBar::new(0).with_message(doing),
            Told::Json => ProgressBar::hidden(),
        };
        bar.enable_steady_tick(Duration::from_millis(200));
        let template =
            "{spinner} {msg}: {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left, {prefix}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            told,
            bar,
            last: Mutex::new(None),
        }
    }

    /// Ends with what was made: for people its name, for programs all that is known of it.
    pub(super) fn end(&self, name: &str, result: &impl Serialize) -> Result<()> {
        self.bar.finish_and_clear();
        match self.told {
            Told::People => output::line(name),
            Told::Json => output::line(&format::json(result)?),
        }
    }
}

impl Watch for Transferring {
    fn progress(&self, progress: &Progress) {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        let moved = format::human_bytes(progress.moved);
        self.bar
            .set_prefix(format!("{moved} in {} objects", progress.objects));
        if self.told == Told::People {
            return;
        }
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        *last = Some(Instant::now());
        let view = View {
            total: progress.total,
            done: progress.done,
            moved: progress.moved,
            objects: progress.objects,
        };
        // Whoever does not read it misses nothing that is not said at the end.
        let told: Result<()> = format::json(&view).and_then(|line| output::line(&line));
        told.unwrap_or_else(|e: CliError| log::debug!("progress was not told: {e}"));
    }
}

impl Drop for Transferring {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
