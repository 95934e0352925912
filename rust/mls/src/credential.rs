//! The credential of a device: which account it belongs to, and the account's word for it.
//!
//! version 1 | account identity key 32 | Ed25519 signature 64 by the identity key over
//! [`CERTIFICATE_CONTEXT`] and the device's signature key.

use openmls_traits::crypto::OpenMlsCrypto;

use crate::{
    config::SIGNATURES,
    error::{Error, Result, Rule},
};

/// What the identity key signs in a certificate: this, then the device's 32-byte signature key.
pub const CERTIFICATE_CONTEXT: &[u8] = b"grue device certificate v1";

/// Bytes of an identity key, and of a signature key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a certificate: one Ed25519 signature.
pub const CERTIFICATE_BYTES: usize = 64;
/// Bytes of a credential.
pub const CREDENTIAL_BYTES: usize = 1 + KEY_BYTES + CERTIFICATE_BYTES;

const VERSION: u8 = 1;

/// The credential of a device, to be given to [`crate::Session::key_package`] and
/// [`crate::Session::create`]. Fails with `Malformed` on other lengths; it does not check the certificate.
pub fn credential(identity: &[u8], certificate: &[u8]) -> Result<Vec<u8>> {
    if identity.len() != KEY_BYTES || certificate.len() != CERTIFICATE_BYTES {
        return Err(Error::Malformed);
    }
    Ok([&[VERSION], identity, certificate].concat())
}

/// MLS-01 and MLS-02: the credential has our one form, and the identity key in it has certified the
/// signature key. Returns nothing: who passes is read from the credential itself.
pub(crate) fn verify(
    crypto: &impl OpenMlsCrypto,
    credential: &[u8],
    signature_key: &[u8],
) -> Result<()> {
    let (identity, certificate) = parse(credential).ok_or(Error::Refused(Rule::Credential))?;
    let bad = Error::Refused(Rule::Certificate);
    let (point, _) = certificate.split_first_chunk().ok_or(bad.clone())?;
    if signature_key.len() != KEY_BYTES || has_small_order(identity) || has_small_order(point) {
        return Err(bad);
    }
    let signed = [CERTIFICATE_CONTEXT, signature_key].concat();
    crypto
        .verify_signature(SIGNATURES, &signed, identity, certificate)
        .map_err(|_| bad)
}

/// MLS-01.
fn parse(credential: &[u8]) -> Option<(&[u8; KEY_BYTES], &[u8; CERTIFICATE_BYTES])> {
    let (&VERSION, rest) = credential.split_first()? else {
        return None;
    };
    let (identity, certificate) = rest.split_first_chunk()?;
    Some((identity, certificate.try_into().ok()?))
}

/// Whether an encoded point lies in the torsion subgroup: under such a key one signature fits many messages,
/// and implementations disagree about it. As `verify_strict` of ed25519-dalek.
fn has_small_order(point: &[u8; KEY_BYTES]) -> bool {
    let mut unsigned = *point;
    if let Some(last) = unsigned.last_mut() {
        *last &= 0x7f;
    }
    SMALL_ORDER.contains(&unsigned)
}

/// The y coordinates of the eight points of small order, and the encodings of 0 and 1 that are not reduced.
const SMALL_ORDER: [[u8; KEY_BYTES]; 7] = [
    [0; KEY_BYTES],
    ends(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    ends(0xec, 0xff, 0x7f),
    ends(0xed, 0xff, 0x7f),
    ends(0xee, 0xff, 0x7f),
];

/// A first byte, a last byte, and one value between them.
const fn ends(first: u8, middle: u8, last: u8) -> [u8; KEY_BYTES] {
    let mut point = [middle; KEY_BYTES];
    let [start, .., end] = &mut point;
    *start = first;
    *end = last;
    point
}
