//! The one suite: its identifiers, the sizes that follow from it, and the randomness that it needs.

use crate::{Error, Result};

/// Bytes of the seed that a gateway's key is derived from.
pub const SEED: usize = 32;
/// Bytes of an encoded key configuration: key id, KEM, public key, and a list of one symmetric suite.
pub const CONFIG: usize = 1 + KEM.len() + PUBLIC + 2 + SYMMETRIC.len();
/// Bytes that sealing adds to a request: the header, the encapsulated key and the tag.
pub const REQUEST_OVERHEAD: usize = HEADER + ENCAPSULATED + TAG;
/// Bytes that sealing adds to a response: the nonce and the tag.
pub const RESPONSE_OVERHEAD: usize = NONCE + TAG;

/// X-Wing, 0x647a in IANA's registry of HPKE's KEMs.
pub(crate) const KEM: [u8; 2] = [0x64, 0x7a];
/// HKDF-SHA256, then ChaCha20-Poly1305.
pub(crate) const SYMMETRIC: [u8; 4] = [0, 1, 0, 3];
/// Bytes of an X-Wing public key.
const PUBLIC: usize = 1216;
/// Bytes of an X-Wing ciphertext.
const ENCAPSULATED: usize = 1120;
/// Bytes of a request's header: key id and suite.
pub(crate) const HEADER: usize = 1 + KEM.len() + SYMMETRIC.len();
/// Bytes of a Poly1305 tag.
const TAG: usize = 16;
/// Bytes of a response's nonce: as many as the AEAD's key has (RFC 9458, section 4.4).
const NONCE: usize = 32;

/// Ask the operating system for randomness first, so that its failure is an error: the crates below panic.
pub(crate) fn randomness() -> Result<()> {
    getrandom::fill(&mut [0; 1]).map_err(|_| Error::Randomness)
}
