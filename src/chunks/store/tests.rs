//! Appending, reading and syncing chunks.

use super::*;
use crate::chunks::pread::is_here;
use std::os::unix::fs::FileExt;

fn store() -> (tempfile::TempDir, ChunkStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ChunkStore::open(dir.path(), SegmentId::from_raw(1)).unwrap();
    (dir, store)
}

#[test]
fn any_range_of_a_chunk_reads_back() {
    let (_dir, store) = store();
    let data: Vec<u8> = (0..20_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let chunk = NewChunk::of(&data);
    let at = store.append(Stream::Fresh, &[&chunk]).unwrap().places[0];
    for range in [0..20_000, 0..1, 4095..4097, 8192..12_288, 19_999..20_000] {
        let mut out = vec![0; range.len()];
        store.read(&at, &chunk.sums, range.start, &mut out).unwrap();
        assert_eq!(out, data[range]);
    }
    let too_far = store.read(&at, &chunk.sums, 19_999, &mut [0; 2]);
    assert!(matches!(too_far, Err(Error::Corrupt { .. })));
}

#[test]
fn a_flipped_byte_is_an_error_and_other_pages_still_read() {
    let (dir, store) = store();
    let chunk = NewChunk::of(&[9; 10_000]);
    let at = store.append(Stream::Fresh, &[&chunk]).unwrap().places[0];
    let path = segment::path_of(dir.path(), at.segment);
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&[8], at.offset + 5000).unwrap();
    let bad = store.read(&at, &chunk.sums, 4096, &mut [0; 10]);
    assert!(matches!(bad, Err(Error::Corrupt { .. })));
    store.read(&at, &chunk.sums, 0, &mut [0; 4096]).unwrap();
}

