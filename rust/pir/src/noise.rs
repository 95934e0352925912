//! How often an answer fails: the bound of docs/protocol/pir.md.

use crate::layout::{DIMENSION, ETA};

/// Variance of an error word: half of eta.
const ERROR_VARIANCE: f64 = ETA as f64 / 2.0;
/// Half the distance of two digits, less what rounding the answer to 16 bits takes.
const THRESHOLD: f64 = (1_u32 << 23) as f64 - (1_u32 << 15) as f64;
/// A column fails no more often than 2^this.
const LOG2_ALLOWED: f64 = -64.0;

/// Of a hint rounded to 16 bits: its uniform error times a ternary word, over all words.
fn hint_variance() -> f64 {
    let step = f64::from(1_u32 << 16);
    2.0 / 3.0 * DIMENSION as f64 * step * step / 12.0
}

/// log2 of the chance that any digit of a column comes out wrong: at most 2 B exp(-T^2 / 2V).
#[must_use]
pub fn log2_failure(rows: usize, norm: u64) -> f64 {
    let variance = ERROR_VARIANCE * norm as f64 + hint_variance();
    let exponent = THRESHOLD * THRESHOLD / (2.0 * variance);
    (2.0 * rows as f64).log2() - exponent * std::f64::consts::LOG2_E
}

/// The largest sum of squares of a row's digits for which a column fails at most once in 2^64.
#[must_use]
pub fn largest_norm(rows: usize) -> u64 {
    let exponent = ((2.0 * rows as f64).log2() - LOG2_ALLOWED) / std::f64::consts::LOG2_E;
    let variance = THRESHOLD * THRESHOLD / (2.0 * exponent);
    ((variance - hint_variance()) / ERROR_VARIANCE).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_met_at_the_columns_that_were_published() {
        // With a hint of 16 bits: some 390,000 columns of random digits, and 130,000 of the worst ones.
        let columns = |square: f64| largest_norm(8_448) as f64 / square;
        assert!((380_000.0..390_000.0).contains(&columns(5_461.5)));
        assert!((128_000.0..130_000.0).contains(&columns(16_384.0)));
        let norm = largest_norm(8_448);
        assert!(
            log2_failure(8_448, norm) <= -64.0 && log2_failure(8_448, norm * 101 / 100) > -64.0
        );
    }
}
