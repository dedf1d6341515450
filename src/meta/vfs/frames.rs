//! Frames of the log that SQLite has written and its file has not yet: which of them wait, and which are lost.
//!
//! They are those of a transaction that has not committed, and follow each other. Knows the order in which SQLite writes a
//! log (wal.c, `walFrames`) and neither a file nor a connection. One connection writes (invariant 4): what it rolls back
//! nobody else goes on behind.

use std::ffi::c_int;

const HEADER_BYTES: usize = 24;
/// Of a transaction that SQLite's cache does not hold: so many bytes of frames are kept.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Frames that are kept, from `at` on.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    at: i64,
    /// Whether the header that came last says that its frame commits.
    commits: bool,
    /// How far the log was written: what is before that is written anew, for which SQLite has reasons of its own.
    end: i64,
    lost: Option<Lost>,
}

/// Frames that SQLite takes for written and are not, from `at` on, and SQLite's code for why. Never while some are kept.
///
/// Nothing may be written behind the gap or read from it, until SQLite has rolled back: it then writes what follows the
/// last commit, or a savepoint before the gap, and comes by the header at `at` again.
#[derive(Debug, Clone, Copy)]
struct Lost {
    at: i64,
    code: c_int,
}

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for what follows.
    Kept,
    /// All that is kept is to be written now.
    Due,
    /// It is to be written by itself.
    Straight,
    /// What it belongs to is lost, for this reason.
    Lost(c_int),
}

/// Where bytes of the log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'f> {
    /// Here.
    Kept(&'f [u8]),
    /// Some are here and some in the file: what is kept is to be written first.
    Both,
    /// In the file.
    File,
    /// Nowhere, for this reason.
    Lost(c_int),
}

impl Frames {
    /// What is kept, and where it belongs.
    pub(super) fn kept(&self) -> (&[u8], i64) {
        (&self.bytes, self.at)
    }

    /// What is kept was written.
    pub(super) fn note_written(&mut self) {
        self.bytes.clear();
    }

    /// What is kept could not be written, or not all of it.
    pub(super) fn note_lost(&mut self, code: c_int) {
        self.bytes.clear();
        self.end = self.at;
        self.lost = Some(Lost { at: self.at, code });
    }

    /// The log ends at `size` from now on: SQLite cuts it between transactions, and goes on from there at most.
    pub(super) fn note_cut(&mut self, size: i64) {
        self.end = self.end.min(size);
        self.bytes.clear();
        self.lost = None;
    }

    fn end_of_kept(&self) -> i64 {
        behind(self.at, self.bytes.len())
    }

    /// Takes a write.
    pub(super) fn take(&mut self, data: &[u8], at: i64) -> Fate {
        let is_header = data.len() == HEADER_BYTES;
        match self.lost {
            Some(lost) if at > lost.at => return Fate::Lost(lost.code),
            Some(lost) if at == lost.at && is_header => self.lost = None,
            _ => {}
        }
        let end = behind(at, data.len());
        if at == 0 {
            // The log's own header: it begins anew, and all that is behind is old.
            self.note_cut(end);
            self.end = end;
            return Fate::Straight;
        }
        if let Some(kept) = self.index_of(at) {
            if is_header {
                // A rollback: what is kept from there on is of nothing any more. Headers of frames that stay are written
                // anew after the one that commits, when nothing is kept (`walRewriteChecksums`).
                self.bytes.truncate(kept);
                self.end = at;
            } else if let Some(old) = self.bytes.get_mut(kept..kept + data.len()) {
                old.copy_from_slice(data);
                return Fate::Kept;
            }
        }
        let follows = !self.bytes.is_empty() && at == self.end_of_kept();
        let begins = self.bytes.is_empty() && is_header && at >= self.end;
        if !follows && !begins {
            debug_assert!(
                self.bytes.is_empty() || end <= self.at,
                "SQLite writes whole frames, one behind the other: {at} is neither before nor of what is kept"
            );
            self.end = self.end.max(end);
            return Fate::Straight;
        }
        self.keep(data, at)
    }

    fn keep(&mut self, data: &[u8], at: i64) -> Fate {
        debug_assert!(self.lost.is_none(), "nothing is kept behind a gap");
        if self.bytes.is_empty() {
            self.at = at;
        }
        let is_header = data.len() == HEADER_BYTES;
        if let (true, Some(size)) = (is_header, data.get(4..8)) {
            self.commits = size != [0; 4];
        }
        self.bytes.extend_from_slice(data);
        self.end = self.end_of_kept();
        let is_whole = !is_header && (self.commits || self.bytes.len() >= KEPT_BYTES_MAX);
        if is_whole { Fate::Due } else { Fate::Kept }
    }

