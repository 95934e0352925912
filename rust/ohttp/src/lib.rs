//! Oblivious HTTP (RFC 9458) with binary HTTP (RFC 9292), over the crates `ohttp` and `bhttp`.
//!
//! A client [`Request::seal`]s, the gateway [`Gateway::open`]s and [`Exchange::seal`]s, the client
//! [`Request::open`]s. There is one suite: X-Wing (ML-KEM-768 with X25519), HKDF-SHA256, ChaCha20-Poly1305.
//! Every function is total: any bytes give a result or an [`Error`], and no error holds input. Inner messages
//! have one encoding and are padded to exactly the size that is asked for, so that all of a kind look alike.

mod client;
mod error;
mod gateway;
mod message;
mod suite;

pub use client::Request;
pub use error::{Error, Result};
pub use gateway::{Exchange, Gateway};
pub use message::{Call, MESSAGE_MAX, Reply};
pub use suite::{CONFIG, REQUEST_OVERHEAD, RESPONSE_OVERHEAD, SEED};
