//! Who is who: leaves and key packages, as the application sees them.

use openmls::prelude::{KeyPackage, MlsMessageBodyIn, MlsMessageIn};
use openmls_traits::crypto::OpenMlsCrypto;
use tls_codec::Deserialize;

use crate::{
    config::{MAX_INPUT_BYTES, VERSION},
    crypto::Crypto,
    error::{Error, Result, Rule},
    policy,
};

/// The leaf of somebody who has none yet.
pub const NO_LEAF: u32 = u32::MAX;

/// One device in a group, or about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The index of its leaf; [`NO_LEAF`] before it is added.
    pub leaf: u32,
    /// Its credential, 97 bytes: see [`crate::credential`].
    pub credential: Vec<u8>,
    /// Its Ed25519 signature key, 32 bytes.
    pub signature_key: Vec<u8>,
}

impl From<openmls::prelude::Member> for Member {
    fn from(member: openmls::prelude::Member) -> Self {
        Self {
            leaf: member.index.u32(),
            credential: member.credential.serialized_content().to_vec(),
            signature_key: member.signature_key,
        }
    }
}

impl From<&KeyPackage> for Member {
    fn from(package: &KeyPackage) -> Self {
        let leaf = package.leaf_node();
        Self {
            leaf: NO_LEAF,
            credential: leaf.credential().serialized_content().to_vec(),
            signature_key: leaf.signature_key().as_slice().to_vec(),
        }
    }
}

/// Check a key package by itself (MLS-01 to MLS-04, MLS-09, MLS-11) and say whose it is.
///
/// Fails with `Malformed` or `Refused`.
pub fn key_package_member(bytes: &[u8]) -> Result<Member> {
    let package = parse_key_package(&Crypto, bytes)?;
    Ok(Member::from(&package))
}

/// Parse a key package and check all that can be checked of it alone.
pub(crate) fn parse_key_package(crypto: &impl OpenMlsCrypto, bytes: &[u8]) -> Result<KeyPackage> {
    let MlsMessageBodyIn::KeyPackage(package) = parse(bytes)?.extract() else {
        return Err(Error::Malformed);
    };
    let package = package
        .validate(crypto, VERSION)
        .map_err(|_| Error::Refused(Rule::Protocol))?;
    policy::check_key_package(crypto, &package)?;
    Ok(package)
}

/// Parse any MLS message, all of it.
pub(crate) fn parse(bytes: &[u8]) -> Result<MlsMessageIn> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(Error::Malformed);
    }
    MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| Error::Malformed)
}
