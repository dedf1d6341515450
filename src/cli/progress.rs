//! How far a long command has come, where standard error is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Counts bytes and files; on a terminal, people see it.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins; `doing` is what people read.
    pub(super) fn start(doing: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(doing);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {bytes}, {bytes_per_sec}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
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
