//! OpenMLS's storage interface over the [`Store`]: which value lies under which key.
//!
//! | key | value |
//! |---|---|
//! | `s` | the device's signature key ([`crate::signer`]) |
//! | `k`, key package reference | a key package with its private parts |
//! | `g`, group id, tag | one part of a group's state; the tags are in [`tag`] |
//!
//! What Grue never makes (proposals of their own, update proposals, pre-shared keys) is never stored: writing
//! it is an error, reading it finds nothing.

use openmls::group::GroupId;
use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{
    codec,
    pieces::{Kind, put_back_members, put_together, take_apart},
    store::{Store, StoreError},
};

type Outcome<T> = Result<T, StoreError>;

/// Prefix of key packages.
pub(crate) const KEY_PACKAGES: u8 = b'k';
/// Prefix of groups.
pub(crate) const GROUPS: u8 = b'g';

/// The byte after the group id. Never change one: stored groups would be lost.
mod tag {
    /// The tree, taken apart (see [`crate::pieces`]).
    pub(super) const TREE: u8 = b'T';
    /// Followed by a name: the nodes of the tree.
    pub(super) const NODES: u8 = b'n';
    /// The tree as it was stored before: whole.
    pub(super) const WHOLE_TREE: u8 = b't';
    pub(super) const CONTEXT: u8 = b'x';
    pub(super) const INTERIM_TRANSCRIPT_HASH: u8 = b'i';
    pub(super) const CONFIRMATION_TAG: u8 = b'f';
    pub(super) const STATE: u8 = b'a';
    /// The message secrets, taken apart (see [`crate::pieces`]).
    pub(super) const MESSAGE_SECRETS: u8 = b'M';
    /// Followed by a name, which begins with the epoch: ratchets of the senders, and the members of past epochs.
    pub(super) const SECRETS: u8 = b'p';
    /// The message secrets as they were stored before: all but the members of past epochs.
    pub(super) const WHOLE_MESSAGE_SECRETS: u8 = b'm';
    /// Followed by a number from 0: the members of a past epoch as they were stored before, the oldest first.
    pub(super) const PAST_MEMBERS: u8 = b'l';
    pub(super) const RESUMPTION_SECRETS: u8 = b'r';
    pub(super) const OWN_LEAF_INDEX: u8 = b'o';
    pub(super) const EPOCH_SECRETS: u8 = b'e';
    pub(super) const JOIN_CONFIG: u8 = b'c';
    /// Followed by the epoch and the own leaf.
    pub(super) const EPOCH_KEY_PAIRS: u8 = b'h';
}

/// The prefix of everything of one group.
pub(crate) fn group_prefix(group_id: &[u8]) -> Vec<u8> {
    [&[GROUPS], group_id].concat()
}

/// OpenMLS passes keys as "anything that can be serialised": take the group id out again.
fn group_key(group_id: &impl Serialize, tag: u8) -> Outcome<Vec<u8>> {
    let id: GroupId = codec::decode(&codec::encode(group_id)?)?;
    let mut key = group_prefix(id.as_slice());
    key.push(tag);
    Ok(key)
}

fn epoch_key(group_id: &impl Serialize, epoch: &impl Serialize, leaf: u32) -> Outcome<Vec<u8>> {
    let mut key = group_key(group_id, tag::EPOCH_KEY_PAIRS)?;
    key.extend(codec::encode(epoch)?);
    key.extend(leaf.to_be_bytes());
    Ok(key)
}

fn key_package_key(reference: &impl Serialize) -> Outcome<Vec<u8>> {
    Ok([&[KEY_PACKAGES], codec::encode(reference)?.as_slice()].concat())
}

impl Store {
    fn put(&self, key: Vec<u8>, value: &(impl Serialize + ?Sized)) -> Outcome<()> {
        self.write(key, codec::encode(value)?);
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Outcome<Option<T>> {
        self.read(key, codec::decode)
    }
}

impl Store {
    /// Write what differs of a value and its pieces, and delete the pieces that it has no more.
    fn put_apart(
        &self,
        key: Vec<u8>,
        prefix: &[u8],
        kind: Kind,
        value: &impl Serialize,
    ) -> Outcome<()> {
        let value = Zeroizing::new(codec::encode(value)?);
        let (rest, pieces) = take_apart(&value, kind);
        self.write_if_new(key, &rest)?;
        for name in self.names(prefix) {
            if !pieces.contains_key(&name) {
                self.delete([prefix, &name].concat());
            }
        }
        pieces
            .iter()
            .try_for_each(|(name, piece)| self.write_if_new([prefix, name].concat(), piece))
    }

