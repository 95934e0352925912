//! The public keys that a commit would have everybody encrypt to.
//!
//! OpenMLS does not say which keys a path holds, and takes any bytes for a key: one that is none would be
//! noticed only by the next committer, who could then commit no more. So the keys are read from the
//! message itself, before OpenMLS sees it.

use tls_codec::{Deserialize, Error, VLByteVec};

use crate::{
    config, crypto,
    error::{Error as Refusal, Result, Rule},
};

/// Levels of the largest tree there can be, 2**32 leaves, and with them the nodes of a path.
const MAX_PATH_NODES: usize = 32;

/// MLS-08 and MLS-12: a commit, as a member's PublicMessage, has a path, and every key in it can be
/// encrypted to. About 60 us a key.
pub(crate) fn check_path(message: &[u8]) -> Result<()> {
    let keys = path_keys(message).map_err(|_| Refusal::Malformed)?;
    let keys = keys.ok_or(Refusal::Refused(Rule::Path))?;
    if keys.len() > 1 + MAX_PATH_NODES {
        return Err(Refusal::Refused(Rule::Path));
    }
    keys.iter().try_for_each(|key| check_key(key.as_slice()))
}

/// MLS-12 for one key.
pub(crate) fn check_key(key: &[u8]) -> Result<()> {
    if key.len() == config::PUBLIC_KEY_BYTES && crypto::is_public_key(key) {
        Ok(())
    } else {
        Err(Refusal::Refused(Rule::Key))
    }
}

type Parsed<T> = std::result::Result<T, Error>;

/// RFC 9420, sections 6 and 12.4, as far as the path: its leaf's key, then those of its nodes; `None` if
/// there is no path.
fn path_keys(mut message: &[u8]) -> Parsed<Option<Vec<VLByteVec>>> {
    let bytes = &mut message;
    skip::<(u16, u16)>(bytes)?; // version, wire format
    skip::<(VLByteVec, u64)>(bytes)?; // group id, epoch
    skip::<(u8, u32)>(bytes)?; // the sender: a member, and its leaf
    skip::<(VLByteVec, u8)>(bytes)?; // authenticated data, content type
    skip::<VLByteVec>(bytes)?; // proposals
    if u8::tls_deserialize(bytes)? == 0 {
        return Ok(None);
    }
    let mut keys = vec![leaf_key(bytes)?];
    let nodes = VLByteVec::tls_deserialize(bytes)?;
    let nodes = &mut nodes.as_slice();
    while !nodes.is_empty() {
        keys.push(VLByteVec::tls_deserialize(nodes)?);
        skip::<VLByteVec>(nodes)?; // the path secret, once for each node of the copath's resolution
    }
    Ok(Some(keys))
}

/// RFC 9420, section 7.2: a leaf made by a commit, with a basic credential.
fn leaf_key(bytes: &mut &[u8]) -> Parsed<VLByteVec> {
    let key = VLByteVec::tls_deserialize(bytes)?;
    skip::<(VLByteVec, u16, VLByteVec)>(bytes)?; // signature key, credential
    skip::<(VLByteVec, VLByteVec, VLByteVec)>(bytes)?; // versions, suites, extensions
    skip::<(VLByteVec, VLByteVec)>(bytes)?; // proposals, credentials
    skip::<(u8, VLByteVec)>(bytes)?; // source, parent hash
    skip::<(VLByteVec, VLByteVec)>(bytes)?; // extensions, signature
    Ok(key)
}

fn skip<T: Deserialize>(bytes: &mut &[u8]) -> Parsed<()> {
    T::tls_deserialize(bytes).map(|_| ())
}
