//! The groups of a session, each read once.

use std::collections::BTreeMap;

use openmls::group::{GroupId, MlsGroup};
use openmls_traits::OpenMlsProvider;

use crate::{
    config::GROUP_ID_BYTES,
    error::{Error, Result},
    provider::Provider,
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
