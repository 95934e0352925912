//! One transaction over the stored entries of a device.

use std::{collections::BTreeMap, fmt};

use crate::{
    groups::Groups,
    provider::Provider,
    store::{Changes, Store},
};

/// One transaction: it gathers changes and writes none of them itself.
///
/// Give it the entries under the prefixes that a call names: `s` (the device's signature key), `k` (key
/// packages and their private parts), `g` and a group id (one group). A group is read once, so a batch of
/// messages costs one load.
///
/// After an error discard the session with its changes. [`Session::process`] is the exception: unless it
/// fails with `Internal`, it has changed nothing and the session can go on.
pub struct Session {
    pub(crate) provider: Provider,
    pub(crate) groups: Groups,
}

impl Session {
    /// Start from stored entries. Nothing is read before it is needed.
    pub fn new(entries: BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        Self {
            provider: Provider::new(Store::new(entries)),
            groups: Groups::default(),
        }
    }

    /// The entries that differ from those given, `None` for a deleted one.
    pub fn changes(&self) -> Changes {
        self.provider.store().changes()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}
