//! The checks of `docs/protocol/mls.md` on commits and Welcomes, each against somebody who breaks it: MLS-01,
//! MLS-02, MLS-04, MLS-05, MLS-06, MLS-07, MLS-08, MLS-09, MLS-10, MLS-11, MLS-12. Those on a single device are in
//! `packages.rs`. The tests carry the ids in their names.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use grue_mls::{Error, Rule, key_package_member};
use openmls::{
    prelude::*,
    schedule::{PreSharedKeyId, psk::ResumptionPskUsage},
};
use world::{
    Account, Device, GROUP,
    adversary::{Adversary, Recipe, package_from, spoilt},
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
fn mls_12_keys_of_a_path_that_are_none() {
    let (mut founder, mut bystander, mut adversary) = infiltrated();
    let commit = adversary.commit(|builder| builder.force_self_update(true));
    // Keys of 1,216 bytes stand behind this length: the leaf's, and those of its ancestors.
    let lengths = commit
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == [0x44, 0xc0]);
    let keys: Vec<_> = lengths
        .map(|(at, _)| at + 2)
        .filter(|&at| is_key(&commit[at..]))
        .collect();
    assert!(keys.len() >= 2, "a leaf and an ancestor");
    for at in keys {
        let mut forged = commit.clone();
        forged[at..at + 2].fill(0xff);
        assert_refused(&mut [&mut founder, &mut bystander], &forged, Rule::Key);
    }
}

/// Whether an ML-KEM-768 key begins here: the two bytes of its length also come up by chance, in what is random.
fn is_key(bytes: &[u8]) -> bool {
    const COEFFICIENTS: usize = 1_152;
    const MODULUS: u16 = 3_329;
    bytes.len() >= COEFFICIENTS
        && bytes[..COEFFICIENTS].chunks_exact(3).all(|packed| {
            let [low, middle, high] = [packed[0], packed[1], packed[2]].map(u16::from);
            (low | (middle & 0xf) << 8) < MODULUS && (middle >> 4 | high << 4) < MODULUS
        })
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