    /// Where `len` bytes of the log from `at` on are.
    pub(super) fn find(&self, at: i64, len: usize) -> Place<'_> {
        let end = behind(at, len);
        if let Some(lost) = self.lost.filter(|lost| end > lost.at) {
            return Place::Lost(lost.code);
        }
        if self.bytes.is_empty() || end <= self.at {
            return Place::File;
        }
        let kept = self
            .index_of(at)
            .and_then(|at| self.bytes.get(at..at + len));
        kept.map_or(Place::Both, Place::Kept)
    }

    /// Which of the kept bytes that is, if any.
    fn index_of(&self, at: i64) -> Option<usize> {
        let index = usize::try_from(at - self.at).ok()?;
        (index < self.bytes.len()).then_some(index)
    }
}

fn behind(at: i64, len: usize) -> i64 {
    at.saturating_add(i64::try_from(len).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: [u8; 4096] = [2; 4096];
    const FULL: c_int = 13;

    fn header(commits: bool) -> [u8; HEADER_BYTES] {
        let mut header = [7; HEADER_BYTES];
        header[4..8].fill(u8::from(commits));
        header
    }

    #[test]
    fn frames_are_kept_until_one_commits() {
        let mut frames = Frames::default();
        assert_eq!(frames.take(&[1; 32], 0), Fate::Straight, "the log's header");
        assert_eq!(frames.take(&header(false), 32), Fate::Kept);
        assert_eq!(frames.take(&[2; 4096], 56), Fate::Kept);
        assert_eq!(frames.take(&header(true), 4152), Fate::Kept);
        assert_eq!(frames.take(&[3; 4096], 4176), Fate::Due);
        assert_eq!((frames.at, frames.bytes.len()), (32, 2 * 4120));
    }

    #[test]
    fn what_was_written_before_is_written_anew_by_itself() {
        let mut frames = Frames::default();
        frames.take(&header(false), 32);
        frames.take(&[2; 4096], 56);
        frames.note_written();
        assert_eq!(frames.take(&[3; 4096], 56), Fate::Straight);
        assert_eq!(frames.take(&header(true), 32), Fate::Straight, "a checksum");
        assert_eq!(
            frames.take(&header(true), 4152),
            Fate::Kept,
            "behind the end"
        );
        frames.note_written();
        assert_eq!(frames.take(&[1; 32], 0), Fate::Straight);
        assert_eq!(
            frames.take(&header(true), 32),
            Fate::Kept,
            "the log began anew"
        );
    }

    #[test]
    fn a_page_that_is_kept_is_read_and_written_anew_here() {
        let mut frames = Frames::default();
        frames.take(&header(false), 32);
        frames.take(&PAGE, 56);
        assert_eq!(frames.find(0, 32), Place::File);
        assert_eq!(frames.find(56, 4096), Place::Kept(&PAGE));
        assert_eq!(frames.find(8, 4096), Place::Both);
        assert_eq!(frames.take(&[3; 4096], 56), Fate::Kept);
        assert_eq!(frames.find(56, 4096), Place::Kept(&[3; 4096]));
    }

    #[test]
    fn what_was_rolled_back_is_kept_no_longer() {
        let mut frames = Frames::default();
        for frame in 0..3 {
            frames.take(&header(false), 32 + 4120 * frame);
            frames.take(&PAGE, 56 + 4120 * frame);
        }
        assert_eq!(frames.take(&header(true), 4152), Fate::Kept);
        assert_eq!(frames.take(&[3; 4096], 4176), Fate::Due);
        assert_eq!(frames.kept().0.len(), 2 * 4120);
    }

    #[test]
    fn nothing_comes_behind_what_is_lost_until_it_is_rolled_back() {
        let mut frames = Frames::default();
        frames.take(&[1; 32], 0);
        for frame in 0..2 {
            frames.take(&header(false), 32 + 4120 * frame);
            frames.take(&PAGE, 56 + 4120 * frame);
        }
        frames.note_written();
        frames.take(&header(false), 8272);
        frames.take(&PAGE, 8296);
        frames.note_lost(FULL);
        assert_eq!(frames.find(8272, 24), Place::Lost(FULL));
        assert_eq!(frames.find(4152, 4120), Place::File);
        assert_eq!(frames.take(&header(true), 12392), Fate::Lost(FULL));
        assert_eq!(frames.take(&PAGE, 8296), Fate::Lost(FULL), "of a frame");
        assert_eq!(frames.take(&PAGE, 4176), Fate::Straight, "before it");
        assert_eq!(frames.find(8272, 24), Place::Lost(FULL), "still");
        assert_eq!(frames.take(&header(true), 8272), Fate::Kept);
        assert_eq!(frames.take(&PAGE, 8296), Fate::Due);
    }

    #[test]
    fn a_log_that_begins_anew_lacks_nothing() {
        let mut frames = Frames::default();
        for anew in 0..2 {
            frames.take(&header(false), 32);
            frames.take(&PAGE, 56);
            frames.note_lost(FULL);
            assert_eq!(frames.find(32, 24), Place::Lost(FULL));
            if anew == 0 {
                frames.take(&[1; 32], 0);
            } else {
                frames.note_cut(0);
            }
            assert_eq!(frames.find(32, 24), Place::File);
        }
    }
}