    fn get_apart<T: DeserializeOwned>(
        &self,
        key: &[u8],
        prefix: &[u8],
        kind: Kind,
    ) -> Outcome<Option<T>> {
        let Some(rest) = self.bytes(key)? else {
            return Ok(None);
        };
        let whole = put_together(&rest, kind, |name| self.bytes(&[prefix, name].concat()))?;
        codec::decode(&whole).map(Some)
    }

    /// As [`Self::get_apart`], of message secrets as they were stored before.
    fn get_whole_secrets<T: DeserializeOwned>(
        &self,
        key: &[u8],
        members: &[u8],
    ) -> Outcome<Option<T>> {
        let Some(rest) = self.bytes(key)? else {
            return Ok(None);
        };
        let list = |index| {
            self.bytes(&[members, &[index]].concat())?
                .ok_or(StoreError::Decode)
        };
        codec::decode(&put_back_members(&rest, list)?).map(Some)
    }

    fn bytes(&self, key: &[u8]) -> Outcome<Option<Zeroizing<Vec<u8>>>> {
        self.read(key, |entry| Ok(Zeroizing::new(entry.to_vec())))
    }

    fn write_if_new(&self, key: Vec<u8>, value: &[u8]) -> Outcome<()> {
        if self.read(&key, |entry| Ok(entry != value))?.unwrap_or(true) {
            self.write(key, value.to_vec());
        }
        Ok(())
    }
}

/// One part of a group's state: its writer, reader and deleter.
macro_rules! part {
    ($tag:expr, $kind:ident, $write:ident, $read:ident, $delete:ident) => {
        fn $write<G: traits::GroupId<CURRENT_VERSION>, V: traits::$kind<CURRENT_VERSION>>(
            &self,
            group_id: &G,
            value: &V,
        ) -> Outcome<()> {
            self.put(group_key(group_id, $tag)?, value)
        }

        fn $read<G: traits::GroupId<CURRENT_VERSION>, V: traits::$kind<CURRENT_VERSION>>(
            &self,
            group_id: &G,
        ) -> Outcome<Option<V>> {
            self.get(&group_key(group_id, $tag)?)
        }

        fn $delete<G: traits::GroupId<CURRENT_VERSION>>(&self, group_id: &G) -> Outcome<()> {
            self.delete(group_key(group_id, $tag)?);
            Ok(())
        }
    };
}

#[rustfmt::skip] // one line a part
impl StorageProvider<CURRENT_VERSION> for Store {
    type Error = StoreError;

    part!(tag::CONTEXT, GroupContext, write_context, group_context, delete_context);
    part!(tag::INTERIM_TRANSCRIPT_HASH, InterimTranscriptHash, write_interim_transcript_hash, interim_transcript_hash, delete_interim_transcript_hash);
    part!(tag::CONFIRMATION_TAG, ConfirmationTag, write_confirmation_tag, confirmation_tag, delete_confirmation_tag);
    part!(tag::RESUMPTION_SECRETS, ResumptionPskStore, write_resumption_psk_store, resumption_psk_store, delete_all_resumption_psk_secrets);
    part!(tag::OWN_LEAF_INDEX, LeafNodeIndex, write_own_leaf_index, own_leaf_index, delete_own_leaf_index);
    part!(tag::EPOCH_SECRETS, GroupEpochSecrets, write_group_epoch_secrets, group_epoch_secrets, delete_group_epoch_secrets);
    part!(tag::JOIN_CONFIG, MlsGroupJoinConfig, write_mls_join_config, mls_group_join_config, delete_group_config);

    // The type parameters of these two stand in the other order.
    fn write_group_state<V: traits::GroupState<CURRENT_VERSION>, G: traits::GroupId<CURRENT_VERSION>>(&self, group_id: &G, state: &V) -> Outcome<()> {
        self.put(group_key(group_id, tag::STATE)?, state)
    }
    fn group_state<V: traits::GroupState<CURRENT_VERSION>, G: traits::GroupId<CURRENT_VERSION>>(&self, group_id: &G) -> Outcome<Option<V>> {
        self.get(&group_key(group_id, tag::STATE)?)
    }
    fn delete_group_state<G: traits::GroupId<CURRENT_VERSION>>(&self, group_id: &G) -> Outcome<()> {
        self.delete(group_key(group_id, tag::STATE)?);
        Ok(())
    }

