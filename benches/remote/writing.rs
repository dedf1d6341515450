//! What is pushed: bytes that neither compress nor repeat, and very many small files.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        words.take(len).collect()
    }
}

/// So many bytes.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    Random(seed).bytes(len)
}

/// A new file of so many bytes.
pub(crate) fn fill(path: &Path, bytes: u64, seed: u64) {
    let mut random = Random(seed + 0x9E37_79B9);
    let mut file = File::create(path).unwrap();
    for _ in 0..bytes >> 20 {
        file.write_all(&random.bytes(1 << 20)).unwrap();
    }
    file.sync_all().unwrap();
}

/// Writes pages of a file anew, at random places.
pub(crate) fn change_pages(path: &Path, count: u32, seed: u64) {
    let mut random = Random(seed + 0xBF58_476D);
    let file = File::options().write(true).open(path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for _ in 0..count {
        let at = random.next() % pages * 4096;
        file.write_all_at(&random.bytes(4096), at).unwrap();
    }
    file.sync_all().unwrap();
}

/// An archive of so many small files, a thousand a directory (pax(1), ustar interchange format).
pub(crate) fn many_files(path: &Path, count: u32) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    for number in 0..count {
        let (dir, file) = (number / 1000, number % 1000);
        if file == 0 {
            out.write_all(&header(&format!("{dir}/"), 0, b'5')).unwrap();
        }
        let content = format!("{dir} {file}\n");
        let name = format!("{dir}/{file}");
        out.write_all(&header(&name, content.len(), b'0')).unwrap();
        let mut block = [0; 512];
        block[..content.len()].copy_from_slice(content.as_bytes());
        out.write_all(&block).unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.flush().unwrap();
}

fn header(name: &str, bytes: usize, kind: u8) -> [u8; 512] {
    let mut block = [0; 512];
    let mode = if kind == b'5' { 0o755 } else { 0o644 };
    let fields = [
        (0, name.to_owned()),
        (100, format!("{mode:07o}")),
        (108, format!("{:07o}", 0)),
        (116, format!("{:07o}", 0)),
        (124, format!("{bytes:011o}")),
        (136, format!("{:011o}", 1_700_000_000)),
        (148, "        ".to_owned()),
        (257, "ustar\0".to_owned() + "00"),
    ];
    for (at, text) in fields {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    block[156] = kind;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
