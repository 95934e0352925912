//! Why a call was refused.

use std::io::ErrorKind;

/// What every function here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. It never holds input or secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header that is not ours, of another version, or that contradicts itself or its file.
    #[error("a header is malformed, or does not belong to its file")]
    Header,
    /// A query, answer, seed, tag, column or file of another length than the layout says.
    #[error("an input has another length than the layout says")]
    Length,
    /// Records that are not whole, not strictly ascending by tag, look like an empty slot, or are too many.
    #[error("the records are not whole, not sorted, or too many")]
    Records,
    /// Fence keys that are not the encoding of ascending keys.
    #[error("the fence keys are malformed")]
    Fences,
    /// A list of top hashes that does not have the layout's root.
    #[error("the top hashes do not have the root")]
    Root,
    /// A column that is not the one under the root, or does not hold what a column holds.
    #[error("the column does not verify")]
    Column,
    /// A column number that no record can be in, or a tag that belongs to another column.
    #[error("the column is not the tag's")]
    Index,
    /// Query material that is malformed or was made for another hint.
    #[error("the query material is malformed, or for another hint")]
    Material,
    /// No query, or more than a batch holds.
    #[error("no query, or too many in a batch")]
    Batch,
    /// A table for which answers would fail more often than once in 2^64.
    #[error("the table is too large for its parameters")]
    Noise,
    /// A file that cannot be read or written.
    #[error("a file cannot be read or written: {0}")]
    File(ErrorKind),
    /// A file for which there is no room.
    #[error("the disk is full")]
    Full,
    /// The caller stopped it.
    #[error("stopped")]
    Stopped,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    Randomness,
    /// What cannot happen; an error all the same, never a panic.
    #[error("internal")]
    Internal,
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            kind => Self::File(kind),
        }
    }
}