    // Large, and little of them changes at once.
    fn write_tree<G: traits::GroupId<CURRENT_VERSION>, V: traits::TreeSync<CURRENT_VERSION>>(&self, group_id: &G, tree: &V) -> Outcome<()> {
        self.delete(group_key(group_id, tag::WHOLE_TREE)?);
        self.put_apart(group_key(group_id, tag::TREE)?, &group_key(group_id, tag::NODES)?, Kind::Tree, tree)
    }
    fn tree<G: traits::GroupId<CURRENT_VERSION>, V: traits::TreeSync<CURRENT_VERSION>>(&self, group_id: &G) -> Outcome<Option<V>> {
        match self.get_apart(&group_key(group_id, tag::TREE)?, &group_key(group_id, tag::NODES)?, Kind::Tree)? {
            Some(tree) => Ok(Some(tree)),
            None => self.get(&group_key(group_id, tag::WHOLE_TREE)?),
        }
    }
    fn delete_tree<G: traits::GroupId<CURRENT_VERSION>>(&self, group_id: &G) -> Outcome<()> {
        self.delete(group_key(group_id, tag::WHOLE_TREE)?);
        self.delete(group_key(group_id, tag::TREE)?);
        self.delete_all(&group_key(group_id, tag::NODES)?);
        Ok(())
    }

    fn write_message_secrets<G: traits::GroupId<CURRENT_VERSION>, V: traits::MessageSecrets<CURRENT_VERSION>>(&self, group_id: &G, secrets: &V) -> Outcome<()> {
        self.delete(group_key(group_id, tag::WHOLE_MESSAGE_SECRETS)?);
        self.delete_all(&group_key(group_id, tag::PAST_MEMBERS)?);
        self.put_apart(group_key(group_id, tag::MESSAGE_SECRETS)?, &group_key(group_id, tag::SECRETS)?, Kind::Secrets, secrets)
    }
    fn message_secrets<G: traits::GroupId<CURRENT_VERSION>, V: traits::MessageSecrets<CURRENT_VERSION>>(&self, group_id: &G) -> Outcome<Option<V>> {
        match self.get_apart(&group_key(group_id, tag::MESSAGE_SECRETS)?, &group_key(group_id, tag::SECRETS)?, Kind::Secrets)? {
            Some(secrets) => Ok(Some(secrets)),
            None => self.get_whole_secrets(&group_key(group_id, tag::WHOLE_MESSAGE_SECRETS)?, &group_key(group_id, tag::PAST_MEMBERS)?),
        }
    }
    fn delete_message_secrets<G: traits::GroupId<CURRENT_VERSION>>(&self, group_id: &G) -> Outcome<()> {
        self.delete(group_key(group_id, tag::WHOLE_MESSAGE_SECRETS)?);
        self.delete_all(&group_key(group_id, tag::PAST_MEMBERS)?);
        self.delete(group_key(group_id, tag::MESSAGE_SECRETS)?);
        self.delete_all(&group_key(group_id, tag::SECRETS)?);
        Ok(())
    }

    // The private keys of the tree, for one epoch.
    fn write_encryption_epoch_key_pairs<G: traits::GroupId<CURRENT_VERSION>, E: traits::EpochKey<CURRENT_VERSION>, V: traits::HpkeKeyPair<CURRENT_VERSION>>(&self, group_id: &G, epoch: &E, leaf: u32, pairs: &[V]) -> Outcome<()> {
        self.put(epoch_key(group_id, epoch, leaf)?, pairs)
    }
    fn encryption_epoch_key_pairs<G: traits::GroupId<CURRENT_VERSION>, E: traits::EpochKey<CURRENT_VERSION>, V: traits::HpkeKeyPair<CURRENT_VERSION>>(&self, group_id: &G, epoch: &E, leaf: u32) -> Outcome<Vec<V>> {
        Ok(self.get(&epoch_key(group_id, epoch, leaf)?)?.unwrap_or_default())
    }
    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<CURRENT_VERSION>, E: traits::EpochKey<CURRENT_VERSION>>(&self, group_id: &G, epoch: &E, leaf: u32) -> Outcome<()> {
        self.delete(epoch_key(group_id, epoch, leaf)?);
        Ok(())
    }