#[test]
fn small_parts_of_a_chunk_are_no_sequence() {
    let (_dir, store) = store();
    let chunk = NewChunk::of(&[5; 128 * PAGE_BYTES]);
    let at = store.append(Stream::Fresh, &[&chunk]).unwrap().places[0];
    store.sync(Stream::Fresh, std::convert::identity).unwrap();
    let file = store.reader(at.segment).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let far = at.offset + (100 * PAGE_BYTES) as u64;
    if is_here(&file, far.next_multiple_of(PAGE_BYTES as u64)) {
        eprintln!("skipped: the host keeps temporary files in memory");
        return;
    }
    // One after the other, as the host would take for a sequence.
    for page in 8..16 {
        let mut out = [0; PAGE_BYTES];
        store
            .read(&at, &chunk.sums, page * PAGE_BYTES, &mut out)
            .unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    let next = at.offset + (30 * PAGE_BYTES) as u64;
    assert!(!is_here(&file, next.next_multiple_of(PAGE_BYTES as u64)));
}

#[test]
fn readers_go_on_while_their_segment_is_unlinked() {
    let (_dir, store) = store();
    let chunk = NewChunk::of(b"still here");
    let at = store.append(Stream::Fresh, &[&chunk]).unwrap().places[0];
    let held = store.reader(at.segment).unwrap();
    store.seal();
    store.sync(Stream::Fresh, std::convert::identity).unwrap();
    store.remove(at.segment).unwrap();
    let mut out = [0; 10];
    held.read_exact_at(&mut out, at.offset).unwrap();
    assert_eq!(&out, b"still here");
    let gone = store.read(&at, &chunk.sums, 0, &mut out);
    assert!(matches!(gone, Err(Error::Missing { .. })));
}

#[test]
fn full_segments_are_followed_by_new_ones_and_numbers_are_never_reused() {
    let (dir, store) = store();
    let data = vec![3; 1024 * 1024];
    let places: Vec<_> = (0..70)
        .map(|i: u8| {
            let mut data = data.clone();
            data[0] = i;
            store
                .append(Stream::Fresh, &[&NewChunk::of(&data)])
                .unwrap()
                .places[0]
        })
        .collect();
    assert_eq!(places[0].segment.raw(), 1);
    assert_eq!(places[69].segment.raw(), 2);
    let mark = store.sync(Stream::Fresh, std::convert::identity).unwrap();
    assert_eq!(mark.segment.raw(), 2);
    assert!(mark.offset > places[69].offset);
    drop(store);
    let again = ChunkStore::open(dir.path(), SegmentId::from_raw(1)).unwrap();
    assert_eq!(
        again
            .append(Stream::Fresh, &[&NewChunk::of(b"x")])
            .unwrap()
            .places[0]
            .segment
            .raw(),
        3
    );
}

#[test]
fn small_syncs_write_ahead_without_harming_later_appends() {
    let (_dir, store) = store();
    let mut kept = Vec::new();
    for i in 0..400_u32 {
        let data = vec![i.to_le_bytes()[0] | 1; 4096 + i as usize];
        let chunk = NewChunk::of(&data);
        let (sums, at) = (
            chunk.sums.clone(),
            store.append(Stream::Fresh, &[&chunk]).unwrap().places[0],
        );
        store.sync(Stream::Fresh, std::convert::identity).unwrap();
        kept.push((at, sums, data));
    }
    for (at, sums, data) in kept {
        let mut out = vec![0; data.len()];
        store.read(&at, &sums, 0, &mut out).unwrap();
        assert_eq!(out, data);
    }
}

/// A sync must not let go of a full segment that an append is still under way to.
#[test]
fn a_full_segment_with_an_append_under_way_is_synced_later() {
    let (_dir, store) = store();
    let data = vec![5; 100_000];
    let chunk = NewChunk::of(&data);
    // A writer has its place, and was not scheduled since.
    let (segment, at) = store
        .reserve(Stream::Fresh, segment::bytes_of(&[&chunk]))
        .unwrap();
    let big = vec![6; 1 << 20];
    while store
        .append(Stream::Fresh, &[&NewChunk::of(&big)])
        .unwrap()
        .places[0]
        .segment
        == segment.id()
    {}
    store.sync(Stream::Fresh, std::convert::identity).unwrap();
    // It goes on, commits, and its caller syncs.
    segment.write(at, &[&chunk]).unwrap();
    store.sync(Stream::Fresh, std::convert::identity).unwrap();
    assert!(
        !segment.is_dirty(),
        "an fsync returned, and the chunk's segment was not synced"
    );
}

/// "Every record that ends before the mark is durable" (docs/format.md, `state`).
#[test]
fn the_mark_does_not_cover_an_append_that_is_under_way() {
    let (_dir, store) = store();
    let data = vec![5; 100_000];
    let chunk = NewChunk::of(&data);
    let (segment, at) = store
        .reserve(Stream::Fresh, segment::bytes_of(&[&chunk]))
        .unwrap();
    store
        .append(Stream::Fresh, &[&NewChunk::of(b"another")])
        .unwrap();
    let mark = store.sync(Stream::Fresh, std::convert::identity).unwrap();
    let place = segment.write(at, &[&chunk]).unwrap()[0];
    assert!(
        place.offset >= mark.offset,
        "a record at {} that was not written yet is before the mark {}",
        place.offset,
        mark.offset
    );
}

/// That `act` tells before it waits for a lock that somebody has.
fn tells_of_waiting<T>(lock: &Mutex<T>, act: impl FnOnce() + Send) {
    let (tell, told) = std::sync::mpsc::channel();
    let held = lock.lock();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            crate::types::on_waiting(move || tell.send(()).unwrap());
            act();
        });
        let heard = told.recv_timeout(std::time::Duration::from_secs(10));
        drop(held);
        heard.unwrap();
    });
}

/// Whoever leads a connection's threads hands that on before it waits for another's sync, or for a new segment.
#[test]
fn who_waits_for_a_sync_or_for_a_place_tells() {
    let (_dir, store) = store();
    let sync = || assert!(store.sync(Stream::Fresh, |mark| mark).is_ok());
    tells_of_waiting(&store.syncing[0], sync);
    tells_of_waiting(&store.concluding, sync);
    let append = || assert!(store.append(Stream::Fresh, &[&NewChunk::of(b"a")]).is_ok());
    tells_of_waiting(&store.appending, append);
}
