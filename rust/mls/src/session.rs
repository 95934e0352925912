//! One transaction over the stored entries of a device.

use std::{collections::BTreeMap, fmt};

use openmls::group::MlsGroup;
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    groups::{Groups, parse_id},
    member::Member,
    provider::Provider,
    storage::group_prefix,
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

    /// The changes were stored, and the session goes on: what it has decoded need not be decoded again.
    pub fn saved(&mut self) {
        self.provider.saved();
    }

    /// A group to work on. A split borrow: the provider goes with it.
    pub(crate) fn group(&mut self, group_id: &[u8]) -> Result<(&Provider, &mut MlsGroup)> {
        let group = self.groups.get(&self.provider, group_id)?;
        Ok((&self.provider, group))
    }

    /// The number of the group's epoch. Fails with `Missing`.
    pub fn epoch(&mut self, group_id: &[u8]) -> Result<u64> {
        Ok(self.group(group_id)?.1.epoch().as_u64())
    }

    /// The index of our own leaf. Fails with `Missing`.
    pub fn own_leaf(&mut self, group_id: &[u8]) -> Result<u32> {
        Ok(self.group(group_id)?.1.own_leaf_index().u32())
    }

    /// The members, by leaf. Fails with `Missing`.
    pub fn members(&mut self, group_id: &[u8]) -> Result<Vec<Member>> {
        Ok(self
            .group(group_id)?
            .1
            .members()
            .map(Member::from)
            .collect())
    }

    /// `length` bytes (at most 8,160) from the exporter of the current epoch, for one use each `label` and
    /// `context`. Fails with `Missing` (also after our removal), and with `Internal` on other lengths.
    pub fn exporter(
        &mut self,
        group_id: &[u8],
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let (provider, group) = self.group(group_id)?;
        if !group.is_active() {
            return Err(Error::Missing("group"));
        }
        group
            .export_secret(provider.crypto(), label, context, length)
            .map(Zeroizing::new)
            .map_err(|_| Error::Internal("nothing of that length can be exported"))
    }

    /// Forget a group. Entries that were not given cannot be deleted. Deleting none is no error.
    pub fn delete(&mut self, group_id: &[u8]) -> Result<()> {
        let id = parse_id(group_id)?;
        self.groups.remove(&id);
        self.provider.store().delete_all(&group_prefix(&id));
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}
