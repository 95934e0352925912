//! The client's side.

use ohttp::{ClientRequest, ClientResponse};

use crate::suite::{CONFIG, KEM, RESPONSE_OVERHEAD, SYMMETRIC, randomness};
use crate::{Call, Error, Reply, Result};

/// The client's end of one request, for one response.
pub struct Request(Option<ClientResponse>);

impl Request {
    /// Encapsulate a request to the key of a configuration, its inner message padded to exactly `size` bytes.
    pub fn seal(config: &[u8], call: &Call, size: usize) -> Result<(Self, Vec<u8>)> {
        ours(config)?;
        let message = call.encode(size)?;
        randomness()?;
        let client = ClientRequest::from_encoded_config(config).map_err(|_| Error::Config)?;
        let (sealed, response) = client.encapsulate(&message).map_err(|_| Error::Internal)?;
        Ok((Self(Some(response)), sealed))
    }

    /// Decapsulate the response and read its inner message. One that does not open spends the request too.
    pub fn open(&mut self, response: &[u8]) -> Result<Reply> {
        let client = self.0.take().ok_or(Error::Spent)?;
        if response.len() < RESPONSE_OVERHEAD {
            return Err(Error::Sealed);
        }
        let message = client.decapsulate(response).map_err(|_| Error::Sealed)?;
        Reply::decode(&message)
    }
}

/// Refuse a configuration of any suite but ours. The crate would panic on a list without a suite that it knows.
fn ours(config: &[u8]) -> Result<()> {
    let list = [[0, 4].as_slice(), &SYMMETRIC].concat();
    let kem = config.get(1..=KEM.len());
    if config.len() == CONFIG && kem == Some(KEM.as_slice()) && config.ends_with(&list) {
        Ok(())
    } else {
        Err(Error::Config)
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}
