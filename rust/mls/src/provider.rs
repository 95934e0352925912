//! What OpenMLS asks for: cryptography, randomness, storage.

use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::OpenMlsProvider;

use crate::{
    error::{Error, Result},
    store::Store,
};

/// The provider of one session. The generator in it is seeded from the system each time: a state that lived
/// longer could be copied by a fork, and two processes would draw the same numbers.
pub(crate) struct Provider {
    crypto: CryptoProvider,
    store: Store,
}

impl Provider {
    pub(crate) fn new(store: Store) -> Result<Self> {
        Ok(Self {
            crypto: crypto()?,
            store,
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

/// Cryptography alone, for checks that need no entries.
pub(crate) fn crypto() -> Result<CryptoProvider> {
    CryptoProvider::new().map_err(|_| Error::Internal("the system gives no randomness"))
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = CryptoProvider;
    type RandProvider = CryptoProvider;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        &self.store
    }

    fn crypto(&self) -> &CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &CryptoProvider {
        &self.crypto
    }
}
