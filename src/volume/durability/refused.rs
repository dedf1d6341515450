//! Writes from the page cache that could not be stored: a full volume, a limit, an error of the disk.
//!
//! The kernel drops such pages and reports that once; to a later fsync(2) it would say that all is well. So they are
//! remembered, and each fsync of the file fails, until the range is written again or cut off. Their bytes are kept as
//! far as there is memory for it: they are what readers see, and are stored once there is room again.
//!
//! Knows nothing of when there is room: `volume/space/headroom.rs` does.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::meta::{Refusal, RefusedRange};
use crate::types::{Ino, MAX_FILE_BYTES, wait_for_lock};
use crate::volume::error::{Error, Result};

/// Bytes that are kept at most. What is beyond is remembered, and lost.
const KEPT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Pieces that are remembered at most. Of the file with one more, all counts as refused.
const PIECES_MAX: usize = 4096;

/// What was refused since the connection began.
#[derive(Debug, Default)]
pub(in crate::volume) struct RefusedWrites {
    files: Mutex<Files>,
    /// Whether there is anything: else nobody needs to look.
    any: AtomicBool,
    /// Counts the changes: who read what is stored and then what is kept must have met none between.
    changes: AtomicU64,
    /// Held while a range is written that was refused before, so that kept bytes are not stored over newer ones.
    order: Mutex<()>,
}

#[derive(Debug, Default)]
struct Files {
    /// By offset; the pieces of a file do not overlap.
    pieces: BTreeMap<Ino, Vec<Piece>>,
    count: usize,
    kept_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    range: Range<u64>,
    refusal: Refusal,
    /// The bytes of the range, if there was memory for them.
    data: Option<Arc<[u8]>>,
}

impl Piece {
    fn kept_bytes(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.len() as u64)
    }

    /// The part of it that lies within `range`.
    fn clip(&self, range: &Range<u64>) -> Option<Self> {
        let part = self.range.start.max(range.start)..self.range.end.min(range.end);
        let at = |offset: u64| usize::try_from(offset - self.range.start).unwrap_or(usize::MAX);
        (part.start < part.end).then(|| Self {
            data: self
                .data
                .as_ref()
                .map(|data| data[at(part.start)..at(part.end)].into()),
            refusal: self.refusal,
            range: part,
        })
    }
}

impl Files {
    /// `range` of the file is refused no more; whether some of it was.
    fn clear(&mut self, ino: Ino, range: &Range<u64>) -> bool {
        let Some(pieces) = self.pieces.get_mut(&ino) else {
            return false;
        };
        let first = pieces.partition_point(|piece| piece.range.end <= range.start);
        let behind = pieces.partition_point(|piece| piece.range.start < range.end);
        if first >= behind {
            return false;
        }
        let touched = &pieces[first..behind];
        let sides = [0..range.start, range.end..u64::MAX];
        let rest = touched
            .iter()
            .flat_map(|piece| sides.iter().filter_map(|side| piece.clip(side)));
        let rest: Vec<_> = rest.collect();
        let kept = |pieces: &[Piece]| pieces.iter().map(Piece::kept_bytes).sum::<u64>();
        self.kept_bytes = self.kept_bytes - kept(touched) + kept(&rest);
        self.count = self.count - touched.len() + rest.len();
        drop(pieces.splice(first..behind, rest));
        if pieces.is_empty() {
            self.pieces.remove(&ino);
        }
        true
    }

    /// Returns the range that counts as refused now.
    fn note(&mut self, ino: Ino, offset: u64, data: &[u8], refusal: Refusal) -> Range<u64> {
        let range = offset..offset + data.len() as u64;
        self.clear(ino, &range);
        if self.count >= PIECES_MAX {
            let whole = 0..MAX_FILE_BYTES;
            self.clear(ino, &whole);
            self.add(
                ino,
                Piece {
                    range: whole.clone(),
                    refusal,
                    data: None,
                },
            );
            return whole;
        }
        let fits = self.kept_bytes + data.len() as u64 <= KEPT_BYTES_MAX;
        let data = fits.then(|| data.into());
        self.add(
            ino,
            Piece {
                range: range.clone(),
                refusal,
                data,
            },
        );
        range
    }

