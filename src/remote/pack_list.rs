//! Places as an object lists many of them: the ids of their packs come first, and each place names its pack by its number
//! there (docs/remote-format.md).

use std::collections::HashMap;

use super::object::ObjectId;
use super::place::{Packing, Place};

/// Bytes of a place: number of the pack, piece, offset, stored and plain length, packing.
pub(super) const PLACE_BYTES: usize = 5 * 4 + 1;

/// The packs of what is being written, by when they were first named.
#[derive(Debug, Default)]
pub(super) struct PackList {
    packs: Vec<ObjectId>,
    numbers: HashMap<ObjectId, usize>,
}

impl PackList {
    /// Appends a place to `entries`.
    pub(super) fn write(&mut self, place: &Place, entries: &mut Vec<u8>) {
        let number = *self.numbers.entry(place.pack).or_insert_with(|| {
            self.packs.push(place.pack);
            self.packs.len() - 1
        });
        for word in [
            // There are fewer packs than chunks, which are counted in memory.
            u32::try_from(number).unwrap_or(u32::MAX),
            place.piece,
            place.offset,
            place.stored_len,
            place.len,
        ] {
            entries.extend(word.to_le_bytes());
        }
        entries.push(place.packing.to_raw());
    }

    /// Appends the packs, and behind them the entries that name them, to `body`.
    pub(super) fn finish(self, entries: &[u8], body: &mut Vec<u8>) {
        let count = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
        body.extend(count.to_le_bytes());
        body.extend(self.packs.iter().flat_map(|id| *id.as_bytes()));
        body.extend(entries);
    }
}

/// The packs, and the bytes of the entries; `None` when there are fewer bytes than that.
pub(super) fn split(bytes: &[u8]) -> Option<(Vec<ObjectId>, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let len = (u32::from_le_bytes(*count) as usize).checked_mul(ObjectId::LEN)?;
    let (packs, entries) = rest.split_at_checked(len)?;
    let packs = packs.as_chunks::<{ ObjectId::LEN }>().0.iter();
    Some((packs.copied().map(ObjectId::from_bytes).collect(), entries))
}

/// The place that these [`PLACE_BYTES`] are; `None` when there can be no such.
pub(super) fn read(packs: &[ObjectId], bytes: &[u8]) -> Option<Place> {
    let word = |n: usize| {
        let bytes = bytes.get(4 * n..4 * n + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let place = Place {
        pack: *packs.get(word(0)? as usize)?,
        piece: word(1)?,
        offset: word(2)?,
        stored_len: word(3)?,
        len: word(4)?,
        packing: Packing::from_raw(*bytes.get(PLACE_BYTES - 1)?)?,
    };
    place.is_possible().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_the_format_says() {
        let place = |pack: u8, piece| Place {
            pack: ObjectId::from_bytes([pack; 32]),
            piece,
            offset: 0x0102,
            stored_len: 3,
            len: 4,
            packing: Packing::Zstd,
        };
        let places = [place(7, 5), place(8, 6), place(7, 9)];
        let (mut list, mut entries) = (PackList::default(), Vec::new());
        for one in &places {
            list.write(one, &mut entries);
        }
        let mut body = Vec::new();
        list.finish(&entries, &mut body);
        let said = |pack: u8, piece: u8| {
            let words = [pack, 0, 0, 0, piece, 0, 0, 0, 2, 1, 0, 0, 3, 0, 0, 0, 4];
            [&words[..], &[0, 0, 0, 2]].concat()
        };
        let packs = [[7; 32], [8; 32]].concat();
        let all = [said(0, 5), said(1, 6), said(0, 9)].concat();
        assert_eq!(body, [&[2, 0, 0, 0], &packs[..], &all].concat());
        let (packs, entries) = split(&body).unwrap();
        let found = entries.chunks(PLACE_BYTES).map(|one| read(&packs, one));
        assert_eq!(found.collect::<Vec<_>>(), places.map(Some));
        assert!(read(&packs[..1], &entries[PLACE_BYTES..]).is_none());
        assert!(split(&body[..60]).is_none());
    }
}
