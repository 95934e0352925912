//! The device's signature key: one Ed25519 pair, the same in every group.

use openmls_traits::{
    crypto::OpenMlsCrypto,
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use zeroize::Zeroizing;

use crate::{
    config::SIGNATURES,
    crypto::Crypto,
    error::{Error, Result},
    store::{Store, StoreError},
};

/// The entry: 32 bytes private, 32 bytes public.
pub(crate) const SIGNATURE_KEY: &[u8] = b"s";

const HALF: usize = 32;

/// A signature key pair. The private half is overwritten when dropped and never printed.
pub(crate) struct DeviceKey {
    private: Zeroizing<[u8; HALF]>,
    public: [u8; HALF],
}

impl DeviceKey {
    /// Make a fresh pair from the provider's randomness.
    pub(crate) fn generate(crypto: &impl OpenMlsCrypto) -> Result<Self> {
        let failed = Error::Internal("no signature key could be made");
        let (private, public) = crypto
            .signature_key_gen(SIGNATURES)
            .map_err(|_| failed.clone())?;
        Self::from_halves(&Zeroizing::new(private), &public).ok_or(failed)
    }

    /// Read the pair from the entries.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let decode = |entry: &[u8]| {
            let halves = entry.split_at_checked(HALF);
            let pair = halves.and_then(|(private, public)| Self::from_halves(private, public));
            pair.ok_or(StoreError::Decode)
        };
        store
            .read(SIGNATURE_KEY, decode)
            .map_err(|_| Error::Internal("the signature key's entry is unreadable"))?
            .ok_or(Error::Missing("signature key"))
    }

    /// Write the pair to the entries.
    pub(crate) fn save(&self, store: &Store) {
        store.write(
            SIGNATURE_KEY.to_vec(),
            [*self.private, self.public].concat(),
        );
    }

    pub(crate) fn public(&self) -> [u8; HALF] {
        self.public
    }

    fn from_halves(private: &[u8], public: &[u8]) -> Option<Self> {
        let private = Zeroizing::new(private.try_into().ok()?);
        Some(Self {
            private,
            public: public.try_into().ok()?,
        })
    }
}

impl Signer for DeviceKey {
    fn sign(&self, payload: &[u8]) -> std::result::Result<Vec<u8>, SignerError> {
        Crypto
            .sign(SIGNATURES, payload, self.private.as_slice())
            .map_err(SignerError::CryptoError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SIGNATURES
    }
}
