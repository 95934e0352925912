//! The groups of a session, and what can be asked of one.

use std::collections::BTreeMap;

use openmls::group::{GroupId, MlsGroup};
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroizing;

use crate::{
    config::GROUP_ID_BYTES,
    error::{Error, Result},
    member::Member,
    provider::Provider,
    session::Session,
    storage::group_prefix,
};

type Id = [u8; GROUP_ID_BYTES];

/// The groups read so far.
#[derive(Default)]
pub(crate) struct Groups(BTreeMap<Id, MlsGroup>);

impl Groups {
    /// A group, read from the entries the first time.
    pub(crate) fn get(&mut self, provider: &Provider, group_id: &[u8]) -> Result<&mut MlsGroup> {
        let id = parse_id(group_id)?;
        match self.0.entry(id) {
            std::collections::btree_map::Entry::Occupied(held) => Ok(held.into_mut()),
            std::collections::btree_map::Entry::Vacant(free) => {
                Ok(free.insert(load(provider, &id)?))
            }
        }
    }

    pub(crate) fn insert(&mut self, group: MlsGroup) -> Result<()> {
        self.0.insert(parse_id(group.group_id().as_slice())?, group);
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: &Id) {
        self.0.remove(id);
    }
}

pub(crate) fn parse_id(group_id: &[u8]) -> Result<Id> {
    group_id.try_into().map_err(|_| Error::Malformed)
}

fn load(provider: &Provider, id: &Id) -> Result<MlsGroup> {
    let unreadable = Error::Internal("the group's entries are unreadable");
    let group = MlsGroup::load(provider.storage(), &GroupId::from_slice(id))
        .map_err(|_| unreadable.clone())?
        .ok_or(Error::Missing("group"))?;
    // OpenMLS takes these for granted.
    let is_sound = group.group_id().as_slice() == id
        && (group.own_leaf_node().is_some() || !group.is_active());
    if is_sound { Ok(group) } else { Err(unreadable) }
}

impl Session {
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
