//! The checks of `docs/protocol/mls.md` on a single device, its credential and its key package: MLS-01, MLS-02,
//! MLS-03, MLS-04, MLS-09, MLS-12. The tests carry the ids in their names.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use grue_mls::{Error, Rule, key_package_member};
use openmls::prelude::*;
use world::{
    Account, GROUP,
    adversary::{Adversary, Pair, Recipe, spoilt},
};

fn assert_package_refused(package: &[u8], rule: Rule) {
    assert_eq!(key_package_member(package), Err(Error::Refused(rule)));
    let mut founder = Account::new().device();
    founder.create();
    let add = founder.with(|session| session.commit(&GROUP, &[package], &[], b""));
    assert_eq!(add, Err(Error::Refused(rule)));
}

#[test]
fn a_key_package_that_keeps_the_rules_says_whose_it_is() {
    let adversary = Adversary::new();
    let member = key_package_member(&adversary.key_package_bytes(Recipe::default()));
    let member = member.expect("accepted");
    assert_eq!(member.signature_key, adversary.pair.public);
    assert_eq!(member.credential, adversary.credential_bytes());
}

#[test]
fn mls_01_a_credential_of_another_form() {
    let adversary = Adversary::new();
    let good = adversary.credential_bytes();
    let forms = [
        Credential::new(CredentialType::X509, good.clone()),
        BasicCredential::new(spoilt(&good, 0)).into(),
        BasicCredential::new(good[..96].to_vec()).into(),
        BasicCredential::new([good.as_slice(), b"0"].concat()).into(),
        BasicCredential::new(Vec::new()).into(),
    ];
    for credential in forms {
        let recipe = Recipe {
            credential: Some(credential),
            ..Recipe::default()
        };
        assert_package_refused(&adversary.key_package_bytes(recipe), Rule::Credential);
    }
}

#[test]
fn mls_02_a_certificate_that_does_not_verify() {
    let adversary = Adversary::new();
    let good = adversary.credential_bytes();
    let somebody_elses = adversary.account.certify(&Pair::new().public);
    for credential in [
        spoilt(&good, 1),
        spoilt(&good, 40),
        spoilt(&good, 96),
        somebody_elses,
    ] {
        let credential = BasicCredential::new(credential).into();
        let recipe = Recipe {
            credential: Some(credential),
            ..Recipe::default()
        };
        assert_package_refused(&adversary.key_package_bytes(recipe), Rule::Certificate);
    }
}

#[test]
fn mls_02_an_identity_key_of_small_order() {
    let adversary = Adversary::new();
    for key in small_order_encodings() {
        // With R = -k A one signature fits about every eighth message, by the plain equation; with the
        // neutral point it fits all.
        for point in small_order_encodings() {
            let forged = [[1].as_slice(), &key, &point, &[0; 32]].concat();
            let credential = BasicCredential::new(forged).into();
            let recipe = Recipe {
                credential: Some(credential),
                ..Recipe::default()
            };
            let package = adversary.key_package_bytes(recipe);
            assert_eq!(
                key_package_member(&package),
                Err(Error::Refused(Rule::Certificate))
            );
        }
    }
}

#[test]
fn mls_02_a_certificate_with_a_point_of_small_order() {
    let adversary = Adversary::new();
    let good = adversary.credential_bytes();
    for point in small_order_encodings() {
        let mut forged = good.clone();
        forged[33..65].copy_from_slice(&point);
        let recipe = Recipe {
            credential: Some(BasicCredential::new(forged).into()),
            ..Recipe::default()
        };
        let package = adversary.key_package_bytes(recipe);
        assert_eq!(
            key_package_member(&package),
            Err(Error::Refused(Rule::Certificate))
        );
    }
}

/// The eight points of the torsion subgroup, and the encodings of two of them that are not reduced.
fn small_order_encodings() -> Vec<[u8; 32]> {
    let torsion = curve25519_dalek::constants::EIGHT_TORSION;
    let mut encodings: Vec<_> = torsion
        .iter()
        .map(|point| point.compress().to_bytes())
        .collect();
    for low in [0xed, 0xee] {
        for sign in [0x7f, 0xff] {
            let mut unreduced = [0xff; 32];
            (unreduced[0], unreduced[31]) = (low, sign);
            encodings.push(unreduced);
        }
    }
    encodings
}

#[test]
fn mls_01_02_a_device_makes_nothing_under_a_credential_that_is_not_its_own() {
    let (mut device, other) = (Account::new().device(), Account::new().device());
    let foreign = other.credential;
    let refused = Error::Refused(Rule::Certificate);
    let made = device.with(|session| session.key_package(&foreign, false));
    assert_eq!(made, Err(refused.clone()));
    assert_eq!(
        device.with(|session| session.create(&GROUP, &foreign)),
        Err(refused)
    );
    let short = device.with(|session| session.create(&GROUP, b"short"));
    assert_eq!(short, Err(Error::Refused(Rule::Credential)));
}

#[test]
fn mls_03_another_suite() {
    let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let package = Adversary::new().forged_package(|forgery| forgery.suite = suite.into());
    assert_package_refused(&package, Rule::Suite);
}

#[test]
fn mls_04_a_lifetime_other_than_always() {
    let adversary = Adversary::new();
    for lifetime in [
        Lifetime::default(),
        Lifetime::init(1, u64::MAX),
        Lifetime::init(0, u64::MAX - 1),
    ] {
        let package = adversary.key_package_bytes(Recipe {
            lifetime,
            ..Recipe::default()
        });
        assert_package_refused(&package, Rule::Lifetime);
    }
}

#[test]
fn mls_09_extensions_in_a_leaf() {
    let extension = Extension::ApplicationId(ApplicationIdExtension::new(b"x"));
    let recipe = Recipe {
        leaf_extensions: vec![extension],
        ..Recipe::default()
    };
    assert_package_refused(
        &Adversary::new().key_package_bytes(recipe),
        Rule::Extensions,
    );
}

#[test]
fn a_forged_package_with_nothing_forged_is_accepted() {
    assert!(key_package_member(&Adversary::new().forged_package(|_| ())).is_ok());
}

#[test]
fn mls_12_keys_of_a_package_that_are_none() {
    let adversary = Adversary::new();
    for key in no_keys() {
        let package = adversary.forged_package(|forgery| forgery.init_key.clone_from(&key));
        assert_package_refused(&package, Rule::Key);
        let package = adversary.forged_package(|forgery| forgery.encryption_key = key);
        assert_package_refused(&package, Rule::Key);
    }
}

/// Too short, too long, out of range for ML-KEM, of small order for X25519.
fn no_keys() -> [Vec<u8>; 5] {
    let good = Adversary::new()
        .key_package(Recipe::default())
        .hpke_init_key()
        .as_slice()
        .to_vec();
    let mut out_of_range = good.clone();
    out_of_range[..2].fill(0xff);
    let mut small_order = good.clone();
    small_order[1184..].fill(0);
    [
        Vec::new(),
        good[..1215].to_vec(),
        [good.as_slice(), &[0]].concat(),
        out_of_range,
        small_order,
    ]
}
