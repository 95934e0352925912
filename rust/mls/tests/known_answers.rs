//! The known answers that a second implementation needs, of `tests/vectors/known_answers.json`: those of X-Wing and of
//! HPKE as MLS uses them. The others are answered by `tests/protocol/test_known_answers.py`.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

use grue_mls::Crypto;
use libcrux_kem::{Algorithm::XWingKemDraft06, Ct, PrivateKey, PublicKey, key_gen_derand};
use openmls_traits::{
    crypto::OpenMlsCrypto,
    types::{HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType},
};
use serde_json::Value;

const FILE: &str = include_str!("../../../tests/vectors/known_answers.json");

const SUITE: HpkeConfig = HpkeConfig(
    HpkeKemType::XWingKemDraft6,
    HpkeKdfType::HkdfSha256,
    HpkeAeadType::AesGcm128,
);

struct Entry(Value);

impl Entry {
    fn named(name: &str) -> Self {
        let file: Value = serde_json::from_str(FILE).expect("the file");
        let mut entries = file["entries"].as_array().expect("entries").iter();
        let found = entries.find(|entry| entry["name"] == name);
        Self(found.expect("the entry").clone())
    }

    fn input(&self, name: &str) -> Vec<u8> {
        bytes(&self.0["inputs"][name])
    }

    fn output(&self, name: &str) -> Vec<u8> {
        bytes(&self.0["outputs"][name])
    }
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits: Vec<_> = hex
        .as_str()
        .expect("hexadecimal")
        .chars()
        .map(|digit| digit.to_digit(16).expect("hexadecimal"))
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] * 16 + pair[1]) as u8)
        .collect()
}

#[test]
fn x_wing_makes_the_key_pair_of_a_seed() {
    let known = Entry::named("x-wing-key-pair");
    let (_, public) = key_gen_derand(XWingKemDraft06, &known.input("seed")).expect("a key pair");
    assert_eq!(public.encode(), known.output("public"));
}

#[test]
fn x_wing_encapsulates_by_given_coins() {
    let known = Entry::named("x-wing-encapsulate");
    let public = PublicKey::decode(XWingKemDraft06, &known.input("public")).expect("a key");
    let (secret, ciphertext) = public
        .encapsulate_derand(&known.input("coins"))
        .expect("a secret");
    assert_eq!(ciphertext.encode(), known.output("ciphertext"));
    assert_eq!(secret.encode(), known.output("shared_secret"));
}

#[test]
fn x_wing_decapsulates() {
    let known = Entry::named("x-wing-decapsulate");
    let private = PrivateKey::decode(XWingKemDraft06, &known.input("seed")).expect("a key");
    let ciphertext = Ct::decode(XWingKemDraft06, &known.input("ciphertext")).expect("a ciphertext");
    let secret = ciphertext.decapsulate(&private).expect("a secret");
    assert_eq!(secret.encode(), known.output("shared_secret"));
}

#[test]
fn mls_derives_the_key_pairs_of_its_tree_as_protocol_2_does() {
    for name in ["mls-derive-key-pair", "hpke-pq-derive-key-pair"] {
        let known = Entry::named(name);
        let pair = Crypto
            .derive_hpke_keypair(SUITE, &known.input("ikm"))
            .expect("a key pair");
        let same =
            *pair.private == known.output("private")[..] && pair.public == known.output("public");
        assert!(
            same,
            "{name}: this build derives other keys than protocol 2. Groups of both kinds cannot read each other: \
             look for another hpke-rs in Cargo.lock, or for its feature draft-connolly-cfrg-hpke-mlkem"
        );
    }
}

#[test]
fn mls_opens_what_another_library_sealed() {
    let known = Entry::named("mls-hpke-open");
    let sealed = HpkeCiphertext {
        kem_output: known.input("encapsulated").into(),
        ciphertext: known.input("sealed").into(),
    };
    let (info, aad) = (known.input("info"), known.input("aad"));
    let opened = Crypto.hpke_open(SUITE, &sealed, &known.input("private"), &info, &aad);
    assert_eq!(opened.expect("opened"), known.output("plaintext"));
}
