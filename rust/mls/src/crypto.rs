//! What OpenMLS asks of cryptography, for our one suite: nothing is written here, libcrux and hpke-rs are
//! bound.
//!
//! OpenMLS's own binding (`openmls_libcrux_crypto` 0.4.0) pins a libcrux-kem that panics on short keys
//! (RUSTSEC-2026-0330, RUSTSEC-2026-0331). This one is over the repaired releases, knows one suite instead
//! of fourteen, and draws every random byte from the system: a generator with a state of its own could be
//! copied by a fork, and two processes would draw the same numbers.

use hpke_rs::{Hpke, HpkeError, HpkePrivateKey, HpkePublicKey, Mode};
use hpke_rs_crypto::types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs_libcrux::HpkeLibcrux;
use libcrux_aes::{AesGcm128Key, AesGcm128Nonce, AesGcm128Tag, NONCE_LEN};
use libcrux_hkdf::Algorithm::Sha256;
use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    types::{
        AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext,
        HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
    },
};
use rand::{TryRng, rngs::SysRng};
use tls_codec::SecretVLBytes;
use zeroize::Zeroizing;

use crate::config::{SIGNATURES, SUITE};

type Outcome<T> = Result<T, CryptoError>;

const HASH_BYTES: usize = 32;
const KEY_BYTES: usize = 16;
const TAG_BYTES: usize = libcrux_aes::TAG_LEN;

/// Cryptography and randomness for OpenMLS, for suite 0x004F and no other. It has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Crypto;

fn expect_sha256(hash: HashType) -> Outcome<()> {
    match hash {
        HashType::Sha2_256 => Ok(()),
        _ => Err(CryptoError::UnsupportedHashAlgorithm),
    }
}

fn expect_aes_128_gcm(aead: AeadType) -> Outcome<()> {
    match aead {
        AeadType::Aes128Gcm => Ok(()),
        _ => Err(CryptoError::UnsupportedAeadAlgorithm),
    }
}

fn expect_ed25519(scheme: SignatureScheme) -> Outcome<()> {
    if scheme == SIGNATURES {
        Ok(())
    } else {
        Err(CryptoError::UnsupportedSignatureScheme)
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Outcome<&[u8; N]> {
    bytes.try_into().map_err(|_| CryptoError::InvalidLength)
}

/// Key and nonce as AES-128-GCM has them, where they are: nothing of a secret is copied.
fn aes_128_gcm<'a>(
    key: &'a [u8],
    nonce: &'a [u8],
) -> Outcome<(&'a AesGcm128Key, &'a AesGcm128Nonce)> {
    let key: &[u8; KEY_BYTES] = fixed(key)?;
    let nonce: &[u8; NONCE_LEN] = fixed(nonce)?;
    Ok((key.into(), nonce.into()))
}

fn hpke(config: &HpkeConfig) -> Outcome<Hpke<HpkeLibcrux<SysRng>>> {
    let HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128) =
        config
    else {
        return Err(CryptoError::UnsupportedCiphersuite);
    };
    let (kem, kdf) = (KemAlgorithm::XWingDraft06, KdfAlgorithm::HkdfSha256);
    let aead = AeadAlgorithm::Aes128Gcm;
    Ok(Hpke::new_with_rng(Mode::Base, kem, kdf, aead, SysRng))
}

