//! What is multiplied: lines of digits, and the words for them.

use crate::layout::LINE;

/// Digits of a row for 64 columns in two's complement: a cache line.
pub(crate) type Line = [u8; LINE];

/// Rows that are multiplied together, so that they share what is loaded of the words.
pub(crate) const ROWS: usize = 6;

/// The words for the 64 columns of a line, in the form that a kernel multiplies with.
///
/// Either 64 low halves with a sign, then 64 high halves, so that word = low + high * 2^16 modulo 2^32; or, two in
/// an element, their 64 lowest bytes, then the next ones up to the highest; with a sign where that is said.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Chunk(pub(crate) [i16; 2 * LINE]);