    fn add(&mut self, ino: Ino, piece: Piece) {
        self.kept_bytes += piece.kept_bytes();
        self.count += 1;
        let pieces = self.pieces.entry(ino).or_default();
        let at = pieces.partition_point(|other| other.range.start < piece.range.start);
        pieces.insert(at, piece);
    }

    /// What readers of `len` bytes at `offset` see in place of `bytes`, which end at the end of the file.
    fn overlay(&self, ino: Ino, offset: u64, len: usize, bytes: &mut Vec<u8>) {
        let wanted = offset..offset.saturating_add(len as u64);
        let pieces = self.pieces.get(&ino).into_iter().flatten();
        for part in pieces.filter_map(|piece| piece.clip(&wanted)) {
            let Some(data) = part.data else { continue };
            let start = usize::try_from(part.range.start - offset).unwrap_or(usize::MAX);
            let end = start + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(&data);
        }
    }

    /// Where the kept bytes of the file end.
    fn end(&self, ino: Ino) -> u64 {
        let kept = |piece: &&Piece| piece.data.is_some();
        let pieces = self.pieces.get(&ino).into_iter().flatten();
        pieces
            .filter(kept)
            .map(|piece| piece.range.end)
            .max()
            .unwrap_or(0)
    }

    fn first_kept(&self, ino: Ino, from: u64) -> Option<(u64, Arc<[u8]>)> {
        let pieces = self.pieces.get(&ino)?.iter();
        let mut behind = pieces.filter(|piece| piece.range.start >= from);
        behind.find_map(|piece| Some((piece.range.start, Arc::clone(piece.data.as_ref()?))))
    }
}

impl RefusedWrites {
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// A write of the file was refused; returns the range that counts as refused now.
    pub(super) fn note(&self, ino: Ino, offset: u64, data: &[u8], refusal: Refusal) -> Range<u64> {
        self.change(|files| files.note(ino, offset, data, refusal))
    }

    /// `range` of the file is refused no more; whether some of it was.
    pub(super) fn clear(&self, ino: Ino, range: &Range<u64>) -> bool {
        self.any() && self.change(|files| files.clear(ino, range))
    }

    /// What another server refused, whose bytes went with it.
    pub(super) fn inherit(&self, ranges: Vec<RefusedRange>) {
        self.change(|files| {
            for RefusedRange {
                ino,
                range,
                refusal,
            } in ranges
            {
                files.add(
                    ino,
                    Piece {
                        range,
                        refusal,
                        data: None,
                    },
                );
            }
        });
    }

    /// The files of which something is refused.
    pub(super) fn inos(&self) -> Vec<Ino> {
        self.locked().pieces.keys().copied().collect()
    }

    /// The first kept bytes of the file from `from` on, and where they belong.
    pub(super) fn first_kept(&self, ino: Ino, from: u64) -> Option<(u64, Arc<[u8]>)> {
        self.locked().first_kept(ino, from)
    }

    /// Counts the changes, in which kept bytes may have become stored ones.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// What readers of `len` bytes at `offset` see in place of `bytes`, which end at the end of the file.
    pub(super) fn overlay(&self, ino: Ino, offset: u64, len: usize, bytes: &mut Vec<u8>) {
        if self.any() {
            self.locked().overlay(ino, offset, len, bytes);
        }
    }

    /// Where the kept bytes of the file end.
    pub(super) fn end(&self, ino: Ino) -> u64 {
        if self.any() {
            self.locked().end(ino)
        } else {
            0
        }
    }

