//! The checks of `docs/protocol/mls.md`, each against somebody who breaks it: MLS-01, MLS-02, MLS-03, MLS-04,
//! MLS-05, MLS-06, MLS-07, MLS-08, MLS-09, MLS-10, MLS-11, MLS-12. The tests carry the ids in their names.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use grue_mls::{Error, Rule, key_package_member};
use openmls::{
    prelude::*,
    schedule::{PreSharedKeyId, psk::ResumptionPskUsage},
};
use world::{
    Account, Device, GROUP,
    adversary::{Adversary, Pair, Recipe, package_from, spoilt},
    group,
};

/// A founder and a bystander who follow the policy, and an adversary in the same group.
fn infiltrated() -> (Device, Device, Adversary) {
    infiltrated_with(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
}

fn infiltrated_with(policy: WireFormatPolicy) -> (Device, Device, Adversary) {
    let mut founder = Account::new().device();
    let mut bystander = Account::new().device();
    founder.create();
    let commit = founder.commit(&[bystander.key_package()], &[]);
    founder.accept();
    bystander.join(&commit.welcome.expect("a Welcome"));
    let mut adversary = Adversary::new();
    let commit = adversary.join_by(&mut founder, policy);
    bystander.follow(&commit).expect("followed");
    (founder, bystander, adversary)
}

/// Everyone refuses it by the same rule, and stays where they are: also who could not have opened it.
fn assert_refused(devices: &mut [&mut Device], message: &[u8], rule: Rule) {
    for device in devices {
        let before = device.entries.clone();
        assert_eq!(
            device.process(message).expect_err("refused"),
            Error::Refused(rule)
        );
        assert_eq!(device.entries, before);
        let mut lost = device.clone();
        lost.entries.retain(|key, _| key.get(33) != Some(&b'h'));
        assert_eq!(
            lost.process(message).expect_err("refused"),
            Error::Refused(rule)
        );
    }
}

/// A Welcome to a group with an honest founder and odd properties.
fn found(id: &[u8], extensions: Extensions<GroupContext>, package: &[u8]) -> Vec<u8> {
    let mut founder = Adversary::new();
    let credential = founder.credential_bytes();
    founder.found(id, &credential, extensions, package)
}

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
fn mls_01_02_an_added_leaf_is_checked_by_every_member() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let other = Adversary::new();
    let credential = BasicCredential::new(spoilt(&other.credential_bytes(), 50)).into();
    let package = other.key_package(Recipe {
        credential: Some(credential),
        ..Recipe::default()
    });
    let commit =
        adversary.commit(|builder| builder.propose_adds([package]).force_self_update(true));
    assert_refused(
        &mut [&mut founder, &mut bystander],
        &commit,
        Rule::Certificate,
    );
}

#[test]
fn mls_01_02_every_leaf_of_a_welcome_is_checked() {
    let mut victim = Account::new().device();
    let mut adversary = Adversary::new();
    let credential = spoilt(&adversary.credential_bytes(), 60);
    let package = victim.key_package();
    let welcome = adversary.found(&GROUP, &credential, Extensions::empty(), &package);
    assert_eq!(
        victim.try_join(&welcome),
        Err(Error::Refused(Rule::Certificate))
    );
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
fn mls_04_an_added_leaf_with_a_lifetime_is_refused_by_every_member() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let recipe = Recipe {
        lifetime: Lifetime::default(),
        ..Recipe::default()
    };
    let package = Adversary::new().key_package(recipe);
    let commit =
        adversary.commit(|builder| builder.propose_adds([package]).force_self_update(true));
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Lifetime);
}

#[test]
fn mls_05_a_path_with_another_credential() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let other = Account::new().certify(&adversary.pair.public);
    let mut credential = adversary.credential();
    credential.credential = BasicCredential::new(other).into();
    let parameters = LeafNodeParameters::builder()
        .with_credential_with_key(credential)
        .build();
    let commit = adversary.commit(|builder| builder.leaf_node_parameters(parameters));
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Identity);
}

#[test]
fn mls_05_a_path_with_another_signature_key() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let commit = adversary.commit_with_new_key();
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Identity);
}

#[test]
fn mls_06_a_commit_from_outside() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let info = adversary.group_info();
    let commit = Adversary::new().external_commit(info);
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::External);
}

#[test]
fn mls_06_a_proposal_from_outside() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let message = Adversary::new().ask_to_be_added(adversary.group());
    assert_refused(
        &mut [&mut founder, &mut bystander],
        &message,
        Rule::External,
    );
}

#[test]
fn mls_07_a_proposal_of_its_own_and_a_commit_by_reference() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let proposal = adversary.propose_removal(1);
    assert_refused(
        &mut [&mut founder, &mut bystander],
        &proposal,
        Rule::Proposal,
    );
    let commit = adversary.commit(|builder| builder.consume_proposal_store(true));
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Protocol);
}

#[test]
fn mls_07_a_pre_shared_key_that_nobody_else_has() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let commit = adversary.commit_psk(PreSharedKeyId::external(b"x".to_vec(), vec![0; 32]));
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Proposal);
}

