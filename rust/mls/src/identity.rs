//! The device's own signature key and key packages.

use openmls::prelude::{
    BasicCredential, CredentialWithKey, KeyPackage, MlsMessageOut, SignaturePublicKey,
};
use openmls_traits::{OpenMlsProvider, signatures::Signer};

use crate::{
    config, credential,
    error::{Error, Result},
    session::Session,
    signer::DeviceKey,
};

impl Session {
    /// Make the device's signature key, in the place of any other, and return its public half.
    ///
    /// Fails with `Internal`.
    pub fn new_identity(&mut self) -> Result<[u8; credential::KEY_BYTES]> {
        let key = DeviceKey::generate(self.provider.crypto())?;
        key.save(self.provider.store());
        Ok(key.public())
    }

    /// Sign something of the device's own that is no MLS message. 64 bytes. Needs `s`.
    ///
    /// It has to begin with `grue `, which nothing does that MLS signs: neither can pass for the other.
    /// Fails with `Malformed` when it does not, and with `Missing`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        if !message.starts_with(b"grue ") {
            return Err(Error::Malformed);
        }
        let key = DeviceKey::load(self.provider.store())?;
        key.sign(message)
            .map_err(|_| Error::Internal("no signature could be made"))
    }

    /// A fresh key package of about 2.8 KB. One that is a last resort survives its use. Needs `s`.
    ///
    /// Fails with `Missing`, and with `Refused` for a credential that is not this device's.
    pub fn key_package(&mut self, credential: &[u8], last_resort: bool) -> Result<Vec<u8>> {
        let (key, credential) = self.own_credential(credential)?;
        let builder = KeyPackage::builder()
            .leaf_node_capabilities(config::capabilities())
            .key_package_lifetime(config::always());
        let builder = if last_resort {
            builder.mark_as_last_resort()
        } else {
            builder
        };
        let bundle = builder
            .build(config::SUITE, &self.provider, &key, credential)
            .map_err(|_| Error::Internal("no key package could be made"))?;
        MlsMessageOut::from(bundle.into_key_package())
            .to_bytes()
            .map_err(|_| Error::Malformed)
    }

    /// The device's key, and a credential checked to be its own (MLS-01, MLS-02).
    pub(crate) fn own_credential(&self, bytes: &[u8]) -> Result<(DeviceKey, CredentialWithKey)> {
        let key = DeviceKey::load(self.provider.store())?;
        credential::verify(self.provider.crypto(), bytes, &key.public())?;
        let signature_key = SignaturePublicKey::from(key.public().to_vec());
        let credential = BasicCredential::new(bytes.to_vec()).into();
        Ok((
            key,
            CredentialWithKey {
                credential,
                signature_key,
            },
        ))
    }
}
