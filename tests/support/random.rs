//! Random numbers that a failed test can be given again.

use std::time::Duration;

/// A generator (xorshift64*, Vigna 2016).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From `OVERTURE_SEED`, or else from `usual`; says which, so that a failure shows it.
    pub fn seeded(usual: u64) -> Self {
        let seed = std::env::var("OVERTURE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
        println!("the seed is {seed}; OVERTURE_SEED={seed} repeats this");
        Self(seed.max(1))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// Some bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.number() >> 32) as u8).collect()
    }

    /// A time up to so many milliseconds.
    pub fn up_to_ms(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most * 1000))
    }
}
