//! The inner products for 64-bit ARM: digits and signed bytes of words multiplied as they are, in fours (`sdot`).
//!
//! Six rows at a time: with four sums each that is 24 of the 32 registers.

use std::arch::aarch64::*;
use std::arch::asm;

use super::lines::{Chunk, Line, ROWS};

#[target_feature(enable = "neon,dotprod")]
pub(super) fn products(rows: [&[Line]; ROWS], words: &[Chunk]) -> [u32; ROWS] {
    let mut sums = [[vdupq_n_s32(0); 4]; ROWS];
    let [a, b, c, d, e, f] = rows;
    for ((((((a, b), c), d), e), f), chunk) in
        a.iter().zip(b).zip(c).zip(d).zip(e).zip(f).zip(words)
    {
        for quarter in 0..4 {
            let planes = [0, 1, 2, 3].map(|plane| load_plane(chunk, plane, quarter));
            for (sums, line) in sums.iter_mut().zip([a, b, c, d, e, f]) {
                let digits = load_digits(line, quarter);
                for (sum, plane) in sums.iter_mut().zip(planes) {
                    *sum = dot(*sum, digits, plane);
                }
            }
        }
    }
    sums.map(|[first, second, third, fourth]| {
        let high = vaddq_s32(third, vshlq_n_s32::<8>(fourth));
        let low = vaddq_s32(first, vshlq_n_s32::<8>(second));
        vaddvq_s32(vaddq_s32(low, vshlq_n_s32::<16>(high))) as u32
    })
}

/// Add to each of four sums the products of four bytes, modulo 2^32.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sum: int32x4_t, digits: int8x16_t, plane: int8x16_t) -> int32x4_t {
    // SAFETY: it reads and writes these registers alone. The intrinsic, `vdotq_s32`, is not stable in Rust yet.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {digits:v}.16b, {plane:v}.16b",
            sum = inout(vreg) sum,
            digits = in(vreg) digits,
            plane = in(vreg) plane,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// Sixteen digits of a line; `quarter` is below 4.
#[inline]
#[target_feature(enable = "neon")]
fn load_digits(line: &Line, quarter: usize) -> int8x16_t {
    debug_assert!(quarter < 4);
    // SAFETY: 16 bytes at 0, 16, 32 or 48 of 64.
    unsafe { vld1q_s8(line.as_ptr().cast::<i8>().add(16 * quarter)) }
}

/// Sixteen bytes of a chunk's plane; both numbers are below 4.
#[inline]
#[target_feature(enable = "neon")]
fn load_plane(chunk: &Chunk, plane: usize, quarter: usize) -> int8x16_t {
    debug_assert!(plane < 4 && quarter < 4);
    // SAFETY: 16 bytes at a multiple of 16 below 256, and a chunk has 256.
    unsafe { vld1q_s8(chunk.0.as_ptr().cast::<i8>().add(64 * plane + 16 * quarter)) }
}
