//! What others made: application messages and commits.

use std::fmt;

use openmls::{
    group::MlsGroup,
    prelude::{ContentType, ProcessedMessageContent, ProtocolMessage, Sender},
};
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result, Rule},
    member::parse,
    path::check_path,
    policy,
    provider::Provider,
    session::Session,
    staged::{StagedCommit, check_commit},
    verdict,
};

/// A message that was opened.
#[derive(Debug)]
pub enum Incoming {
    /// An application message.
    Application(Application),
    /// Another member's commit, to be merged or discarded.
    Commit(Box<StagedCommit>),
}

/// An application message.
pub struct Application {
    /// The leaf of its sender, in the epoch it was sent in.
    pub leaf: u32,
    /// The credential of its sender, in the epoch it was sent in: the leaf may be another's by now.
    pub credential: Vec<u8>,
    /// Its content.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// What came with it unencrypted but signed.
    pub authenticated_data: Vec<u8>,
}

impl Session {
    /// Open a PrivateMessage, or check another member's commit. Needs `g`.
    ///
    /// Fails with any [`Error`]; unless it is `Internal`, the session is as it was.
    pub fn process(&mut self, group_id: &[u8], message: &[u8]) -> Result<Incoming> {
        let protocol_message: ProtocolMessage = parse(message)?
            .try_into_protocol_message()
            .map_err(|_| Error::Malformed)?;
        policy::check_frame(&protocol_message)?;
        let (provider, group) = self.group(group_id)?;
        if protocol_message.content_type() == ContentType::Application {
            return open(provider, group, protocol_message);
        }
        // Before the keys are looked at, which takes longer.
        if protocol_message.epoch() != group.epoch() {
            return Err(Error::WrongEpoch);
        }
        check_path(message)?;
        stage(provider, group, protocol_message)
    }

    /// Apply another member's commit. If it removes us, the group can only be looked at and deleted. An own
    /// pending commit is forgotten. Needs `g`.
    ///
    /// Fails with `Missing`, and with `WrongEpoch` if the commit is not for the group as it is.
    pub fn merge(&mut self, group_id: &[u8], commit: StagedCommit) -> Result<()> {
        let (provider, group) = self.group(group_id)?;
        let context = commit.staged.group_context();
        let follows = context.group_id() == group.group_id()
            && context.epoch().as_u64() == group.epoch().as_u64().wrapping_add(1);
        if !follows || !group.is_active() {
            return Err(Error::WrongEpoch);
        }
        group
            .merge_staged_commit(provider, commit.staged)
            .map_err(|_| Error::Internal("the commit could not be merged"))
    }
}

fn open(provider: &Provider, group: &mut MlsGroup, message: ProtocolMessage) -> Result<Incoming> {
    let is_past = message.epoch() < group.epoch();
    let processed = group
        .process_message(provider, message)
        .map_err(|error| verdict::on(error, is_past))?;
    let Sender::Member(leaf) = *processed.sender() else {
        return Err(Error::Refused(Rule::External));
    };
    let authenticated_data = processed.aad().to_vec();
    let credential = processed.credential().serialized_content().to_vec();
    match processed.into_content() {
        ProcessedMessageContent::ApplicationMessage(message) => {
            Ok(Incoming::Application(Application {
                leaf: leaf.u32(),
                credential,
                plaintext: Zeroizing::new(message.into_bytes()),
                authenticated_data,
            }))
        }
        ProcessedMessageContent::OwnPrivateMessage => Err(Error::OwnMessage),
        _ => Err(Error::Refused(Rule::WireFormat)),
    }
}

fn stage(provider: &Provider, group: &mut MlsGroup, message: ProtocolMessage) -> Result<Incoming> {
    let again = message.clone();
    let processed = match group.process_message(provider, message) {
        Ok(processed) => processed,
        Err(error) => return Err(verdict::on_commit(provider.crypto(), group, error, again)),
    };
    match check_commit(provider.crypto(), group, processed)? {
        Some(commit) => Ok(Incoming::Commit(Box::new(commit))),
        None => Err(Error::OwnMessage),
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("leaf", &self.leaf)
            .finish_non_exhaustive()
    }
}
