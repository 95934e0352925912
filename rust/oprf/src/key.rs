//! The server's side: who holds the key.

use voprf::{BlindedElement, Group, VoprfServer};
use zeroize::Zeroizing;

use crate::suite::{ELEMENT, OUTPUT, PROOF, SCALAR, Suite, first, randomness};
use crate::{Error, Result};

/// A private key; zeroised when dropped.
pub struct Key(VoprfServer<Suite>);

/// What [`Key::evaluate`] returns: one element for each it was given, and one proof for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The evaluated elements, in the order of the blinded ones.
    pub elements: Vec<[u8; ELEMENT]>,
    /// The DLEQ proof over the whole batch.
    pub proof: [u8; PROOF],
}

impl Key {
    /// A fresh key (RFC 9497, DeriveKeyPair from a random seed).
    pub fn generate() -> Result<Self> {
        let server = VoprfServer::new(&mut randomness()?).map_err(|_| Error::Internal)?;
        Ok(Self(server))
    }

    /// The key with this scalar: 32 bytes, little-endian, below the group's order and not zero.
    pub fn from_bytes(key: &[u8]) -> Result<Self> {
        let server = VoprfServer::new_with_key(key).map_err(|_| Error::Scalar)?;
        Ok(Self(server))
    }

    /// The scalar, for a file that only the owner reads.
    pub fn to_bytes(&self) -> Result<Zeroizing<[u8; SCALAR]>> {
        let pair = Zeroizing::new(<[u8; SCALAR + ELEMENT]>::from(self.0.serialize()));
        first(pair.as_slice()).map(Zeroizing::new)
    }

    /// The public key that proofs are checked against.
    #[must_use]
    pub fn public(&self) -> [u8; ELEMENT] {
        <Suite as Group>::serialize_elem(self.0.get_public_key()).into()
    }

    /// BlindEvaluate for each element, with one batched proof (RFC 9497, section 3.3.2).
    ///
    /// Costs two scalar multiplications an element and four for the proof.
    pub fn evaluate<B: AsRef<[u8]>>(&self, blinded: &[B]) -> Result<Evaluation> {
        if blinded.is_empty() {
            return Err(Error::Batch);
        }
        let blinded = blinded
            .iter()
            .map(|bytes| element(bytes.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let evaluated = self
            .0
            .batch_blind_evaluate(&mut randomness()?, &blinded)
            .map_err(|_| Error::Batch)?;
        Ok(Evaluation {
            elements: evaluated
                .messages
                .iter()
                .map(|message| message.serialize().into())
                .collect(),
            proof: evaluated.proof.serialize().into(),
        })
    }

    /// The PRF itself, for who holds the key and knows the input (RFC 9497, Evaluate).
    pub fn output(&self, input: &[u8]) -> Result<[u8; OUTPUT]> {
        let output = self.0.evaluate(input).map_err(|_| Error::Input)?;
        Ok(output.into())
    }
}

fn element(bytes: &[u8]) -> Result<BlindedElement<Suite>> {
    // The crate's own reader would ignore what comes after the first 32 bytes.
    if bytes.len() != ELEMENT {
        return Err(Error::Element);
    }
    BlindedElement::deserialize(bytes).map_err(|_| Error::Element)
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}
