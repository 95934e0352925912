//! How entries are encoded: MessagePack with named fields.
//!
//! It has to describe itself, because one type of OpenMLS (`PastEpochDeletionPolicy`) is read untagged.

use rmp_serde::{Serializer, config::BytesMode};
use serde::{Serialize, de::DeserializeOwned};

use crate::store::StoreError;

/// Encode one value. OpenMLS gives most byte strings as sequences of numbers; `ForceIterables` writes them
/// as byte strings, which is a quarter smaller and several times faster.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::with_capacity(256);
    let mut serializer = Serializer::new(&mut out)
        .with_struct_map()
        .with_bytes(BytesMode::ForceIterables);
    value
        .serialize(&mut serializer)
        .map_err(|_| StoreError::Encode)?;
    Ok(out)
}

/// Decode one value.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    rmp_serde::from_slice(bytes).map_err(|_| StoreError::Decode)
}
