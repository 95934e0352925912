//! The verifiable oblivious PRF of RFC 9497, mode VOPRF, ristretto255-SHA512, over the crate `voprf`.
//!
//! The verbs are the RFC's: a client [`Blinding::blind`]s, the server [`Key::evaluate`]s, the client
//! [`finalize`]s. Every function is total: any bytes give a result or an [`Error`], and no error holds
//! input. Elements that are not canonical and the identity are refused, scalars that are not canonical
//! and zero too. Keys, blinds and inputs are zeroised when dropped.

mod client;
mod error;
mod key;
mod suite;

pub use client::{Blinding, finalize};
pub use error::{Error, Result};
pub use key::{Evaluation, Key};
pub use suite::{ELEMENT, OUTPUT, PROOF, SCALAR};
