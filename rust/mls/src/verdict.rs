//! Why OpenMLS refused a message, in our terms: the message's fault, the order's, or our own state's.

use openmls::{
    framing::errors::{MessageDecryptionError, SecretTreeError},
    group::{MlsGroup, MlsGroupStateError, ProcessMessageError, StageCommitError, ValidationError},
    prelude::ProtocolMessage,
};
use openmls_traits::crypto::OpenMlsCrypto;

use crate::{
    error::{Error, Result, Rule},
    staged::check_commit,
    store::StoreError,
};

/// Why a commit was not staged. When the reason may lie in our private state, judge it as somebody
/// would who has none: if it passes, everybody else follows it and we are lost, or it was ours once.
pub(crate) fn on_commit(
    crypto: &impl OpenMlsCrypto,
    group: &MlsGroup,
    error: ProcessMessageError<StoreError>,
    message: ProtocolMessage,
) -> Error {
    match error {
        // The path was opened before, and the path secret decides the tag for everybody alike.
        ProcessMessageError::InvalidCommit(StageCommitError::ConfirmationTagMismatch) => {
            Error::Refused(Rule::Protocol)
        }
        ProcessMessageError::InvalidCommit(_) | ProcessMessageError::LibraryError(_) => {
            match judge_publicly(crypto, group, message) {
                // Ours, and not pending: our own entries went back.
                Ok(leaf) if leaf == group.own_leaf_index().u32() => Error::OwnMessage,
                Ok(_) => Error::Lost,
                Err(error) => error,
            }
        }
        other => on(other, false),
    }
}

fn judge_publicly(
    crypto: &impl OpenMlsCrypto,
    group: &MlsGroup,
    message: ProtocolMessage,
) -> Result<u32> {
    let processed = group
        .public_group()
        .process_message(crypto, message)
        .map_err(|_| Error::Refused(Rule::Protocol))?;
    let commit = check_commit(crypto, group, processed)?;
    Ok(commit.map_or_else(|| group.own_leaf_index().u32(), |commit| commit.leaf))
}

/// Why a message was not opened; `is_past` if it is from an epoch before the group's.
pub(crate) fn on(error: ProcessMessageError<StoreError>, is_past: bool) -> Error {
    match error {
        ProcessMessageError::ValidationError(error) => on_validation(error, is_past),
        ProcessMessageError::GroupStateError(MlsGroupStateError::UseAfterEviction) => {
            Error::Missing("group")
        }
        ProcessMessageError::StorageError(_) => Error::Internal("an entry could not be stored"),
        ProcessMessageError::LibraryError(_) => Error::Internal("OpenMLS gave up"),
        ProcessMessageError::IncompatibleWireFormat => Error::Refused(Rule::WireFormat),
        _ => Error::Refused(Rule::Protocol),
    }
}

fn on_validation(error: ValidationError, is_past: bool) -> Error {
    match error {
        ValidationError::WrongEpoch | ValidationError::NoPastEpochData => Error::WrongEpoch,
        ValidationError::UnableToDecrypt(MessageDecryptionError::SecretTreeError(error)) => {
            on_secret(error, is_past)
        }
        ValidationError::LibraryError(_) => Error::Internal("OpenMLS gave up"),
        _ => Error::Refused(Rule::Protocol),
    }
}

fn on_secret(error: SecretTreeError, is_past: bool) -> Error {
    match error {
        // OpenMLS says the same of an epoch that is no longer kept, and of a generation.
        SecretTreeError::TooDistantInThePast if is_past => Error::WrongEpoch,
        SecretTreeError::TooDistantInThePast
        | SecretTreeError::TooDistantInTheFuture
        | SecretTreeError::SecretReuseError
        | SecretTreeError::RatchetTooLong => Error::SecretGone,
        _ => Error::Refused(Rule::Protocol),
    }
}
