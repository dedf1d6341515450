//! How far a long command has come, where standard error is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Counts bytes and files; on a terminal, people see it.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins; `doing` is what people read.
    pub(super) fn start(doing: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(doing);
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = Self(bar);
        progress.show("{spinner} {msg}: {bytes}, {bytes_per_sec}");
        progress
    }

    /// The same, where it may be that only the time is known that it takes.
    pub(super) fn wait(doing: &'static str) -> Self {
        let progress = Self::start(doing);
        progress.show("{spinner} {msg}: {elapsed}");
        progress
    }

    fn show(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
    }

    /// So many bytes more are done, of what [`Self::wait`] began.
    pub(super) fn verified(&self, bytes: u64) {
        if self.0.position() == 0 && bytes > 0 {
            self.show("{spinner} {msg}: {bytes}, {bytes_per_sec}, {elapsed}");
        }
        self.0.inc(bytes);
    }

    /// So many bytes more are done.
    pub(super) fn add(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
