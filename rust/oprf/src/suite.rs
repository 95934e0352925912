//! The suite: its sizes, and what both sides need of it.

use voprf::Ristretto255;

use crate::{Error, Result};

/// Bytes of a group element.
pub const ELEMENT: usize = 32;
/// Bytes of a scalar: a private key or a blind.
pub const SCALAR: usize = 32;
/// Bytes of a batched proof: its challenge and its response.
pub const PROOF: usize = 64;
/// Bytes of the PRF's output.
pub const OUTPUT: usize = 64;

pub(crate) type Suite = Ristretto255;

/// The operating system's randomness, asked once first so that its failure is an error and no panic.
pub(crate) fn randomness() -> Result<rand_core::OsRng> {
    use rand_core::RngCore;
    rand_core::OsRng
        .try_fill_bytes(&mut [0; 1])
        .map_err(|_| Error::Randomness)?;
    Ok(rand_core::OsRng)
}

/// The first `N` bytes of `source`. Its callers hand in more than that by type.
pub(crate) fn first<const N: usize>(source: &[u8]) -> Result<[u8; N]> {
    source.first_chunk().copied().ok_or(Error::Internal)
}
