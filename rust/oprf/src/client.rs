//! The client's side: who knows the input.

use voprf::{EvaluationElement, Group, Proof, VoprfClient};
use zeroize::Zeroizing;

use crate::suite::{ELEMENT, OUTPUT, PROOF, SCALAR, Suite, first, randomness};
use crate::{Error, Result};

/// One blinded input; input and blind are zeroised when it is dropped.
pub struct Blinding {
    client: VoprfClient<Suite>,
    input: Zeroizing<Vec<u8>>,
    element: [u8; ELEMENT],
}

impl Blinding {
    /// Blinding an input with a fresh scalar.
    pub fn blind(input: &[u8]) -> Result<Self> {
        short(input)?;
        let blinded = VoprfClient::blind(input, &mut randomness()?).map_err(|_| Error::Input)?;
        Ok(Self::new(
            input,
            blinded.state,
            blinded.message.serialize().into(),
        ))
    }

    /// Make a blinding again from a revealed scalar, to check a transcript.
    pub fn from_scalar(input: &[u8], scalar: &[u8]) -> Result<Self> {
        short(input)?;
        // Refuses zero, which would blind nothing, and scalars that are not canonical.
        let scalar = <Suite as Group>::deserialize_scalar(scalar).map_err(|_| Error::Scalar)?;
        let blinded =
            VoprfClient::deterministic_blind_unchecked(input, scalar).map_err(|_| Error::Input)?;
        Ok(Self::new(
            input,
            blinded.state,
            blinded.message.serialize().into(),
        ))
    }

    fn new(input: &[u8], client: VoprfClient<Suite>, element: [u8; ELEMENT]) -> Self {
        Self {
            client,
            input: Zeroizing::new(input.to_vec()),
            element,
        }
    }

    /// The blinded element that goes to the server. It is uniform and says nothing about the input.
    #[must_use]
    pub fn element(&self) -> [u8; ELEMENT] {
        self.element
    }

    /// The blind. Whoever holds it and the element can test guesses of the input.
    pub fn scalar(&self) -> Result<Zeroizing<[u8; SCALAR]>> {
        let state = Zeroizing::new(<[u8; SCALAR + ELEMENT]>::from(self.client.serialize()));
        first(state.as_slice()).map(Zeroizing::new)
    }
}

/// Check the batched proof against the public key, then unblind and hash (RFC 9497, Finalize).
///
/// Costs three scalar multiplications an input and four for the proof.
pub fn finalize<B: AsRef<Blinding>, E: AsRef<[u8]>>(
    blinds: &[B],
    evaluated: &[E],
    proof: &[u8],
    public: &[u8],
) -> Result<Vec<[u8; OUTPUT]>> {
    if blinds.is_empty() || blinds.len() != evaluated.len() {
        return Err(Error::Batch);
    }
    let public = <Suite as Group>::deserialize_elem(public).map_err(|_| Error::Element)?;
    let proof = read_proof(proof)?;
    let evaluated = evaluated
        .iter()
        .map(|bytes| element(bytes.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    let clients: Vec<_> = blinds
        .iter()
        .map(|blind| blind.as_ref().client.clone())
        .collect();
    let inputs: Vec<&[u8]> = blinds
        .iter()
        .map(|blind| blind.as_ref().input.as_slice())
        .collect();
    let outputs = VoprfClient::batch_finalize(&inputs, &clients, &evaluated, &proof, public)
        .map_err(refusal)?;
    outputs
        .map(|output| output.map(Into::into).map_err(refusal))
        .collect()
}

fn element(bytes: &[u8]) -> Result<EvaluationElement<Suite>> {
    // The crate's own reader would ignore what comes after the first 32 bytes.
    if bytes.len() != ELEMENT {
        return Err(Error::Element);
    }
    EvaluationElement::deserialize(bytes).map_err(|_| Error::Element)
}

/// The RFC's limit. The crate enforces it in Finalize only, when the request was made already.
fn short(input: &[u8]) -> Result<()> {
    u16::try_from(input.len())
        .map(drop)
        .map_err(|_| Error::Input)
}

fn read_proof(bytes: &[u8]) -> Result<Proof<Suite>> {
    if bytes.len() != PROOF {
        return Err(Error::Proof);
    }
    Proof::deserialize(bytes).map_err(|_| Error::Proof)
}

fn refusal(error: voprf::Error) -> Error {
    match error {
        voprf::Error::ProofVerification => Error::Proof,
        voprf::Error::Batch => Error::Batch,
        voprf::Error::Input => Error::Input,
        _ => Error::Internal,
    }
}

impl AsRef<Self> for Blinding {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl std::fmt::Debug for Blinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blinding")
    }
}
