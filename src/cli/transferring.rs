//! How far a transfer is, for people and for programs.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::progress::{Lines, Told};
use crate::cli::{Result, format};
use crate::transfer::{Progress, Watch};

/// A transfer as it is told.
pub(super) struct Transferring {
    bar: ProgressBar,
    lines: Lines,
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
            bar,
            lines: Lines::of(told),
        }
    }

    /// Ends with what was made: for people its name, for programs all that is known of it.
    pub(super) fn end(&self, name: &str, result: &impl Serialize) -> Result<()> {
        self.bar.finish_and_clear();
        self.lines.end(name, result)
    }
}

impl Watch for Transferring {
    fn progress(&self, progress: &Progress) {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        let moved = format::human_bytes(progress.moved);
        self.bar
            .set_prefix(format!("{moved} in {} objects", progress.objects));
        self.lines.tell(&View {
            total: progress.total,
            done: progress.done,
            moved: progress.moved,
            objects: progress.objects,
        });
    }
}

impl Drop for Transferring {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
