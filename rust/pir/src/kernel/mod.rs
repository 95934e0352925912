//! The arithmetic, in the widest instructions that this processor has.
//!
//! `Kernel` is the choice, made at run time. The inner products of digits and words, where the time goes, are
//! written by hand for AVX2 and AVX-512 (`x86`) and for NEON (`arm`); the portable ones here, and all else, are
//! plain loops that the compiler makes into vectors, once for each choice. Every choice gives the same results.

// Calling a function that was compiled for a processor's features is unsafe where the compiler cannot see that
// they are there. `Kernel::detect` and `Kernel::all` are what saw it; nothing else makes a `Kernel`.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
mod arm;
mod lines;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use lines::{Chunk, Line, ROWS};

use crate::layout::{COINS, LINE};

/// Which instructions are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Define methods that run a plain loop, compiled for each kind of instructions.
macro_rules! widest {
    ($($(#[$about:meta])* fn $name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {$(
        $(#[$about])*
        pub(crate) fn $name(self, $($argument: $kind),*) $(-> $result)? {
            match self.0 {
                Kind::Portable => plain::$name($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => {
                    #[target_feature(enable = "avx2,popcnt")]
                    fn avx2($($argument: $kind),*) $(-> $result)? {
                        plain::$name($($argument),*)
                    }
                    // SAFETY: a Kernel of this kind exists only where the features were detected.
                    unsafe { avx2($($argument),*) }
                }
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => {
                    #[target_feature(enable = "avx2,popcnt,avx512f,avx512bw,avx512vl,avx512dq")]
                    fn avx512($($argument: $kind),*) $(-> $result)? {
                        plain::$name($($argument),*)
                    }
                    // SAFETY: as above.
                    unsafe { avx512($($argument),*) }
                }
                // Every processor of the kind has NEON, so that is what the loops are made into.
                #[cfg(target_arch = "aarch64")]
                Kind::Neon => plain::$name($($argument),*),
            }
        }
    )*};
}

impl Kernel {
    /// The fastest that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        Self::all()
            .into_iter()
            .next_back()
            .unwrap_or(Self(Kind::Portable))
    }

    /// All that this processor has, the slowest first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        #[cfg_attr(
            not(any(target_arch = "x86_64", target_arch = "aarch64")),
            allow(unused_mut)
        )]
        let mut all = vec![Self(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("popcnt");
            if avx2 {
                all.push(Self(Kind::Avx2));
            }
            let wide = has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq");
            if avx2 && wide && has!("avx512vnni") {
                all.push(Self(Kind::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            all.push(Self(Kind::Neon));
        }
        all
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon-dotprod",
        }
    }

    /// Words in the form that `products` takes.
    pub(crate) fn chunk(self, words: &[u32; LINE]) -> Chunk {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => self.planes(words),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => self.signed_planes(words),
            _ => self.halves(words),
        }
    }

    /// The inner products of some rows with the words, modulo 2^32: over as many lines as the shortest has.
    ///
    /// The time depends on the lengths alone.
    pub(crate) fn products(self, rows: [&[Line]; ROWS], words: &[Chunk]) -> [u32; ROWS] {
        match self.0 {
            Kind::Portable => plain::products(rows, words),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a Kernel of this kind exists only where the features were detected.
            Kind::Avx2 => unsafe { x86::products_avx2(rows, words) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kind::Avx512 => unsafe { x86::products_avx512(rows, words) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Kind::Neon => unsafe { arm::products(rows, words) },
        }
    }

    /// The sum of words: a plain read, with 32 bytes at a time where there is a choice, since that was measured to be
    /// a fifth faster than with 64.
    pub(crate) fn sum(self, lines: &[Line]) -> u64 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => Self(Kind::Avx2).words(lines),
            _ => self.words(lines),
        }
    }

    widest! {
        /// Words as low and high halves.
        fn halves(words: &[u32; LINE]) -> Chunk;
        /// Words as four planes of bytes.
        #[cfg(target_arch = "x86_64")]
        fn planes(words: &[u32; LINE]) -> Chunk;
        /// Words as four planes of bytes with a sign.
        #[cfg(target_arch = "aarch64")]
        fn signed_planes(words: &[u32; LINE]) -> Chunk;
        /// The inner product of a row of A with a secret, modulo 2^32.
        fn product_32(row: &[[u8; 4]], secret: &[u32]) -> u32;
        /// The inner product of a row of the hint with a secret, modulo 2^16.
        fn product_16(row: &[[u8; 2]], secret: &[u16]) -> u16;
        /// Add to each word the heads among its coin tosses less their mean.
        fn add_heads(words: &mut [u32], coins: &[[u8; COINS]]);
        /// The sum of squares of digits.
        fn squares(digits: &[u8]) -> u64;
        /// The sum of words.
        fn words(lines: &[Line]) -> u64;
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The inner product, one term after the other.
    fn slowly(row: &[Line], words: &[u32]) -> u32 {
        let terms = row.as_flattened().iter().zip(words);
        terms.fold(0, |sum: u32, (&digit, word)| {
            sum.wrapping_add((digit as i8 as u32).wrapping_mul(*word))
        })
    }

    fn check(rows: &[Vec<Line>; ROWS], words: &[u32]) {
        let expected = rows.each_ref().map(|row| slowly(row, words));
        for kernel in Kernel::all() {
            let (lines, _) = words.as_chunks::<LINE>();
            let chunks: Vec<Chunk> = lines.iter().map(|line| kernel.chunk(line)).collect();
            let products = kernel.products(rows.each_ref().map(Vec::as_slice), &chunks);
            assert_eq!(products, expected, "{}", kernel.name());
        }
    }

    fn lines(width: usize) -> impl Strategy<Value = Vec<Line>> {
        proptest::collection::vec(any::<[u8; LINE]>(), width)
    }

    #[test]
    fn every_kernel_multiplies_extreme_numbers_right() {
        // A panel of the widest, so that sums run over wherever they can.
        const WIDTH: usize = 256;
        for words in [
            0,
            1,
            u32::MAX,
            0x7fff_8000,
            0x8000_7fff,
            0x8000_8000,
            0x00ff_00ff,
        ] {
            let rows = [0x80, 0x7f, 0xff, 0x00, 0x01, 0x81].map(|digit| vec![[digit; LINE]; WIDTH]);
            check(&rows, &vec![words; WIDTH * LINE]);
        }
    }

    #[test]
    fn a_product_is_over_what_all_have() {
        for kernel in Kernel::all() {
            let chunks = [kernel.chunk(&[1; LINE]); 3];
            let rows = [2, 9, 2, 3, 4, 5].map(|width| vec![[1; LINE]; width]);
            let products = kernel.products(rows.each_ref().map(Vec::as_slice), &chunks);
            assert_eq!(products[0], 128, "{}", kernel.name());
        }
    }

    proptest! {
        #[test]
        fn every_kernel_multiplies_like_the_slow_way(
            (rows, words) in (0..12_usize).prop_flat_map(|width| (
                std::array::from_fn(|_| lines(width)),
                proptest::collection::vec(any::<u32>(), width * LINE),
            ))
        ) {
            check(&rows, &words);
        }

        #[test]
        fn every_kernel_runs_the_same_loops(
            bytes in proptest::collection::vec(any::<u8>(), 4 * COINS),
            secret in proptest::collection::vec(any::<u32>(), COINS),
        ) {
            let portable = Kernel::all()[0];
            let halves: Vec<u16> = secret.iter().map(|&word| word as u16).collect();
            for kernel in Kernel::all() {
                let words = bytes.as_chunks().0;
                prop_assert_eq!(kernel.product_32(words, &secret), portable.product_32(words, &secret));
                let words = bytes.as_chunks().0;
                prop_assert_eq!(kernel.product_16(words, &halves), portable.product_16(words, &halves));
                prop_assert_eq!(kernel.squares(&bytes), portable.squares(&bytes));
                let (mut ours, mut theirs) = ([5; 4], [5; 4]);
                kernel.add_heads(&mut ours, bytes.as_chunks().0);
                portable.add_heads(&mut theirs, bytes.as_chunks().0);
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn the_sum_of_squares_is_of_signed_digits() {
        for kernel in Kernel::all() {
            assert_eq!(kernel.squares(&[0x80; 5000]), 5000 * 128 * 128);
            assert_eq!(kernel.squares(&[0xff, 0x7f, 0]), 1 + 127 * 127);
        }
    }
}