/// Whether somebody can encrypt to this key: it has the right length, its halves are valid, and neither is
/// degenerate. About 60 us.
pub(crate) fn is_public_key(key: &[u8]) -> bool {
    libcrux_kem::PublicKey::decode(libcrux_kem::Algorithm::XWingKemDraft06, key)
        .and_then(|key| key.encapsulate_derand(&[1; 64]))
        .is_ok()
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, suite: Ciphersuite) -> Outcome<()> {
        if suite == SUITE {
            Ok(())
        } else {
            Err(CryptoError::UnsupportedCiphersuite)
        }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![SUITE]
    }

    fn hkdf_extract(&self, hash: HashType, salt: &[u8], ikm: &[u8]) -> Outcome<SecretVLBytes> {
        expect_sha256(hash)?;
        let mut prk = vec![0; HASH_BYTES];
        libcrux_hkdf::extract(Sha256, &mut prk, salt, ikm)
            .map_err(|_| CryptoError::InvalidLength)?;
        Ok(prk.into())
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        length: usize,
    ) -> Outcome<SecretVLBytes> {
        expect_sha256(hash)?;
        if length > 255 * HASH_BYTES {
            return Err(CryptoError::HkdfOutputLengthInvalid);
        }
        let mut okm = vec![0; length];
        libcrux_hkdf::expand(Sha256, &mut okm, prk, info)
            .map_err(|_| CryptoError::InvalidLength)?;
        Ok(okm.into())
    }

    fn hmac(&self, hash: HashType, key: &[u8], message: &[u8]) -> Outcome<SecretVLBytes> {
        expect_sha256(hash)?;
        let mut tag = vec![0; HASH_BYTES];
        libcrux_hmac::hmac(libcrux_hmac::Algorithm::Sha256, key, message, &mut tag);
        Ok(tag.into())
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Outcome<Vec<u8>> {
        expect_sha256(hash)?;
        Ok(libcrux_sha2::sha256(data).to_vec())
    }

    fn aead_encrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Outcome<Vec<u8>> {
        expect_aes_128_gcm(aead)?;
        let (key, nonce) = aes_128_gcm(key, nonce)?;
        let (mut sealed, mut tag) = (vec![0; data.len()], AesGcm128Tag::from([0; TAG_BYTES]));
        key.encrypt(&mut sealed, &mut tag, nonce, aad, data)
            .map_err(|_| CryptoError::CryptoLibraryError)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    fn aead_decrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        sealed: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Outcome<Vec<u8>> {
        expect_aes_128_gcm(aead)?;
        let (key, nonce) = aes_128_gcm(key, nonce)?;
        let (sealed, tag) = sealed
            .split_last_chunk::<TAG_BYTES>()
            .ok_or(CryptoError::InvalidLength)?;
        let mut opened = vec![0; sealed.len()];
        key.decrypt(&mut opened, nonce, aad, sealed, &AesGcm128Tag::from(*tag))
            .map_err(|_| CryptoError::AeadDecryptionError)?;
        Ok(opened)
    }

    fn signature_key_gen(&self, scheme: SignatureScheme) -> Outcome<(Vec<u8>, Vec<u8>)> {
        expect_ed25519(scheme)?;
        let private = Zeroizing::new(self.random_array::<32>()?);
        let mut public = [0; 32];
        libcrux_ed25519::secret_to_public(&mut public, &private);
        Ok((private.to_vec(), public.to_vec()))
    }

    fn sign(&self, scheme: SignatureScheme, data: &[u8], key: &[u8]) -> Outcome<Vec<u8>> {
        expect_ed25519(scheme)?;
        libcrux_ed25519::sign(data, fixed(key)?)
            .map(|signature| signature.to_vec())
            .map_err(|_| CryptoError::SigningError)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        key: &[u8],
        signature: &[u8],
    ) -> Outcome<()> {
        expect_ed25519(scheme)?;
        libcrux_ed25519::verify(data, fixed(key)?, fixed(signature)?)
            .map_err(|_| CryptoError::InvalidSignature)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Outcome<HpkeCiphertext> {
        let public = HpkePublicKey::new(public.to_vec());
        let (kem_output, ciphertext) = hpke(&config)?
            .seal(&public, info, aad, plaintext, None, None, None)
            .map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext {
            kem_output: kem_output.into(),
            ciphertext: ciphertext.into(),
        })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        sealed: &HpkeCiphertext,
        private: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Outcome<Vec<u8>> {
        let private = HpkePrivateKey::new(private.to_vec());
        let (kem_output, ciphertext) = (sealed.kem_output.as_slice(), sealed.ciphertext.as_slice());
        hpke(&config)?
            .open(
                kem_output, &private, info, aad, ciphertext, None, None, None,
            )
            .map_err(|_| CryptoError::HpkeDecryptionError)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Outcome<(KemOutput, ExporterSecret)> {
        let public = HpkePublicKey::new(public.to_vec());
        let (kem_output, secret) = hpke(&config)?
            .send_export(&public, info, None, None, None, context, length)
            .map_err(|_| CryptoError::SenderSetupError)?;
        Ok((kem_output, secret.into()))
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        kem_output: &[u8],
        private: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Outcome<ExporterSecret> {
        let private = HpkePrivateKey::new(private.to_vec());
        hpke(&config)?
            .receiver_export(
                kem_output, &private, info, None, None, None, context, length,
            )
            .map(ExporterSecret::from)
            .map_err(|_| CryptoError::ReceiverSetupError)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Outcome<HpkeKeyPair> {
        let pair = hpke(&config)?
            .derive_key_pair(ikm)
            .map_err(|error| match error {
                HpkeError::InvalidConfig => CryptoError::InvalidLength,
                _ => CryptoError::CryptoLibraryError,
            })?;
        let (private, public) = pair.into_keys();
        let private = private.as_slice().to_vec().into();
        Ok(HpkeKeyPair {
            private,
            public: public.as_slice().to_vec(),
        })
    }
}

impl OpenMlsRand for Crypto {
    type Error = CryptoError;

    fn random_array<const N: usize>(&self) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|_| CryptoError::InsufficientRandomness)?;
        Ok(bytes)
    }

    fn random_vec(&self, length: usize) -> Outcome<Vec<u8>> {
        let mut bytes = vec![0; length];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|_| CryptoError::InsufficientRandomness)?;
        Ok(bytes)
    }
}