    // Key packages, with their private parts.
    fn write_key_package<R: traits::HashReference<CURRENT_VERSION>, V: traits::KeyPackage<CURRENT_VERSION>>(&self, reference: &R, package: &V) -> Outcome<()> {
        self.put(key_package_key(reference)?, package)
    }
    fn key_package<R: traits::HashReference<CURRENT_VERSION>, V: traits::KeyPackage<CURRENT_VERSION>>(&self, reference: &R) -> Outcome<Option<V>> {
        self.get(&key_package_key(reference)?)
    }
    fn delete_key_package<R: traits::HashReference<CURRENT_VERSION>>(&self, reference: &R) -> Outcome<()> {
        self.delete(key_package_key(reference)?);
        Ok(())
    }

    // Never made: proposals that are not inline, and update proposals with their leaves and keys.
    fn queue_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>, V: traits::QueuedProposal<CURRENT_VERSION>>(&self, _: &G, _: &R, _: &V) -> Outcome<()> {
        Err(StoreError::Unused)
    }
    fn queued_proposal_refs<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(&self, _: &G) -> Outcome<Vec<R>> {
        Ok(Vec::new())
    }
    fn queued_proposals<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>, V: traits::QueuedProposal<CURRENT_VERSION>>(&self, _: &G) -> Outcome<Vec<(R, V)>> {
        Ok(Vec::new())
    }
    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(&self, _: &G, _: &R) -> Outcome<()> {
        Ok(())
    }
    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(&self, _: &G) -> Outcome<()> {
        Ok(())
    }
    fn append_own_leaf_node<G: traits::GroupId<CURRENT_VERSION>, V: traits::LeafNode<CURRENT_VERSION>>(&self, _: &G, _: &V) -> Outcome<()> {
        Err(StoreError::Unused)
    }
    fn own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>, V: traits::LeafNode<CURRENT_VERSION>>(&self, _: &G) -> Outcome<Vec<V>> {
        Ok(Vec::new())
    }
    fn delete_own_leaf_nodes<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Outcome<()> {
        Ok(())
    }
    fn write_encryption_key_pair<K: traits::EncryptionKey<CURRENT_VERSION>, V: traits::HpkeKeyPair<CURRENT_VERSION>>(&self, _: &K, _: &V) -> Outcome<()> {
        Err(StoreError::Unused)
    }
    fn encryption_key_pair<V: traits::HpkeKeyPair<CURRENT_VERSION>, K: traits::EncryptionKey<CURRENT_VERSION>>(&self, _: &K) -> Outcome<Option<V>> {
        Ok(None)
    }
    fn delete_encryption_key_pair<K: traits::EncryptionKey<CURRENT_VERSION>>(&self, _: &K) -> Outcome<()> {
        Ok(())
    }

    // OpenMLS leaves signature keys to the application: see `signer`.
    fn write_signature_key_pair<K: traits::SignaturePublicKey<CURRENT_VERSION>, V: traits::SignatureKeyPair<CURRENT_VERSION>>(&self, _: &K, _: &V) -> Outcome<()> {
        Err(StoreError::Unused)
    }
    fn signature_key_pair<K: traits::SignaturePublicKey<CURRENT_VERSION>, V: traits::SignatureKeyPair<CURRENT_VERSION>>(&self, _: &K) -> Outcome<Option<V>> {
        Ok(None)
    }
    fn delete_signature_key_pair<K: traits::SignaturePublicKey<CURRENT_VERSION>>(&self, _: &K) -> Outcome<()> {
        Ok(())
    }

    // Pre-shared keys are refused by policy (MLS-07).
    fn write_psk<K: traits::PskId<CURRENT_VERSION>, V: traits::PskBundle<CURRENT_VERSION>>(&self, _: &K, _: &V) -> Outcome<()> {
        Err(StoreError::Unused)
    }
    fn psk<V: traits::PskBundle<CURRENT_VERSION>, K: traits::PskId<CURRENT_VERSION>>(&self, _: &K) -> Outcome<Option<V>> {
        Ok(None)
    }
    fn delete_psk<K: traits::PskId<CURRENT_VERSION>>(&self, _: &K) -> Outcome<()> {
        Ok(())
    }
}
