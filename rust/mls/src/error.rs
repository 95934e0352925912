//! Why a call was refused: whose fault it is, and so what the caller does next.

use std::fmt;

/// What every function here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. It never holds input or secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that are no MLS message, key package or Welcome of our version and suite.
    #[error("the bytes are no MLS structure of our version")]
    Malformed,
    /// A group, key package, signature key or pending commit that the entries do not hold.
    #[error("not held: {0}")]
    Missing(&'static str),
    /// A message for an epoch that this group is not in, or no longer keeps.
    #[error("the message is for another epoch")]
    WrongEpoch,
    /// A message whose key was used already (a replay), or is too far ahead.
    #[error("the key of the message is gone or too far ahead")]
    SecretGone,
    /// A message that our own leaf sent.
    #[error("our own leaf sent the message")]
    OwnMessage,
    /// A message that fails a check which every member can make.
    #[error("refused by {0}")]
    Refused(Rule),
    /// A commit that is valid to everyone, but whose private part this member cannot open.
    #[error("a valid commit has a private part that this member cannot open")]
    Lost,
    /// What should not happen: unreadable entries, a misuse of the interface, a bug.
    #[error("internal: {0}")]
    Internal(&'static str),
}

/// The checks of `docs/protocol/mls.md`, section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The credential has not the one form that we accept.
    Credential,
    /// The certificate in the credential does not verify.
    Certificate,
    /// Another version or suite than ours.
    Suite,
    /// A lifetime other than "always".
    Lifetime,
    /// An update path that changes who the leaf is.
    Identity,
    /// A handshake from outside the group.
    External,
    /// A proposal other than an inline Add or Remove.
    Proposal,
    /// A commit without a path.
    Path,
    /// Extensions that we do not use, or a group id of another length.
    Extensions,
    /// A handshake that is no commit in a PublicMessage, or an application message that is no PrivateMessage.
    WireFormat,
    /// A public key that nobody could encrypt to.
    Key,
    /// Any other check of RFC 9420, as OpenMLS makes it.
    Protocol,
}

impl Rule {
    /// The id under which the protocol document lists the check.
    pub fn id(self) -> &'static str {
        match self {
            Self::Credential => "MLS-01",
            Self::Certificate => "MLS-02",
            Self::Suite => "MLS-03",
            Self::Lifetime => "MLS-04",
            Self::Identity => "MLS-05",
            Self::External => "MLS-06",
            Self::Proposal => "MLS-07",
            Self::Path => "MLS-08",
            Self::Extensions => "MLS-09",
            Self::WireFormat => "MLS-10",
            Self::Protocol => "MLS-11",
            Self::Key => "MLS-12",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
