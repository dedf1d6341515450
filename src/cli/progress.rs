//! How far a long command has come: a bar where standard error is a terminal, or lines for programs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::{Result, format, output};

/// Between two lines for programs.
const PAUSE: Duration = Duration::from_secs(1);

/// Who is told.
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

/// The lines for programs, if they are wanted.
pub(super) struct Lines {
    told: Told,
    last: Mutex<Option<Instant>>,
}

impl Lines {
    pub(super) const fn of(told: Told) -> Self {
        Self {
            told,
            last: Mutex::new(None),
        }
    }

    /// Tells how far it is, once a second at most. Whoever does not read it misses nothing that is not said at the end.
    pub(super) fn tell(&self, view: &impl Serialize) {
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
        let told = format::json(view).and_then(|line| output::line(&line));
        told.unwrap_or_else(|e| log::debug!("progress was not told: {e}"));
    }

    /// Tells at the end what was made: in words for people, all that is known of it for programs.
    pub(super) fn end(&self, words: &str, result: &impl Serialize) -> Result<()> {
        match self.told {
            Told::People => output::line(words),
            Told::Json => output::line(&format::json(result)?),
        }
    }
}

/// Counts bytes and files.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: Lines,
}

/// How far it is: the field names are published.
#[derive(Serialize)]
struct View {
    done: u64,
}

impl Progress {
    /// Begins; `doing` is what people read.
    pub(super) fn start(doing: &'static str) -> Self {
        Self::of(
            Told::People,
            doing,
            "{spinner} {msg}: {bytes}, {bytes_per_sec}",
        )
    }

    /// The same, where it may be that only the time is known that it takes.
    pub(super) fn wait(told: Told, doing: &'static str) -> Self {
        Self::of(told, doing, "{spinner} {msg}: {elapsed}")
    }

    fn of(told: Told, doing: &'static str, template: &str) -> Self {
        let bar = match told {
            Told::People => ProgressBar::new_spinner().with_message(doing),
            Told::Json => ProgressBar::hidden(),
        };
        bar.enable_steady_tick(Duration::from_millis(200));
        let lines = Lines::of(told);
        let progress = Self { bar, lines };
        progress.show(template);
        progress
    }

    fn show(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    /// So many bytes more are done, of what [`Self::wait`] began.
    pub(super) fn verified(&self, bytes: u64) {
        self.reach(self.bar.position() + bytes);
    }

    /// So many bytes are done, of what [`Self::wait`] began.
    pub(super) fn reach(&self, done: u64) {
        if self.bar.position() == 0 && done > 0 {
            self.show("{spinner} {msg}: {bytes}, {bytes_per_sec}, {elapsed}");
        }
        self.bar.set_position(done);
        self.lines.tell(&View { done });
    }

    /// So many bytes more are done.
    pub(super) fn add(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
