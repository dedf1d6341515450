//! Blocks of rows, column by column: numbers as differences, texts one behind the other. Equal columns of neighbours take
//! next to nothing so, once they are compressed.
//!
//! Knows numbers and texts, not what they mean.

/// A row: as many numbers and texts as its table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cells<const N: usize, const T: usize> {
    pub(super) numbers: [u64; N],
    pub(super) texts: [Vec<u8>; T],
}

/// Compression of blocks: they are made once, and read often.
const LEVEL: i32 = 3;
/// No block is longer before it is compressed.
const PLAIN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Packs rows into a block.
pub(super) fn encode<const N: usize, const T: usize>(rows: &[Cells<N, T>]) -> Option<Vec<u8>> {
    compress(rows, Vec::new())
}

/// The same, with a column of numbers before all others.
pub(super) fn encode_marked<const N: usize, const T: usize>(
    marks: &[u64],
    rows: &[Cells<N, T>],
) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    push_numbers(&mut plain, marks.iter().copied());
    compress(rows, plain)
}

/// Packs rows behind what is in the block already.
fn compress<const N: usize, const T: usize>(
    rows: &[Cells<N, T>],
    mut plain: Vec<u8>,
) -> Option<Vec<u8>> {
    for column in 0..N {
        push_numbers(&mut plain, rows.iter().map(|row| row.numbers[column]));
    }
    for column in 0..T {
        push_numbers(
            &mut plain,
            rows.iter().map(|row| row.texts[column].len() as u64),
        );
        let bytes: Vec<u8> = rows
            .iter()
            .flat_map(|row| row.texts[column].iter().copied())
            .collect();
        push_column(&mut plain, &bytes);
    }
    zstd::bulk::compress(&plain, LEVEL).ok()
}

/// Unpacks a block of so many rows; `None` when it is none.
pub(super) fn decode<const N: usize, const T: usize>(
    block: &[u8],
    rows: usize,
) -> Option<Vec<Cells<N, T>>> {
    take_rows(&unpack(block)?, rows)
}

/// The same of one with a column of numbers before all others.
pub(super) fn decode_marked<const N: usize, const T: usize>(
    block: &[u8],
    rows: usize,
) -> Option<(Vec<u64>, Vec<Cells<N, T>>)> {
    let plain = unpack(block)?;
    let mut rest = plain.as_slice();
    let marks = take_numbers(&mut rest, rows)?;
    Some((marks, take_rows(rest, rows)?))
}

fn unpack(block: &[u8]) -> Option<Vec<u8>> {
    let plain =
        zstd::bulk::Decompressor::upper_bound(block).filter(|len| *len <= PLAIN_BYTES_MAX)?;
    zstd::bulk::decompress(block, plain).ok()
}

fn take_rows<const N: usize, const T: usize>(
    mut rest: &[u8],
    rows: usize,
) -> Option<Vec<Cells<N, T>>> {
    let most = rest.len();
    let empty = || Cells {
        numbers: [0; N],
        texts: std::array::from_fn(|_| Vec::new()),
    };
    // Every number takes a byte at least: what says that it has more rows is no block.
    let mut cells: Vec<Cells<N, T>> = (0..rows.min(most)).map(|_| empty()).collect();
    for column in 0..N {
        let numbers = take_numbers(&mut rest, rows)?;
        for (cells, number) in cells.iter_mut().zip(numbers) {
            cells.numbers[column] = number;
        }
    }
    for column in 0..T {
        let lengths = take_numbers(&mut rest, rows)?;
        let mut texts = take_column(&mut rest)?;
        for (cells, len) in cells.iter_mut().zip(lengths) {
            let text = texts.split_off(..usize::try_from(len).ok()?)?;
            cells.texts[column] = text.to_vec();
        }
    }
    (rest.is_empty() && cells.len() == rows).then_some(cells)
}

fn push_numbers(plain: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let (mut column, mut before) = (Vec::new(), 0_u64);
    for number in numbers {
        push_varint(&mut column, zigzag(number.wrapping_sub(before)));
        before = number;
    }
    push_column(plain, &column);
}

fn push_column(plain: &mut Vec<u8>, column: &[u8]) {
    push_varint(plain, column.len() as u64);
    plain.extend(column);
}

fn take_numbers(rest: &mut &[u8], rows: usize) -> Option<Vec<u64>> {
    let mut column = take_column(rest)?;
    let (mut numbers, mut before) = (Vec::with_capacity(rows.min(column.len())), 0_u64);
    for _ in 0..rows {
        before = before.wrapping_add(unzigzag(take_varint(&mut column)?));
        numbers.push(before);
    }
    column.is_empty().then_some(numbers)
}

fn take_column<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(rest)?).ok()?;
    rest.split_off(..len)
}

/// So that small differences to both sides are small numbers.
const fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ ((difference.cast_signed() >> 63).cast_unsigned())
}

const fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Seven bits a byte, the lowest first; the eighth says that more follow (LEB128).
fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(lowest(number) | 0x80);
        number >>= 7;
    }
    bytes.push(lowest(number));
}

/// The lowest seven bits.
const fn lowest(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = Vec<Cells<2, 1>>> {
        let row = (any::<[u64; 2]>(), any::<Vec<u8>>()).prop_map(|(numbers, text)| Cells {
            numbers,
            texts: [text],
        });
        prop::collection::vec(row, 0..50)
    }

    proptest! {
        #[test]
        fn rows_come_back(rows in rows()) {
            let block = encode(&rows).unwrap();
            prop_assert_eq!(decode::<2, 1>(&block, rows.len()), Some(rows));
        }

        #[test]
        fn marked_rows_come_back(rows in rows(), of_all in any::<u64>()) {
            let marks: Vec<u64> = (0..rows.len() as u64).map(|at| at ^ of_all).collect();
            let block = encode_marked(&marks, &rows).unwrap();
            prop_assert_eq!(decode_marked::<2, 1>(&block, rows.len()), Some((marks, rows)));
        }

        #[test]
        fn other_bytes_are_no_block(rows in rows(), at: prop::sample::Index, bit in 0..8_u8) {
            let mut block = encode(&rows).unwrap();
            let at = at.index(block.len());
            block[at] ^= 1 << bit;
            // Whatever it is taken for, it is as many rows as are asked for, and takes no more than it has.
            if let Some(found) = decode::<2, 1>(&block, rows.len()) {
                prop_assert_eq!(found.len(), rows.len());
            }
            prop_assert!(decode::<2, 1>(&block, usize::MAX).is_none());
        }
    }
}
