//! The gateway's side: who holds the private key.

use ohttp::{
    KeyConfig, Server, ServerResponse, SymmetricSuite,
    hpke::{Aead, Kdf, Kem},
};

use crate::suite::{CONFIG, HEADER, KEM, REQUEST_OVERHEAD, SEED, SYMMETRIC, randomness};
use crate::{Call, Error, Reply, Result};

/// A private key. Its 32 bytes are zeroised when dropped; what the crates derive from it in passing is not all.
pub struct Gateway {
    server: Server,
    config: Vec<u8>,
    header: [u8; HEADER],
}

/// The gateway's end of one request, for one response.
pub struct Exchange(Option<ServerResponse>);

impl Gateway {
    /// The key that HPKE's DeriveKeyPair makes of a seed: the same each time.
    pub fn from_seed(seed: &[u8], key_id: u8) -> Result<Self> {
        if seed.len() != SEED {
            return Err(Error::Seed);
        }
        let suite = SymmetricSuite::new(Kdf::HkdfSha256, Aead::ChaCha20Poly1305);
        let key = KeyConfig::derive(key_id, Kem::XWing, vec![suite], seed)
            .map_err(|_| Error::Internal)?;
        let config = key.encode().map_err(|_| Error::Internal)?;
        if config.len() != CONFIG {
            return Err(Error::Internal);
        }
        let server = Server::new(key).map_err(|_| Error::Internal)?;
        let ([id], [k0, k1], [s0, s1, s2, s3]) = ([key_id], KEM, SYMMETRIC);
        Ok(Self {
            server,
            config,
            header: [id, k0, k1, s0, s1, s2, s3],
        })
    }

    /// The encoded key configuration that clients need (RFC 9458, section 3).
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// Decapsulate a request and read its inner message.
    ///
    /// It opens as often as it is presented: whoever must not act twice has to know it again
    /// (RFC 9458, section 6.5).
    pub fn open(&self, request: &[u8]) -> Result<(Exchange, Call)> {
        if request.len() < REQUEST_OVERHEAD {
            return Err(Error::Sealed);
        }
        if !request.starts_with(&self.header) {
            return Err(Error::Key);
        }
        randomness()?;
        let (message, response) = self
            .server
            .decapsulate(request)
            .map_err(|_| Error::Sealed)?;
        Ok((Exchange(Some(response)), Call::decode(&message)?))
    }
}

impl Exchange {
    /// Encapsulate the response, its inner message padded to exactly `size` bytes.
    ///
    /// What cannot be written leaves the exchange as it was, so that an error can still be sent.
    pub fn seal(&mut self, reply: &Reply, size: usize) -> Result<Vec<u8>> {
        let message = reply.encode(size)?;
        let response = self.0.take().ok_or(Error::Spent)?;
        response.encapsulate(&message).map_err(|_| Error::Internal)
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchange")
    }
}
