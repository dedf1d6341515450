//! The bytes of one file in one state, by its extents: which are certain, and which are lost.

use std::ops::Range;

/// No chunk is longer, and so no extent.
pub(super) const LENGTH_MAX: i64 = 1024 * 1024;
/// Lost bytes beyond so many extents read as zeros: a file of more than a tebibyte that is nearly all holes.
pub(super) const PIECES_MAX: usize = 1 << 20;

/// A row of `extent` or `extent_past`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) off: i64,
    pub(super) len: i64,
    pub(super) born: i64,
    /// Which bytes; none that are certain.
    pub(super) bytes: Option<(i64, i64)>,
}

impl Extent {
    pub(super) fn end(&self) -> i64 {
        self.off.saturating_add(self.len)
    }
}

/// What is between extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holes {
    /// Holes, of a file that has all its data.
    Holes,
    /// The place of data whose extents are gone, or may be.
    Doubted,
}

/// Whether each of the extents, sorted by offset, claims bytes that another claims.
pub(super) fn disputed(extents: &[Extent]) -> Vec<bool> {
    let mut found = vec![false; extents.len()];
    let mut last: Option<usize> = None;
    for (i, one) in extents.iter().enumerate() {
        match last {
            Some(last) if one.off < extents[last].end() => {
                found[last] = true;
                found[i] = true;
            }
            _ => {}
        }
        // The next is compared with the one that reaches furthest, not with its neighbour: a long one can lie over
        // many.
        if last.is_none_or(|last| one.end() > extents[last].end()) {
            last = Some(i);
        }
    }
    found
}

/// What of `0..size` no extent covers.
fn gaps(extents: &[Extent], size: i64) -> Vec<Range<i64>> {
    let mut found = Vec::new();
    let mut at = 0;
    for one in extents {
        if one.off > at && at < size {
            found.push(at..one.off.min(size));
        }
        at = at.max(one.end());
    }
    if at < size {
        found.push(at..size);
    }
    found
}

/// What becomes of the extents of a file of `size` bytes, sorted by offset: those that are certain, and the ranges
/// that are lost, in pieces that an extent can have. One of two that claim the same bytes is not where it was, and
/// nobody knows which.
pub(super) fn sort_out(
    extents: &[Extent],
    size: i64,
    holes: Holes,
) -> (Vec<Extent>, Vec<Range<i64>>) {
    let (mut certain, mut lost) = (Vec::new(), doubted(extents, size, holes));
    for (one, disputed) in extents.iter().zip(disputed(extents)) {
        let len = (size - one.off).min(one.len);
        match one.bytes {
            _ if len <= 0 => {}
            Some(_) if !disputed => certain.push(Extent { len, ..*one }),
            _ => lost.push(one.off..one.off + len),
        }
    }
    (certain, joined(lost))
}

/// Holes that may be none. What strayed has left one that is no longer than itself.
pub(super) fn doubted(extents: &[Extent], size: i64, holes: Holes) -> Vec<Range<i64>> {
    let strayed = disputed(extents).contains(&true) || extents.iter().any(|one| one.off >= size);
    let mut gaps = gaps(extents, size);
    gaps.retain(|gap| holes == Holes::Doubted || strayed && gap.end - gap.start <= LENGTH_MAX);
    gaps
}

/// Ranges, none of which overlap, no longer than an extent may be.
fn joined(mut ranges: Vec<Range<i64>>) -> Vec<Range<i64>> {
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<Range<i64>> = Vec::new();
    for range in ranges {
        match all.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => all.push(range),
        }
    }
    all.into_iter().flat_map(split).take(PIECES_MAX).collect()
}

/// Pieces no longer than an extent may be.
pub(super) fn split(range: Range<i64>) -> impl Iterator<Item = Range<i64>> {
    let step = usize::try_from(LENGTH_MAX).unwrap_or(1);
    let end = range.end;
    range
        .step_by(step)
        .map(move |from| from..end.min(from.saturating_add(LENGTH_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(off: i64, len: i64, chunk: i64) -> Extent {
        Extent {
            off,
            len,
            born: 1,
            bytes: (chunk > 0).then_some((chunk, 0)),
        }
    }

    fn ranges(of: &[(i64, i64)]) -> Vec<Range<i64>> {
        of.iter().map(|(from, to)| *from..*to).collect()
    }

    #[test]
    fn what_two_extents_claim_is_lost_whole_with_the_hole_that_one_has_left() {
        let strayed = [extent(0, 100, 1), extent(60, 100, 2), extent(200, 100, 3)];
        let found = sort_out(&strayed, 300, Holes::Holes);
        assert_eq!(found, (vec![strayed[2]], ranges(&[(0, 200)])));
        let inside = [
            extent(0, 100, 1),
            extent(20, 10, 2),
            extent(40, 10, 3),
            extent(100, 9, 4),
        ];
        let found = sort_out(&inside, 109, Holes::Holes);
        assert_eq!(found, (vec![inside[3]], ranges(&[(0, 100)])));
    }

    #[test]
    fn what_fits_stays_and_what_is_behind_the_end_goes() {
        let fits = [extent(0, 10, 1), extent(10, 10, 2), extent(30, 5, 3)];
        assert_eq!(
            sort_out(&fits, 40, Holes::Holes),
            (fits.to_vec(), Vec::new())
        );
        let cut = [extent(0, 10, 1), extent(10, 2, 2)];
        let behind = &fits[..2];
        assert_eq!(
            sort_out(behind, 12, Holes::Holes),
            (cut.to_vec(), Vec::new())
        );
        // One that is wholly behind the end may have been anywhere.
        let (certain, lost) = sort_out(&fits, 25, Holes::Holes);
        assert_eq!((certain.len(), lost), (2, ranges(&[(20, 25)])));
    }

    #[test]
    fn holes_are_lost_when_data_is_missing() {
        let fits = [extent(5, 10, 1), extent(30, 5, 3)];
        let (certain, lost) = sort_out(&fits, 40, Holes::Doubted);
        assert_eq!((certain.len(), lost), (2, vec![0..5, 15..30, 35..40]));
    }

    #[test]
    fn what_is_lost_is_in_pieces_of_a_chunk() {
        let (certain, lost) = sort_out(&[extent(0, i64::MAX, 0)], LENGTH_MAX + 5, Holes::Holes);
        assert_eq!(certain, []);
        assert_eq!(lost, [0..LENGTH_MAX, LENGTH_MAX..LENGTH_MAX + 5]);
    }
}
