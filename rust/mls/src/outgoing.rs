//! What a member makes: groups, commits, application messages.

use openmls::{
    group::{CommitMessageBundle, GroupId, MlsGroup},
    prelude::{
        CreateMessageError, Extension, KeyPackage, LeafNodeIndex, MlsMessageOut, UnknownExtension,
    },
};
use openmls_traits::{OpenMlsProvider, random::OpenMlsRand};
use zeroize::Zeroizing;

use crate::{
    config::{self, TREE_INSIDE_MEMBERS, TREE_SECRET, TREE_SECRET_BYTES},
    error::{Error, Result, Rule},
    groups::parse_id,
    member::parse_key_package,
    provider::Provider,
    session::Session,
    signer::DeviceKey,
};

/// An own commit, pending until [`Session::accepted`] or [`Session::rejected`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The commit, as an MLS PublicMessage.
    pub message: Vec<u8>,
    /// For those who are added. To be sent only once the commit has won.
    pub welcome: Option<Vec<u8>>,
    /// What says where the tree is, is sealed with this; `None` when the Welcome has the tree, or there is none.
    pub tree_secret: Option<Zeroizing<Vec<u8>>>,
}

impl Session {
    /// A group with this device as its only member. Needs `s`.
    ///
    /// Fails with `Missing`, `Malformed` (the id), `Refused` (the credential), `Internal` (it exists).
    pub fn create(&mut self, group_id: &[u8], credential: &[u8]) -> Result<()> {
        let id = GroupId::from_slice(&parse_id(group_id)?);
        let (key, credential) = self.own_credential(credential)?;
        let group =
            MlsGroup::new_with_group_id(&self.provider, &key, &config::create(), id, credential)
                .map_err(|_| Error::Internal("the group could not be created"))?;
        self.groups.insert(group)
    }

    /// Remove and add in one commit, always with a path; with neither, a self-update. A device that is
    /// removed can be added again in the same commit. Needs `s` and `g`.
    ///
    /// Fails with `Missing`, `Malformed` or `Refused` (a key package, a leaf), `Internal` (one is pending).
    pub fn commit(
        &mut self,
        group_id: &[u8],
        add: &[impl AsRef<[u8]>],
        remove: &[u32],
        authenticated_data: &[u8],
    ) -> Result<Commit> {
        let key = DeviceKey::load(self.provider.store())?;
        let (provider, group) = self.group(group_id)?;
        must_be_free(group)?;
        let add = add
            .iter()
            .map(|bytes| parse_key_package(provider.crypto(), bytes.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        group.set_aad(authenticated_data.to_vec());
        let members = group
            .members()
            .count()
            .saturating_add(add.len())
            .saturating_sub(remove.len());
        let tree_secret = if members > TREE_INSIDE_MEMBERS && !add.is_empty() {
            Some(fresh_secret(provider)?)
        } else {
            None
        };
        let remove = remove.iter().copied().map(LeafNodeIndex::new);
        let bundle = build_commit(provider, group, &key, add, remove, tree_secret.as_ref())?;
        let (message, welcome, _) = bundle.into_messages();
        Ok(Commit {
            message: to_bytes(&message)?,
            welcome: welcome.as_ref().map(to_bytes).transpose()?,
            tree_secret,
        })
    }

    /// Merge the own pending commit: it won. Needs `g`. Fails with `Missing`.
    pub fn accepted(&mut self, group_id: &[u8]) -> Result<()> {
        let (provider, group) = self.group(group_id)?;
        must_be_pending(group)?;
        group
            .merge_pending_commit(provider)
            .map_err(|_| Error::Internal("the pending commit could not be merged"))
    }

    /// Forget the own pending commit: it lost. Never for one that may yet win: this device could not follow
    /// it. Needs `g`. Fails with `Missing`.
    pub fn rejected(&mut self, group_id: &[u8]) -> Result<()> {
        let (provider, group) = self.group(group_id)?;
        must_be_pending(group)?;
        group
            .clear_pending_commit(provider.storage())
            .map_err(|_| Error::Internal("the pending commit could not be cleared"))
    }

    /// Whether an own commit is pending. Needs `g`. Fails with `Missing`.
    pub fn pending(&mut self, group_id: &[u8]) -> Result<bool> {
        Ok(self.group(group_id)?.1.pending_commit().is_some())
    }

    /// An application message, as an MLS PrivateMessage. A pending commit is no hindrance. Needs `s`, `g`.
    ///
    /// Fails with `Missing`, also after our removal.
    pub fn encrypt(
        &mut self,
        group_id: &[u8],
        plaintext: &[u8],
        authenticated_data: &[u8],
    ) -> Result<Vec<u8>> {
        let key = DeviceKey::load(self.provider.store())?;
        let (provider, group) = self.group(group_id)?;
        group.set_aad(authenticated_data.to_vec());
        let message =
            group
                .create_message(provider, &key, plaintext)
                .map_err(|error| match error {
                    CreateMessageError::GroupStateError(_) => Error::Missing("group"),
                    CreateMessageError::LibraryError(_) => {
                        Error::Internal("the message could not be made")
                    }
                })?;
        to_bytes(&message)
    }
}

fn fresh_secret(provider: &Provider) -> Result<Zeroizing<Vec<u8>>> {
    provider
        .rand()
        .random_vec(TREE_SECRET_BYTES)
        .map(Zeroizing::new)
        .map_err(|_| Error::Internal("there is no randomness"))
}

fn must_be_free(group: &MlsGroup) -> Result<()> {
    if !group.is_active() {
        return Err(Error::Missing("group"));
    }
    match group.pending_commit() {
        Some(_) => Err(Error::Internal("a commit is pending")),
        None => Ok(()),
    }
}

fn must_be_pending(group: &MlsGroup) -> Result<()> {
    group
        .pending_commit()
        .map(|_| ())
        .ok_or(Error::Missing("pending commit"))
}

fn build_commit(
    provider: &Provider,
    group: &mut MlsGroup,
    key: &DeviceKey,
    add: Vec<KeyPackage>,
    remove: impl Iterator<Item = LeafNodeIndex>,
    tree_secret: Option<&Zeroizing<Vec<u8>>>,
) -> Result<CommitMessageBundle> {
    let refused = Error::Refused(Rule::Protocol);
    let elsewhere = tree_secret
        .map(|secret| Extension::Unknown(TREE_SECRET, UnknownExtension(secret.to_vec())));
    group
        .commit_builder()
        .propose_removals(remove)
        .propose_adds(add)
        .force_self_update(true)
        .load_psks(provider.storage())
        .map_err(|_| Error::Internal("the commit could not be built"))?
        .use_ratchet_tree_extension(tree_secret.is_none())
        .create_group_info_with_extensions(elsewhere)
        .map_err(|_| Error::Internal("the commit could not be built"))?
        .create_group_info(false)
        .build(provider.rand(), provider.crypto(), key, |_| true)
        .map_err(|_| refused)?
        .stage_commit(provider)
        .map_err(|_| Error::Internal("the commit could not be stored"))
}

fn to_bytes(message: &MlsMessageOut) -> Result<Vec<u8>> {
    message
        .to_bytes()
        .map_err(|_| Error::Internal("a message could not be encoded"))
}