#[test]
fn mls_07_a_pre_shared_key_that_everybody_has() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let epoch = adversary.group().epoch();
    let usage = ResumptionPskUsage::Application;
    let id = PreSharedKeyId::resumption(usage, GroupId::from_slice(&GROUP), epoch, vec![0; 32]);
    let commit = adversary.commit_psk(id);
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Proposal);
}

#[test]
fn mls_07_new_context_extensions() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let commit = adversary.commit(|builder| {
        builder
            .propose_group_context_extensions(Extensions::empty())
            .expect("a proposal")
    });
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Proposal);
}

#[test]
fn mls_08_a_commit_without_a_path() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let package = Adversary::new().key_package(Recipe::default());
    let commit = adversary.commit(|builder| builder.propose_adds([package]));
    assert_refused(&mut [&mut founder, &mut bystander], &commit, Rule::Path);
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
fn mls_09_a_path_with_extensions() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let extension = Extension::ApplicationId(ApplicationIdExtension::new(b"x"));
    let extensions = Extensions::single(extension).expect("extensions");
    let parameters = LeafNodeParameters::builder()
        .with_extensions(extensions)
        .build();
    let commit = adversary.commit(|builder| builder.leaf_node_parameters(parameters));
    assert_refused(
        &mut [&mut founder, &mut bystander],
        &commit,
        Rule::Extensions,
    );
}

#[test]
fn mls_09_a_group_with_extensions() {
    let mut victim = Account::new().device();
    let package = victim.key_package();
    let required = RequiredCapabilitiesExtension::new(&[], &[], &[CredentialType::Basic]);
    let extensions = Extensions::single(Extension::RequiredCapabilities(required));
    let welcome = found(&GROUP, extensions.expect("extensions"), &package);
    assert_eq!(
        victim.try_join(&welcome),
        Err(Error::Refused(Rule::Extensions))
    );
}

#[test]
fn mls_09_a_group_id_of_another_length() {
    let mut victim = Account::new().device();
    let package = victim.key_package();
    let welcome = found(b"short", Extensions::empty(), &package);
    assert_eq!(
        victim.try_join(&welcome),
        Err(Error::Refused(Rule::Extensions))
    );
    let credential = victim.credential.clone();
    let created = victim.with(|session| session.create(b"short", &credential));
    assert_eq!(created, Err(Error::Malformed));
}

#[test]
fn mls_10_a_commit_as_private_message() {
    let (mut founder, mut bystander, mut adversary) =
        infiltrated_with(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let commit = adversary.commit(|builder| builder.force_self_update(true));
    assert_refused(
        &mut [&mut founder, &mut bystander],
        &commit,
        Rule::WireFormat,
    );
}

#[test]
fn mls_10_what_is_no_message_of_a_group() {
    let (mut founder, _, _) = infiltrated();
    let package = founder.key_package();
    assert_eq!(
        founder.process(&package).expect_err("a key package"),
        Error::Malformed
    );
    assert_eq!(founder.try_join(&package), Err(Error::Malformed));
    let message = founder.encrypt(b"x");
    assert_eq!(founder.try_join(&message), Err(Error::Malformed));
    assert_eq!(key_package_member(&message), Err(Error::Malformed));
}

#[test]
fn mls_11_a_message_for_another_group() {
    let (mut founder, _, _) = infiltrated();
    let mut other = Account::new().device();
    let id = [8; 32];
    let credential = other.credential.clone();
    other
        .with(|session| session.create(&id, &credential))
        .expect("a group");
    let message = other
        .with(|session| session.encrypt(&id, b"x", b""))
        .expect("encrypted");
    assert_refused(&mut [&mut founder], &message, Rule::Protocol);
}

#[test]
fn mls_11_a_message_with_any_bit_changed() {
    let (mut founder, mut bystander, _) = infiltrated();
    let message = founder.encrypt(b"x");
    for at in 0..message.len() {
        let mut forged = message.clone();
        forged[at] ^= 0x10;
        let error = bystander.process(&forged).expect_err("forged");
        assert!(
            !matches!(error, Error::Internal(_) | Error::Lost),
            "byte {at}: {error}"
        );
    }
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

#[test]
fn mls_12_keys_of_a_path_that_are_none() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let commit = adversary.commit(|builder| builder.force_self_update(true));
    // Keys of 1,216 bytes stand behind this length: the leaf's, and those of its ancestors.
    let lengths = commit
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == [0x44, 0xc0]);
    let keys: Vec<_> = lengths.map(|(at, _)| at + 2).collect();
    assert!(keys.len() >= 2, "a leaf and an ancestor");
    for at in keys {
        let mut forged = commit.clone();
        forged[at..at + 2].fill(0xff);
        assert_refused(&mut [&mut founder, &mut bystander], &forged, Rule::Key);
    }
}

#[test]
fn an_adversary_that_keeps_the_rules_is_followed() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let newcomer = Account::new().device().key_package();
    let package = package_from(&newcomer);
    let commit =
        adversary.commit(|builder| builder.propose_adds([package]).force_self_update(true));
    founder.follow(&commit).expect("followed");
    bystander.follow(&commit).expect("followed");
    assert_eq!(founder.secret(), bystander.secret());
    let entries = founder
        .entries
        .keys()
        .filter(|key| key.starts_with(&group()));
    assert!(entries.count() > 0);
}
