//! The entries of one transaction: what was given, and what changed since.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use zeroize::{Zeroize, Zeroizing};

/// An entry that cannot be written or read, or that we never write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// A value that the codec refuses.
    #[error("an entry cannot be encoded")]
    Encode,
    /// Bytes that are no value of the type that the key names.
    #[error("an entry cannot be decoded")]
    Decode,
    /// Something that Grue does not use in MLS and so does not store.
    #[error("an entry of a kind that is not stored")]
    Unused,
}

type Key = Vec<u8>;

/// What a session changed: entries to write, and with `None` entries to delete. Values are overwritten when dropped.
pub type Changes = BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>;

/// A map with an overlay of changes. Dropping it overwrites the values, since most are secret.
pub(crate) struct Store {
    given: BTreeMap<Key, Vec<u8>>,
    changed: RefCell<BTreeMap<Key, Option<Vec<u8>>>>,
}

impl Store {
    pub(crate) fn new(given: BTreeMap<Key, Vec<u8>>) -> Self {
        Self {
            given,
            changed: RefCell::default(),
        }
    }

    /// Read an entry, as it is now, if it is there.
    pub(crate) fn read<T>(
        &self,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let changed = self.changed.borrow();
        let entry = match changed.get(key) {
            Some(value) => value.as_deref(),
            None => self.given.get(key).map(Vec::as_slice),
        };
        entry.map(|entry| decode(verified(key, entry)?)).transpose()
    }

    /// Set an entry.
    pub(crate) fn write(&self, key: Key, mut value: Vec<u8>) {
        value.extend(checksum(&key, &value));
        self.set(key, Some(value));
    }

    /// Delete an entry, if it is there.
    pub(crate) fn delete(&self, key: Key) {
        self.set(key, None);
    }

    fn set(&self, key: Key, value: Option<Vec<u8>>) {
        if let Some(Some(mut old)) = self.changed.borrow_mut().insert(key, value) {
            old.zeroize();
        }
    }

    /// Delete every entry under a prefix.
    pub(crate) fn delete_all(&self, prefix: &[u8]) {
        for name in self.names(prefix) {
            self.delete([prefix, &name].concat());
        }
    }

    /// What follows a prefix in the keys of the entries under it, as they are now.
    pub(crate) fn names(&self, prefix: &[u8]) -> BTreeSet<Key> {
        fn under<'a, V>(
            map: &'a BTreeMap<Key, V>,
            prefix: &[u8],
        ) -> impl Iterator<Item = (&'a [u8], &'a V)> {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            map.range::<[u8], _>(from)
                .map_while(move |(key, value)| Some((key.strip_prefix(prefix)?, value)))
        }
        let mut names: BTreeSet<Key> = under(&self.given, prefix)
            .map(|(name, _)| name.to_vec())
            .collect();
        for (name, value) in under(&self.changed.borrow(), prefix) {
            if value.is_some() {
                names.insert(name.to_vec());
            } else {
                names.remove(name);
            }
        }
        names
    }

    /// The changes were stored: from now on [`Self::changes`] is what differs from them.
    pub(crate) fn saved(&mut self) {
        for (key, value) in std::mem::take(self.changed.get_mut()) {
            let old = match value {
                Some(value) => self.given.insert(key, value),
                None => self.given.remove(&key),
            };
            if let Some(mut old) = old {
                old.zeroize();
            }
        }
    }

    /// Entries that differ from those given, `None` for a deleted one.
    pub(crate) fn changes(&self) -> Changes {
        let differs =
            |(key, value): &(&Key, &Option<Vec<u8>>)| self.given.get(*key) != value.as_ref();
        let copy = |(key, value): (&Key, &Option<Vec<u8>>)| {
            (key.clone(), value.clone().map(Zeroizing::new))
        };
        self.changed
            .borrow()
            .iter()
            .filter(differs)
            .map(copy)
            .collect()
    }
}

/// The last bytes of every entry, over its key and its value. OpenMLS takes what it stored for granted, up to
/// panics, and would go on with a key that has a flipped bit; whoever means to forge an entry is not stopped.
fn checksum(key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(value);
    crc.finalize().to_be_bytes()
}

const CHECKSUM_BYTES: usize = 4;

fn verified<'a>(key: &[u8], entry: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let (value, sum) = entry.split_last_chunk().ok_or(StoreError::Decode)?;
    if *sum == checksum(key, value) {
        Ok(value)
    } else {
        Err(StoreError::Decode)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.given.values_mut().for_each(Zeroize::zeroize);
        self.changed
            .get_mut()
            .values_mut()
            .for_each(Zeroize::zeroize);
    }
}
