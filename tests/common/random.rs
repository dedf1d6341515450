//! Numbers that are random enough for tests, and the seed that a run begins with.
#![allow(
    dead_code,
    clippy::print_stderr,
    reason = "no test binary needs all of it; a failure is repeated with the seed"
)]

/// A small generator: xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }

    /// An index below `limit`.
    pub(crate) fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// `len` bytes that do not repeat.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// The seed of this run: `CASK_TEST_SEED`, or `otherwise`.
pub(crate) fn seed_or(otherwise: u64) -> u64 {
    let seed = std::env::var("CASK_TEST_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(otherwise);
    eprintln!("seed {seed} (CASK_TEST_SEED)");
    seed
}

/// The seed of this run: `CASK_TEST_SEED`, or a fixed one, so that a failure repeats.
pub(crate) fn seed() -> u64 {
    seed_or(20_260_101)
}
