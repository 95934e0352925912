//! The binding to libcrux against vectors of the standards: a wrong argument order would not show in a round
//! trip.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

use grue_mls::Crypto;
use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    types::{
        AeadType, CryptoError, HashType, HpkeAeadType, HpkeConfig, HpkeKdfType, HpkeKemType,
        SignatureScheme,
    },
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

fn suite() -> HpkeConfig {
    HpkeConfig(
        HpkeKemType::XWingKemDraft6,
        HpkeKdfType::HkdfSha256,
        HpkeAeadType::AesGcm128,
    )
}

#[test]
fn sha_256_of_fips_180() {
    let digest = Crypto.hash(HashType::Sha2_256, b"abc").expect("a digest");
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest, hex(expected));
}

#[test]
fn hmac_sha_256_of_rfc_4231_case_2() {
    let tag = Crypto.hmac(HashType::Sha2_256, b"Jefe", b"what do ya want for nothing?");
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(tag.expect("a tag").as_slice(), hex(expected));
}

#[test]
fn hkdf_sha_256_of_rfc_5869_case_1() {
    let (salt, info) = (
        hex("000102030405060708090a0b0c"),
        hex("f0f1f2f3f4f5f6f7f8f9"),
    );
    let prk = Crypto
        .hkdf_extract(HashType::Sha2_256, &salt, &[0x0b; 22])
        .expect("a key");
    let expected = "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5";
    assert_eq!(prk.as_slice(), hex(expected));
    let okm = Crypto
        .hkdf_expand(HashType::Sha2_256, prk.as_slice(), &info, 42)
        .expect("a key");
    let expected =
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(okm.as_slice(), hex(expected));
}

#[test]
fn aes_128_gcm_of_its_specification_case_4() {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", which NIST took over: appendix B.
    let key = hex("feffe9928665731c6d6a8f9467308308");
    let (nonce, aad) = (
        hex("cafebabefacedbaddecaf888"),
        hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    );
    let text = hex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let expected = hex(
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
         21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091\
         5bc94fbc3221a5db94fae95ae7121a47",
    );
    let sealed = Crypto.aead_encrypt(AeadType::Aes128Gcm, &key, &text, &nonce, &aad);
    assert_eq!(sealed.expect("sealed"), expected);
    let opened = Crypto.aead_decrypt(AeadType::Aes128Gcm, &key, &expected, &nonce, &aad);
    assert_eq!(opened.expect("opened"), text);
    for place in [0, expected.len() - 1] {
        let mut forged = expected.clone();
        forged[place] ^= 1;
        let refused = Crypto.aead_decrypt(AeadType::Aes128Gcm, &key, &forged, &nonce, &aad);
        assert_eq!(refused, Err(CryptoError::AeadDecryptionError));
    }
}

#[test]
fn ed25519_of_rfc_8032_test_2() {
    let private = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let expected = hex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    let signature = Crypto
        .sign(SignatureScheme::ED25519, &[0x72], &private)
        .expect("a signature");
    assert_eq!(signature, expected);
    let verified = Crypto.verify_signature(SignatureScheme::ED25519, &[0x72], &public, &signature);
    assert_eq!(verified, Ok(()));
    let refused = Crypto.verify_signature(SignatureScheme::ED25519, &[0x73], &public, &signature);
    assert_eq!(refused, Err(CryptoError::InvalidSignature));
}

#[test]
fn a_fresh_signature_key_signs_what_its_public_half_verifies() {
    let (private, public) = Crypto
        .signature_key_gen(SignatureScheme::ED25519)
        .expect("a key pair");
    let signature = Crypto
        .sign(SignatureScheme::ED25519, b"x", &private)
        .expect("a signature");
    let verified = Crypto.verify_signature(SignatureScheme::ED25519, b"x", &public, &signature);
    assert_eq!(verified, Ok(()));
}

#[test]
fn x_wing_opens_what_it_sealed_and_nothing_else() {
    let pair = Crypto
        .derive_hpke_keypair(suite(), &[7; 32])
        .expect("a key pair");
    assert_eq!(pair.public.len(), 1216);
    let mut sealed = Crypto
        .hpke_seal(suite(), &pair.public, b"i", b"a", b"text")
        .expect("sealed");
    assert_eq!(sealed.kem_output.as_slice().len(), 1120);
    let opened = Crypto.hpke_open(suite(), &sealed, &pair.private, b"i", b"a");
    assert_eq!(opened.expect("opened"), b"text");
    assert!(
        Crypto
            .hpke_open(suite(), &sealed, &pair.private, b"j", b"a")
            .is_err()
    );
    assert!(
        Crypto
            .hpke_open(suite(), &sealed, &pair.private, b"i", b"b")
            .is_err()
    );
    sealed.kem_output = sealed.kem_output.as_slice()[1..].to_vec().into();
    assert!(
        Crypto
            .hpke_open(suite(), &sealed, &pair.private, b"i", b"a")
            .is_err()
    );
}

#[test]
fn an_exported_secret_is_the_same_at_both_ends() {
    let pair = Crypto
        .derive_hpke_keypair(suite(), &[8; 32])
        .expect("a key pair");
    let (encapsulated, sent) = Crypto
        .hpke_setup_sender_and_export(suite(), &pair.public, b"i", b"c", 32)
        .expect("a secret");
    let received = Crypto
        .hpke_setup_receiver_and_export(suite(), &encapsulated, &pair.private, b"i", b"c", 32)
        .expect("a secret");
    assert_eq!(*sent, *received);
}

#[test]
fn short_keys_are_errors_and_no_panics() {
    // RUSTSEC-2026-0331, and the same lengths for everything else.
    for length in [0, 1, 31, 32, 33, 1183, 1184, 1215, 1217] {
        let key = vec![1; length];
        assert!(
            Crypto.hpke_seal(suite(), &key, b"", b"", b"").is_err(),
            "{length}"
        );
        if length == 32 {
            continue;
        }
        let pair = Crypto
            .derive_hpke_keypair(suite(), &[7; 32])
            .expect("a key pair");
        let sealed = Crypto
            .hpke_seal(suite(), &pair.public, b"", b"", b"")
            .expect("sealed");
        assert!(
            Crypto.hpke_open(suite(), &sealed, &key, b"", b"").is_err(),
            "{length}"
        );
        assert!(
            Crypto.sign(SignatureScheme::ED25519, b"", &key).is_err(),
            "{length}"
        );
        let aead = AeadType::Aes128Gcm;
        assert!(
            Crypto.aead_encrypt(aead, &key, b"", &[0; 12], b"").is_err(),
            "{length}"
        );
    }
}

#[test]
fn other_suites_are_refused() {
    assert!(Crypto.hash(HashType::Sha2_512, b"").is_err());
    assert!(
        Crypto
            .aead_encrypt(AeadType::ChaCha20Poly1305, &[0; 32], b"", &[0; 12], b"")
            .is_err()
    );
    assert!(Crypto.signature_key_gen(SignatureScheme::ED448).is_err());
    let other = HpkeConfig(
        HpkeKemType::DhKem25519,
        HpkeKdfType::HkdfSha256,
        HpkeAeadType::ChaCha20Poly1305,
    );
    assert!(Crypto.derive_hpke_keypair(other, &[0; 32]).is_err());
}

#[test]
fn random_bytes_differ() {
    let draw = || Crypto.random_array::<32>().expect("randomness");
    assert_ne!(draw(), draw());
    assert_eq!(Crypto.random_vec(5).expect("randomness").len(), 5);
}
