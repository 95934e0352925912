//! Joining a group: a Welcome is opened and checked first, and accepted later or never.

use std::fmt;

use openmls::{
    group::{ProcessedWelcome, WelcomeError},
    prelude::{MlsMessageBodyIn, RatchetTreeIn, Welcome},
};
use openmls_traits::OpenMlsProvider;
use tls_codec::{Deserialize, Serialize, VLByteVec};
use zeroize::Zeroizing;

use crate::{
    config::{self, MAX_INPUT_BYTES, TREE_SECRET, TREE_SECRET_BYTES},
    crypto::Crypto,
    error::{Error, Result, Rule},
    member::{Member, parse, parse_key_package},
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
    /// Open a Welcome. Needs `s` and `k`. `tree` is the group's, where the Welcome does not hold it.
    ///
    /// Fails with `Malformed`, `Missing` (it is for none of our key packages, or without its tree) or `Refused`, also
    /// for a tree of another epoch.
    pub fn stage_welcome(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<StagedWelcome> {
        let welcome = parse_welcome(welcome)?;
        let own = DeviceKey::load(self.provider.store())?;
        let staged = open(&self.provider, welcome, tree)?;
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

    /// The secret by which the tree is found that a Welcome does not hold; `None` when it does. Needs `s` and `k`.
    ///
    /// The session holds the key package for used: discard its changes. Fails as [`Self::stage_welcome`].
    pub fn tree_secret(&mut self, welcome: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let welcome = parse_welcome(welcome)?;
        let opened = ProcessedWelcome::new_from_welcome(&self.provider, &config::join(), welcome)
            .map_err(explain)?;
        let extensions = opened.unverified_group_info().extensions();
        match extensions.unknown(TREE_SECRET) {
            Some(secret) if secret.0.len() == TREE_SECRET_BYTES => {
                Ok(Some(Zeroizing::new(secret.0.clone())))
            }
            Some(_) => Err(Error::Refused(Rule::Extensions)),
            None => Ok(None),
        }
    }

    /// The tree of the current epoch, for those whose Welcome does not hold it. Needs `g`. Fails with `Missing`.
    pub fn tree(&mut self, group_id: &[u8]) -> Result<Vec<u8>> {
        self.group(group_id)?
            .1
            .export_ratchet_tree()
            .tls_serialize_detached()
            .map_err(|_| Error::Internal("the tree could not be encoded"))
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

/// What a Welcome has for those of whom these are the key packages: the secrets of others are left out.
///
/// Each has 1.3 KB, so that in a Welcome for a thousand they are most of it. Fails with `Malformed`, `Refused`.
pub fn welcome_for(welcome: &[u8], packages: &[impl AsRef<[u8]>]) -> Result<Vec<u8>> {
    let references = packages
        .iter()
        .map(|package| {
            let package = parse_key_package(&Crypto, package.as_ref())?;
            let reference = package.hash_ref(&Crypto).map_err(|_| Error::Malformed)?;
            Ok(reference.as_slice().to_vec())
        })
        .collect::<Result<Vec<_>>>()?;
    select(welcome, &references).map_err(|_| Error::Malformed)
}

/// RFC 9420, section 12.4.3.1: a Welcome with the secrets of some, in the frame of section 6.
fn select(
    mut welcome: &[u8],
    references: &[Vec<u8>],
) -> std::result::Result<Vec<u8>, tls_codec::Error> {
    let bytes = &mut welcome;
    let frame = <(u16, u16, u16)>::tls_deserialize(bytes)?; // version, wire format, suite
    let all = VLByteVec::tls_deserialize(bytes)?;
    let group_info = VLByteVec::tls_deserialize_exact(*bytes)?;
    let mut some = Vec::new();
    let left = &mut all.as_slice();
    while !left.is_empty() {
        let secrets = <(VLByteVec, VLByteVec, VLByteVec)>::tls_deserialize(left)?; // of whom, encapsulation, ciphertext
        if references
            .iter()
            .any(|reference| reference == secrets.0.as_slice())
        {
            secrets.tls_serialize(&mut some)?;
        }
    }
    let mut out = Vec::new();
    (frame, VLByteVec::from(some), group_info).tls_serialize(&mut out)?;
    Ok(out)
}

fn parse_welcome(bytes: &[u8]) -> Result<Welcome> {
    let MlsMessageBodyIn::Welcome(welcome) = parse(bytes)?.extract() else {
        return Err(Error::Malformed);
    };
    if welcome.ciphersuite() != config::SUITE {
        return Err(Error::Refused(Rule::Suite));
    }
    Ok(welcome)
}

fn parse_tree(bytes: &[u8]) -> Result<RatchetTreeIn> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(Error::Malformed);
    }
    RatchetTreeIn::tls_deserialize_exact(bytes).map_err(|_| Error::Malformed)
}

fn open(
    provider: &Provider,
    welcome: Welcome,
    tree: Option<&[u8]>,
) -> Result<openmls::group::StagedWelcome> {
    let mut builder =
        openmls::group::StagedWelcome::build_from_welcome(provider, &config::join(), welcome)
            .map_err(explain)?;
    if let Some(tree) = tree {
        builder = builder.with_ratchet_tree(parse_tree(tree)?);
    }
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
        WelcomeError::MissingRatchetTree => Error::Missing("tree"),
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
