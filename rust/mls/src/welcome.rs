//! Joining a group: a Welcome is opened and checked first, and accepted later or never.

use std::fmt;

use openmls::{
    group::WelcomeError,
    prelude::{MlsMessageBodyIn, Welcome},
};
use openmls_traits::OpenMlsProvider;

use crate::{
    config,
    error::{Error, Result, Rule},
    member::{Member, parse},
    path::check_key,
    policy,
    provider::Provider,
    session::Session,
    signer::DeviceKey,
    storage::group_prefix,
    store::StoreError,
};

/// A group that a Welcome invites to; nothing has changed until [`Session::accept_welcome`], except that the
/// session holds the key package for used: without accepting, discard its changes.
pub struct StagedWelcome {
    /// The group's id, 32 bytes.
    pub group_id: Vec<u8>,
    /// The epoch that we join in.
    pub epoch: u64,
    /// All members, ourselves too.
    pub members: Vec<Member>,
    /// Our leaf.
    pub own_leaf: u32,
    /// The leaf of who invites.
    pub sender_leaf: u32,
    staged: openmls::group::StagedWelcome,
}

impl Session {
    /// Open a Welcome. Needs `s` and `k`.
    ///
    /// Fails with `Malformed`, `Missing` (it is for none of our key packages) or `Refused`.
    pub fn stage_welcome(&mut self, welcome: &[u8]) -> Result<StagedWelcome> {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
            return Err(Error::Malformed);
        };
        if welcome.ciphersuite() != config::SUITE {
            return Err(Error::Refused(Rule::Suite));
        }
        let own = DeviceKey::load(self.provider.store())?;
        let staged = open(&self.provider, welcome)?;
        let members = check(&self.provider, &staged, &own)?;
        Ok(StagedWelcome {
            group_id: staged.group_context().group_id().to_vec(),
            epoch: staged.group_context().epoch().as_u64(),
            members,
            own_leaf: staged.own_leaf_index().u32(),
            sender_leaf: staged.welcome_sender_index().u32(),
            staged,
        })
    }

    /// Join. Entries of the same group that were given are replaced (a resync); those that were not given
    /// must be deleted by whoever stores the changes.
    pub fn accept_welcome(&mut self, welcome: StagedWelcome) -> Result<()> {
        self.provider
            .store()
            .delete_all(&group_prefix(&welcome.group_id));
        let group = welcome
            .staged
            .into_group(&self.provider)
            .map_err(|_| Error::Internal("the group could not be stored"))?;
        self.groups.insert(group)
    }
}

fn open(provider: &Provider, welcome: Welcome) -> Result<openmls::group::StagedWelcome> {
    let builder =
        openmls::group::StagedWelcome::build_from_welcome(provider, &config::join(), welcome)
            .map_err(explain)?;
    if !builder.processed_welcome().psks().is_empty() {
        return Err(Error::Refused(Rule::Proposal));
    }
    builder
        .skip_lifetime_validation()
        .replace_old_group()
        .build()
        .map_err(explain)
}

/// MLS-01, MLS-02 and MLS-12 for every member; MLS-03, MLS-09 for the group; MLS-05 for our own leaf.
fn check(
    provider: &Provider,
    staged: &openmls::group::StagedWelcome,
    own: &DeviceKey,
) -> Result<Vec<Member>> {
    policy::check_context(staged.group_context())?;
    let own_leaf = staged
        .own_leaf_node()
        .ok_or(Error::Refused(Rule::Identity))?;
    if own_leaf.signature_key().as_slice() != own.public() {
        return Err(Error::Refused(Rule::Identity));
    }
    let mut members = Vec::new();
    for member in staged.members() {
        policy::check_credential(provider.crypto(), &member.credential, &member.signature_key)?;
        check_key(&member.encryption_key)?;
        members.push(Member::from(member));
    }
    Ok(members)
}

fn explain(error: WelcomeError<StoreError>) -> Error {
    match error {
        WelcomeError::NoMatchingKeyPackage | WelcomeError::JoinerSecretNotFound => {
            Error::Missing("key package")
        }
        WelcomeError::StorageError(_) => Error::Internal("a key package's entry is unreadable"),
        _ => Error::Refused(Rule::Protocol),
    }
}

impl fmt::Debug for StagedWelcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedWelcome")
            .field("epoch", &self.epoch)
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}
