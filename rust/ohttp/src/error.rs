//! Why a call was refused.

/// What every function here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. It never holds input or secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A seed that is not 32 bytes long.
    #[error("a seed is not 32 bytes long")]
    Seed,
    /// A key configuration of another length or suite, or with a key that is none.
    #[error("the key configuration is malformed, or of another suite")]
    Config,
    /// A request whose header names another key or suite than the gateway's: the client should ask for the
    /// configuration again.
    #[error("the request is for another key")]
    Key,
    /// What does not open: truncated, changed, or sealed to another key or for another exchange.
    #[error("it does not open")]
    Sealed,
    /// An inner message that is no binary HTTP in the one encoding that we read, or cannot be written in it.
    #[error("the binary HTTP message is malformed")]
    Message,
    /// A message that does not fit into the size it is to be padded to, or a size above the limit.
    #[error("the message does not fit")]
    Size,
    /// An exchange or request that was used already.
    #[error("it was used before")]
    Spent,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    Randomness,
    /// What cannot happen by the types; an error all the same, never a panic.
    #[error("internal")]
    Internal,
}
