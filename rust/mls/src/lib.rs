//! Messaging Layer Security (RFC 9420) over a key-value map, as Grue uses it.
//!
//! A [`Session`] is given the stored entries of one device (its signature key, its key packages, one
//! group) and gathers changes; whoever stores them does so in the same transaction as the message they
//! belong to. Nothing here opens a file, a socket or a clock of its own (OpenMLS reads the system's clock
//! to judge lifetimes, which [`policy`] makes a constant).
//!
//! The checks are numbered `MLS-01` and so on; `docs/protocol/mls.md` lists them.

mod codec;
mod config;
pub mod credential;
mod crypto;
mod cursor;
mod error;
mod groups;
mod identity;
mod incoming;
mod member;
mod outgoing;
mod path;
mod pieces;
pub mod policy;
mod provider;
mod session;
mod signer;
mod staged;
mod storage;
mod store;
mod verdict;
mod welcome;

pub use config::{
    GROUP_ID_BYTES, MAX_INPUT_BYTES, MAX_PAST_EPOCHS, MAXIMUM_FORWARD_DISTANCE,
    OUT_OF_ORDER_TOLERANCE, TREE_INSIDE_MEMBERS, TREE_SECRET_BYTES,
};
pub use crypto::Crypto;
pub use error::{Error, Result, Rule};
pub use incoming::{Application, Incoming};
pub use member::{Member, NO_LEAF, key_package_member};
pub use outgoing::Commit;
pub use session::Session;
pub use staged::StagedCommit;
pub use store::Changes;
pub use welcome::{StagedWelcome, welcome_for};
