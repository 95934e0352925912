//! Why a call was refused.

/// What every function here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. It never holds input or secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A group element that has another length, is not canonical, or is the identity.
    #[error("a group element is malformed")]
    Element,
    /// A private key or blind that has another length, is not canonical, or is zero.
    #[error("a scalar is malformed")]
    Scalar,
    /// An input longer than 65,535 bytes.
    #[error("an input is too long")]
    Input,
    /// No element, more than 65,535 of them, or lists of different lengths.
    #[error("a batch is empty, too long, or its parts do not match")]
    Batch,
    /// A proof that is malformed or does not verify: another key made the answer.
    #[error("the proof does not verify")]
    Proof,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    Randomness,
    /// What cannot happen by the types; an error all the same, never a panic.
    #[error("internal")]
    Internal,
}
