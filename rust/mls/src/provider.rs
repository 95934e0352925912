//! What OpenMLS asks for: cryptography, randomness, storage.

use openmls_traits::OpenMlsProvider;

use crate::{crypto::Crypto, store::Store};

/// The provider of one session.
pub(crate) struct Provider {
    crypto: Crypto,
    store: Store,
}

impl Provider {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            crypto: Crypto,
            store,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn saved(&mut self) {
        self.store.saved();
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        &self.store
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}
