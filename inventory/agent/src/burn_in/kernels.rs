//! Computations whose results are known: each must come out the same on every sound processor, bit for bit.
//!
//! Floating point takes part with additions, multiplications, divisions and square roots only, which IEEE 754 rounds in
//! one way.

use super::amounts::scatter;
use sha2::{Digest, Sha256};

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// A chain of SHA-256: vector and rotate units, or the instructions for it.
    Hash,
    /// Multiplication and division of whole numbers, and branches that depend on them.
    Whole,
    /// Floating point.
    Float,
    /// A table larger than the first cache, read and written in a scattered order.
    Cache,
}

/// All of them, a few milliseconds each.
pub const KERNELS: [Kernel; 4] = [Kernel::Hash, Kernel::Whole, Kernel::Float, Kernel::Cache];

impl Kernel {
    /// As a person reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash => "SHA-256",
            Self::Whole => "whole numbers",
            Self::Float => "floating point",
            Self::Cache => "cache",
        }
    }

    /// What comes out, as a second implementation in another language has it.
    pub fn known(self) -> u64 {
        match self {
            Self::Hash => 0xec3e_b174_731c_e657,
            Self::Whole => 0x95ef_1a10_eea5_e1ac,
            Self::Float => 0x326e_d7fe_9620_796f,
            Self::Cache => 0xcf72_6260_f51e_a514,
        }
    }

    /// Computes it.
    pub fn compute(self) -> u64 {
        match self {
            Self::Hash => hash(),
            Self::Whole => whole(),
            Self::Float => float(),
            Self::Cache => cache(),
        }
    }
}

fn hash() -> u64 {
    let first: [u8; 32] = Sha256::digest(b"overture").into();
    let last = (0..8_000).fold(first, |digest, _| Sha256::digest(std::hint::black_box(digest)).into());
    let [a, b, c, d, e, f, g, h, ..] = last;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn whole() -> u64 {
    let mut sum = 0x0123_4567_89ab_cdef_u64;
    for i in 1..300_000_u64 {
        let value = std::hint::black_box(scatter(sum, i));
        let high = (u128::from(value) * u128::from(sum | 1)) >> 64;
        sum = sum.rotate_left((value % 63) as u32) ^ high as u64;
        sum = if sum & 4 == 0 { sum.wrapping_add(value / (i | 1)) } else { sum.wrapping_sub(value % (i | 1)) };
    }
    sum
}

fn float() -> u64 {
    let mut rows = [0.5_f64, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5];
    for i in 1..60_000_u32 {
        let step = f64::from(std::hint::black_box(i));
        for (at, row) in rows.iter_mut().enumerate() {
            let value = *row * 1.000_000_119 + step / (3.0 + at as f64);
            *row = if value > 1e9 { value.sqrt() } else { value };
        }
    }
    rows.iter().fold(0, |sum, row| sum.rotate_left(7) ^ row.to_bits())
}

fn cache() -> u64 {
    const WORDS: usize = 64 * 1024;
    let mut table: Vec<u64> = (0..WORDS as u64).map(|at| scatter(11, at)).collect();
    let mut at = 0;
    for round in 0..400_000_u64 {
        let value = table[at].rotate_left(9).wrapping_add(round);
        table[at] = value;
        at = value as usize % WORDS;
    }
    table.iter().fold(0, |sum, value| sum.rotate_left(3) ^ value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_processor_knows_the_results() {
        for kernel in KERNELS {
            assert_eq!(kernel.compute(), kernel.known(), "{}: {:#x}", kernel.name(), kernel.compute());
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // SHA-256 of "overture" as sha256sum of coreutils has it: what the chain starts from.
        let digest: [u8; 32] = Sha256::digest(b"overture").into();
        assert_eq!(digest[..4], [0x69, 0x07, 0x16, 0x98]);
    }
}
