//! What we accept beyond RFC 9420: the checks MLS-01 to MLS-10 of `docs/protocol/mls.md`.
//!
//! Every one of them can be computed from the message and the group's public state alone, so all members
//! judge a commit alike, whatever their clocks, contacts or private keys say.

use openmls::prelude::{
    BasicCredential, ContentType, Credential, ExtensionType, KeyPackage, LeafNode, LeafNodeIndex,
    Proposal, ProposalOrRefType, ProtocolMessage, PublicGroup, QueuedProposal, Sender,
    StagedCommit, WireFormat,
};
use openmls_traits::crypto::OpenMlsCrypto;
use tls_codec::{Deserialize, Serialize, VLByteVec};

use crate::{
    config, credential,
    error::{Error, Result, Rule},
    path::check_key,
};

fn require(holds: bool, rule: Rule) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::Refused(rule))
    }
}

/// MLS-06, MLS-07 and MLS-10: what can be told from the frame, before anything is decrypted.
pub(crate) fn check_frame(message: &ProtocolMessage) -> Result<()> {
    require(!message.is_external(), Rule::External)?;
    match (message.content_type(), message.wire_format()) {
        (ContentType::Application, WireFormat::PrivateMessage) => Ok(()),
        (ContentType::Commit, WireFormat::PublicMessage) => Ok(()),
        (ContentType::Proposal, _) => Err(Error::Refused(Rule::Proposal)),
        _ => Err(Error::Refused(Rule::WireFormat)),
    }
}

/// MLS-01 and MLS-02.
pub(crate) fn check_credential(
    crypto: &impl OpenMlsCrypto,
    credential: &Credential,
    signature_key: &[u8],
) -> Result<()> {
    let basic = BasicCredential::try_from(credential.clone())
        .map_err(|_| Error::Refused(Rule::Credential))?;
    credential::verify(crypto, basic.identity(), signature_key)
}

/// MLS-01 to MLS-04, MLS-09 and MLS-12, for a key package whose signatures are verified.
pub(crate) fn check_key_package(crypto: &impl OpenMlsCrypto, package: &KeyPackage) -> Result<()> {
    let mut extensions = package.extensions().iter();
    require(package.ciphersuite() == config::SUITE, Rule::Suite)?;
    require(*package.life_time() == config::always(), Rule::Lifetime)?;
    require(
        extensions.all(|extension| extension.extension_type() == ExtensionType::LastResort),
        Rule::Extensions,
    )?;
    check_key(package.hpke_init_key().as_slice())?;
    check_key(&encryption_key(package.leaf_node())?)?;
    check_leaf(crypto, package.leaf_node())
}

/// OpenMLS shows this key only as it is encoded.
fn encryption_key(leaf: &LeafNode) -> Result<Vec<u8>> {
    leaf.encryption_key()
        .tls_serialize_detached()
        .and_then(VLByteVec::tls_deserialize_exact)
        .map(Vec::from)
        .map_err(|_| Error::Refused(Rule::Key))
}

fn check_leaf(crypto: &impl OpenMlsCrypto, leaf: &LeafNode) -> Result<()> {
    require(leaf.extensions().iter().next().is_none(), Rule::Extensions)?;
    check_credential(crypto, leaf.credential(), leaf.signature_key().as_slice())
}

/// A commit that passed OpenMLS's own checks: MLS-05 to MLS-08, and each added leaf. Returns its sender.
pub(crate) fn check_commit(
    crypto: &impl OpenMlsCrypto,
    group: &PublicGroup,
    sender: &Sender,
    commit: &StagedCommit,
) -> Result<LeafNodeIndex> {
    let Sender::Member(sender) = *sender else {
        return Err(Error::Refused(Rule::External));
    };
    for proposal in commit.queued_proposals() {
        check_proposal(crypto, proposal)?;
    }
    let path = commit
        .update_path_leaf_node()
        .ok_or(Error::Refused(Rule::Path))?;
    let before = group.leaf(sender).ok_or(Error::Refused(Rule::Identity))?;
    check_same_identity(before, path)?;
    Ok(sender)
}

/// MLS-07.
fn check_proposal(crypto: &impl OpenMlsCrypto, proposal: &QueuedProposal) -> Result<()> {
    require(
        proposal.proposal_or_ref_type() == ProposalOrRefType::Proposal,
        Rule::Proposal,
    )?;
    match proposal.proposal() {
        Proposal::Add(add) => check_key_package(crypto, add.key_package()),
        Proposal::Remove(_) => Ok(()),
        _ => Err(Error::Refused(Rule::Proposal)),
    }
}

/// MLS-05 and MLS-09: the new leaf says the same of itself as the old one. The old one was checked when it was
/// added, so the certificate need not be verified again.
fn check_same_identity(before: &LeafNode, after: &LeafNode) -> Result<()> {
    require(after.extensions().iter().next().is_none(), Rule::Extensions)?;
    let same = before.credential() == after.credential()
        && before.signature_key() == after.signature_key();
    require(same, Rule::Identity)
}

/// MLS-03 and MLS-09 for a group that a Welcome invites to.
pub(crate) fn check_context(context: &openmls::group::GroupContext) -> Result<()> {
    require(context.ciphersuite() == config::SUITE, Rule::Suite)?;
    require(context.protocol_version() == config::VERSION, Rule::Suite)?;
    require(
        context.group_id().as_slice().len() == config::GROUP_ID_BYTES,
        Rule::Extensions,
    )?;
    require(
        context.extensions().iter().next().is_none(),
        Rule::Extensions,
    )
}
