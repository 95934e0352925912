//! The private query: SimplePIR (eprint 2022/949) over sorted columns of many records.
//!
//! A server [`build`]s a base of records and a hint, and [`Base::answer`]s queries without learning which
//! column they are for. A [`Client`] has the hint, makes [`Material`] ahead of time, [`Client::query`]s one
//! column with it, [`Pending::recover`]s the column from the answer, and [`Columns::open`]s it: the record
//! under a tag, or a proof that there is none.
//!
//! Every function is total: any bytes give a result or an [`Error`]. Secrets are zeroised when dropped, and
//! nothing branches on them or on a query. The formats are in `docs/protocol/pir.md`, byte for byte.

mod answer;
mod client;
mod column;
mod error;
mod fences;
mod hint;
mod kernel;
mod layout;
mod mapped;
mod merkle;
mod noise;
mod pack;
mod progress;
mod sample;
mod stream;

pub use answer::{ANSWERS_AT_ONCE, Base};
pub use client::{Client, Material, Pending};
pub use column::Columns;
pub use error::{Error, Result};
pub use fences::Fences;
pub use kernel::Kernel;
pub use layout::{
    DIMENSION, HEADER, Layout, MAX_RECORDS, RECORD, SEED, SEPARATOR_BITS, Shape, TAG, slots,
};
pub use noise::{largest_norm, log2_failure};
pub use pack::{Built, build};
pub use progress::{Phase, Progress};
pub use stream::{Generator, Row};
