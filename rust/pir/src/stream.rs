//! The public matrix A, and the mask of a whitened table, out of AES-128-CTR; `docs/protocol/pir.md` states both.

use aes::Aes128;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

use crate::layout::{DIMENSION, SEED};

/// One row of A, as the stream has it: words of four bytes, little-endian.
pub type Row = [[u8; 4]; DIMENSION];

/// Bytes of a row of A: 320 blocks of AES.
const ROW: usize = DIMENSION * 4;
/// The first byte of the initial counter block tells the two streams apart: they are 2^120 blocks from each other.
const MATRIX: u8 = 0;
const MASK: u8 = 1;

/// The stream of A for one seed: rows in order, from any row on.
pub struct Generator(Ctr128BE<Aes128>);

impl Generator {
    /// A from `row` on. A costs about 0.2 ns a byte where the processor has AES.
    #[must_use]
    pub fn new(seed: &[u8; SEED], row: usize) -> Self {
        Self(stream(seed, MATRIX, row, ROW))
    }

    /// The next rows.
    pub fn fill(&mut self, rows: &mut [Row]) {
        self.0
            .write_keystream(rows.as_flattened_mut().as_flattened_mut());
    }
}

/// The mask of one column of a whitened table, all of its `rows` bytes.
pub(crate) fn mask(seed: &[u8; SEED], column: usize, mask: &mut [u8]) {
    let stride = mask.len().next_multiple_of(16);
    stream(seed, MASK, column, stride).write_keystream(mask);
}

/// The stream at `index * stride` bytes.
fn stream(seed: &[u8; SEED], kind: u8, index: usize, stride: usize) -> Ctr128BE<Aes128> {
    let mut counter = [0; 16];
    counter[0] = kind;
    let mut stream = Ctr128BE::<Aes128>::new(&(*seed).into(), &counter.into());
    stream.seek(index as u128 * stride as u128);
    stream
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn masks_are_those_of_the_vectors() {
        // Made with OpenSSL's AES; the seed is 00 01 02 ... 0f.
        let seed = std::array::from_fn(|at| at as u8);
        for (column, rows, hash) in [
            (
                0,
                1_024,
                "e84ad808a46c4a1579704a5581783c1ea6324f6f3dcefb3a4d6c20dbb6fa62e9",
            ),
            (
                1,
                1_024,
                "16118c34838059a47190c4478a75943071c6abad8b0681269e7835e921104d41",
            ),
            (
                52_000,
                2_752,
                "78fa0834398fea1f538a665c54a9a1d8fba4145a3abdf1393cd1620be9f4b9c7",
            ),
        ] {
            let mut bytes = vec![0; rows];
            mask(&seed, column, &mut bytes);
            assert_eq!(hex::encode(Sha256::digest(&bytes)), hash);
        }
    }
}