    fn locked(&self) -> MutexGuard<'_, Files> {
        self.files.lock()
    }

    /// Whether something of the file was refused.
    pub(in crate::volume) fn has(&self, ino: Ino) -> bool {
        self.any() && self.locked().pieces.contains_key(&ino)
    }

    /// To be held while the file is changed, if something of it was refused.
    pub(in crate::volume) fn order(&self, ino: Ino) -> Option<MutexGuard<'_, ()>> {
        self.has(ino).then(|| wait_for_lock(&self.order))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Files) -> T) -> T {
        let mut files = self.locked();
        let changed = change(&mut files);
        // In this order: who sees that there is nothing any more reads what was stored before.
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.any.store(!files.pieces.is_empty(), Ordering::SeqCst);
        changed
    }

    /// The error of an fsync of the file, or of whoever else needs `range` of it.
    pub(super) fn check(&self, ino: Ino, range: &Range<u64>) -> Result<()> {
        if !self.any() {
            return Ok(());
        }
        let files = self.locked();
        let mut pieces = files.pieces.get(&ino).into_iter().flatten();
        let first =
            pieces.find(|piece| piece.range.start < range.end && piece.range.end > range.start);
        match first.map(|piece| piece.refusal) {
            None => Ok(()),
            Some(Refusal::Full) => Err(Error::NoSpace),
            Some(Refusal::Failed) => Err(Error::Storage {
                what: format!("an earlier write of {ino} failed and was not repeated"),
                source: io::ErrorKind::InvalidData.into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INO: Ino = Ino::from_raw(9);

    fn ranges(files: &Files) -> Vec<Range<u64>> {
        let pieces = files.pieces.get(&INO).into_iter().flatten();
        pieces.map(|piece| piece.range.clone()).collect()
    }

    #[test]
    fn what_is_written_again_or_cut_off_is_refused_no_more() {
        let mut files = Files::default();
        files.note(INO, 100, &[1; 100], Refusal::Full);
        files.note(INO, 300, &[2; 100], Refusal::Failed);
        assert!(files.clear(INO, &(150..160)));
        assert_eq!(ranges(&files), [100..150, 160..200, 300..400]);
        assert_eq!(files.kept_bytes, 190);
        assert!(!files.clear(INO, &(200..300)));
        assert!(files.clear(INO, &(120..u64::MAX)));
        assert_eq!(ranges(&files).first(), Some(&(100..120)));
        assert_eq!((ranges(&files).len(), files.kept_bytes), (1, 20));
        assert!(files.clear(INO, &(0..u64::MAX)));
        assert!(files.pieces.is_empty() && files.kept_bytes == 0);
    }

    #[test]
    fn a_file_with_very_many_pieces_is_refused_as_a_whole() {
        let mut files = Files::default();
        for number in 0..=PIECES_MAX as u64 {
            files.note(INO, 8192 * number, &[1; 4], Refusal::Full);
        }
        assert_eq!((files.count, files.kept_bytes), (1, 0));
        assert_eq!(ranges(&files).first(), Some(&(0..MAX_FILE_BYTES)));
        assert!(files.clear(INO, &(0..u64::MAX)) && files.count == 0);
    }

    #[test]
    fn readers_see_what_was_refused_last() {
        let mut files = Files::default();
        files.note(INO, 4, &[1; 8], Refusal::Full);
        files.note(INO, 8, &[2; 8], Refusal::Full);
        let mut bytes = vec![9; 6];
        files.overlay(INO, 2, 20, &mut bytes);
        assert_eq!(bytes, [9, 9, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(files.end(INO), 16);
        let mut middle = vec![0; 2];
        files.overlay(INO, 7, 2, &mut middle);
        assert_eq!(middle, [1, 2]);
    }

    #[test]
    fn bytes_beyond_the_bound_are_remembered_without_being_kept() {
        let mut files = Files::default();
        let half = vec![1; usize::try_from(KEPT_BYTES_MAX / 2).unwrap()];
        for number in 0..3 {
            files.note(INO, number * KEPT_BYTES_MAX, &half, Refusal::Full);
        }
        assert_eq!(
            (ranges(&files).len(), files.kept_bytes),
            (3, KEPT_BYTES_MAX)
        );
        assert!(files.clear(INO, &(0..1)));
        assert_eq!(files.kept_bytes, KEPT_BYTES_MAX - 1);
    }

    #[test]
    fn who_waits_for_the_order_of_writes_tells() {
        let refused = RefusedWrites::default();
        refused.note(INO, 0, &[1; 4], Refusal::Full);
        let held = refused.order(INO);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let refused = &refused;
            scope.spawn(move || {
                crate::types::on_waiting(move || tell.send(()).unwrap());
                drop(refused.order(INO));
            });
            let heard = told.recv_timeout(std::time::Duration::from_secs(10));
            drop(held);
            heard.expect("it is told before the wait");
        });
    }
}
