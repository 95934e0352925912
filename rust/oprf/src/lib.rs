//! The verifiable oblivious PRF of RFC 9497, mode VOPRF, ristretto255-SHA512, over the crate `voprf`.
//!
//! The verbs are the RFC's: a client [`Blinding::blind`]s, the server [`Key::evaluate`]s, the client
//! [`finalize`]s. Every function is total: any bytes give a result or an [`Error`], and no error holds
//! input. Elements that are not canonical and the identity are refused, scalars that are not canonical
//! and zero too. Keys, blinds and inputs are zeroised when dropped.

mod client;
mod error;
mod key;

pub use client::{Blinding, finalize};
pub use error::{Error, Result};
pub use key::{Evaluation, Key};

use voprf::Ristretto255;

/// Bytes of a group element.
pub const ELEMENT: usize = 32;
/// Bytes of a scalar: a private key or a blind.
pub const SCALAR: usize = 32;
/// Bytes of a batched proof: its challenge and its response.
pub const PROOF: usize = 64;
/// Bytes of the PRF's output.
pub const OUTPUT: usize = 64;

type Suite = Ristretto255;

/// The operating system's randomness, asked once first so that its failure is an error and no panic.
fn randomness() -> Result<rand_core::OsRng> {
    use rand_core::RngCore;
    rand_core::OsRng
        .try_fill_bytes(&mut [0; 1])
        .map_err(|_| Error::Randomness)?;
    Ok(rand_core::OsRng)
}

/// The first `N` bytes of `source`. Its callers hand in more than that by type.
fn first<const N: usize>(source: &[u8]) -> Result<[u8; N]> {
    source.first_chunk().copied().ok_or(Error::Internal)
}
