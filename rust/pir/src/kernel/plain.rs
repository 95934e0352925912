//! The loops, without intrinsics. They are inlined into functions that are compiled for wider instructions.

use super::lines::{Chunk, Line, ROWS};
use crate::layout::{COINS, ETA, LINE};

#[inline(always)]
pub(super) fn halves(words: &[u32; LINE]) -> Chunk {
    let mut chunk = Chunk([0; 2 * LINE]);
    let (low, high) = chunk.0.split_at_mut(LINE);
    for ((low, high), word) in low.iter_mut().zip(high).zip(words) {
        *low = *word as i16;
        *high = (word.wrapping_sub(*low as u32) >> 16) as i16;
    }
    chunk
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub(super) fn planes(words: &[u32; LINE]) -> Chunk {
    let mut chunk = Chunk([0; 2 * LINE]);
    for (plane, to) in chunk
        .0
        .as_chunks_mut::<{ LINE / 2 }>()
        .0
        .iter_mut()
        .enumerate()
    {
        for (to, pair) in to.iter_mut().zip(words.as_chunks::<2>().0) {
            let [first, second] = pair.map(|word| (word >> (8 * plane)) as u8);
            *to = i16::from_le_bytes([first, second]);
        }
    }
    chunk
}

/// As `planes`, of bytes with a sign: 128 is added to every byte, with its carry, and taken from each alone.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) fn signed_planes(words: &[u32; LINE]) -> Chunk {
    const MIDDLE: u32 = 0x8080_8080;
    // In two's complement a byte less 128 is the byte with its highest bit changed.
    planes(&words.map(|word| word.wrapping_add(MIDDLE) ^ MIDDLE))
}

pub(super) fn products(rows: [&[Line]; ROWS], words: &[Chunk]) -> [u32; ROWS] {
    rows.map(|row| {
        let mut low = 0_i32;
        let mut high = 0_i32;
        for (digits, chunk) in row.iter().zip(words) {
            let (lows, highs) = chunk.0.split_at(LINE);
            low = low.wrapping_add(product(digits, lows));
            high = high.wrapping_add(product(digits, highs));
        }
        (low as u32).wrapping_add((high as u32) << 16)
    })
}

/// At most 64 * 2^7 * 2^15 in size.
#[inline(always)]
fn product(digits: &Line, halves: &[i16]) -> i32 {
    let pairs = digits.iter().zip(halves);
    pairs
        .map(|(&digit, &half)| i32::from(digit as i8) * i32::from(half))
        .sum()
}

#[inline(always)]
pub(super) fn product_32(row: &[[u8; 4]], secret: &[u32]) -> u32 {
    row.iter().zip(secret).fold(0, |sum: u32, (word, secret)| {
        sum.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(*secret))
    })
}

#[inline(always)]
pub(super) fn product_16(row: &[[u8; 2]], secret: &[u16]) -> u16 {
    row.iter().zip(secret).fold(0, |sum: u16, (word, secret)| {
        sum.wrapping_add(u16::from_le_bytes(*word).wrapping_mul(*secret))
    })
}

#[inline(always)]
pub(super) fn add_heads(words: &mut [u32], coins: &[[u8; COINS]]) {
    for (word, coins) in words.iter_mut().zip(coins) {
        let heads: u32 = coins
            .as_chunks::<8>()
            .0
            .iter()
            .map(|eight| u64::from_le_bytes(*eight).count_ones())
            .sum();
        // Heads of one side and tails of the other: as good as the difference of two sides' heads.
        *word = word.wrapping_add(heads).wrapping_sub(ETA as u32);
    }
}

#[inline(always)]
pub(super) fn squares(digits: &[u8]) -> u64 {
    // Sums of 1,024 squares of at most 2^14 fit in 32 bits.
    let sums = digits.chunks(1024).map(|some| {
        let squares = some
            .iter()
            .map(|&digit| i32::from(digit as i8).pow(2) as u32);
        u64::from(squares.sum::<u32>())
    });
    sums.sum()
}

#[inline(always)]
pub(super) fn words(lines: &[Line]) -> u64 {
    let words = lines.as_flattened().as_chunks::<8>().0.iter();
    words.fold(0, |sum: u64, word| {
        sum.wrapping_add(u64::from_ne_bytes(*word))
    })
}
