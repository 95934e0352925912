//! Another member's commit, checked against our policy and not applied yet.

use std::fmt;

use openmls::{
    group::MlsGroup,
    prelude::{ProcessedMessage, ProcessedMessageContent},
};
use openmls_traits::crypto::OpenMlsCrypto;

use crate::{
    error::{Error, Result, Rule},
    member::Member,
    policy,
};

/// Another member's commit that passed every check; nothing has changed until [`crate::Session::merge`].
pub struct StagedCommit {
    /// The leaf of the committer.
    pub leaf: u32,
    /// What came with it unencrypted but signed.
    pub authenticated_data: Vec<u8>,
    /// Who is added.
    pub added: Vec<Member>,
    /// Who is removed.
    pub removed: Vec<Member>,
    /// Whether we are among those removed.
    pub removes_self: bool,
    pub(crate) staged: openmls::group::StagedCommit,
}

/// A commit that OpenMLS passed, checked against our policy; `None` for the own pending one.
pub(crate) fn check_commit(
    crypto: &impl OpenMlsCrypto,
    group: &MlsGroup,
    processed: ProcessedMessage,
) -> Result<Option<StagedCommit>> {
    let sender = processed.sender().clone();
    let authenticated_data = processed.aad().to_vec();
    let staged = match processed.into_content() {
        ProcessedMessageContent::StagedCommitMessage(staged) => *staged,
        ProcessedMessageContent::OwnPendingCommit => return Ok(None),
        _ => return Err(Error::Refused(Rule::Proposal)),
    };
    let leaf = policy::check_commit(crypto, group.public_group(), &sender, &staged)?.u32();
    Ok(Some(StagedCommit {
        leaf,
        authenticated_data,
        added: added(&staged),
        removed: removed(group, &staged),
        removes_self: staged.self_removed(),
        staged,
    }))
}

fn added(commit: &openmls::group::StagedCommit) -> Vec<Member> {
    commit
        .add_proposals()
        .map(|add| Member::from(add.add_proposal().key_package()))
        .collect()
}

fn removed(group: &MlsGroup, commit: &openmls::group::StagedCommit) -> Vec<Member> {
    commit
        .remove_proposals()
        .filter_map(|remove| group.member_at(remove.remove_proposal().removed()))
        .map(Member::from)
        .collect()
}

impl fmt::Debug for StagedCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedCommit")
            .field("leaf", &self.leaf)
            .field("removes_self", &self.removes_self)
            .finish_non_exhaustive()
    }
}
