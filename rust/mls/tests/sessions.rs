//! What a session promises about its changes, its errors and what it prints.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use grue_mls::{Error, Incoming, Session};
use openmls_traits::{crypto::OpenMlsCrypto, types::SignatureScheme};
use world::{Account, Device, GROUP, crypto, group, group_of};

#[test]
fn discarding_a_staged_commit_changes_nothing() {
    let [mut alice, mut bob] = group_of::<2>();
    let commit = alice.commit(&[], &[]);
    let before = bob.entries.clone();
    drop(bob.stage(&commit.message).expect("staged"));
    assert_eq!(bob.entries, before);
    bob.follow(&commit.message).expect("followed all the same");
}

#[test]
fn a_staged_commit_fits_only_the_epoch_it_was_made_for() {
    let [mut alice, mut bob] = group_of::<2>();
    let commit = alice.commit(&[], &[]);
    let staged = bob.stage(&commit.message).expect("staged");
    bob.follow(&commit.message).expect("followed");
    let twice = bob.with(|session| session.merge(&GROUP, staged));
    assert_eq!(twice, Err(Error::WrongEpoch));
}

#[test]
fn a_failed_process_changes_nothing_and_the_session_goes_on() {
    let [mut alice, mut bob] = group_of::<2>();
    let (own, theirs) = (bob.encrypt(b"own"), alice.encrypt(b"theirs"));
    let mut broken = alice.encrypt(b"broken");
    *broken.last_mut().expect("bytes") ^= 1;
    let mut session = Session::new(bob.entries.clone());
    assert!(session.process(&GROUP, &own).is_err());
    assert!(session.process(&GROUP, &broken).is_err());
    assert!(session.process(&GROUP, b"junk").is_err());
    assert!(session.changes().is_empty());
    assert!(matches!(
        session.process(&GROUP, &theirs),
        Ok(Incoming::Application(_))
    ));
}

#[test]
fn changes_hold_only_what_differs() {
    let [mut alice, mut bob] = group_of::<2>();
    let message = alice.encrypt(b"x");
    let mut session = Session::new(bob.entries.clone());
    assert!(session.changes().is_empty());
    session.epoch(&GROUP).expect("an epoch");
    session.members(&GROUP).expect("members");
    assert!(session.changes().is_empty());
    session.process(&GROUP, &message).expect("opened");
    assert!(session.changes().keys().all(|key| of_secrets(key)));
    session.saved();
    assert!(
        session.changes().is_empty(),
        "what was stored differs no more"
    );
    let commit = bob.commit(&[], &[]);
    assert!(!commit.message.is_empty());
    let mut session = Session::new(bob.entries.clone());
    session.rejected(&GROUP).expect("rejected");
    let changed: Vec<_> = session.changes().into_keys().collect();
    assert_eq!(changed, [[group(), b"a".to_vec()].concat()]);
}

fn of_secrets(key: &[u8]) -> bool {
    matches!(key.get(33), Some(b'M' | b'p'))
}

fn bytes_of(changes: &grue_mls::Changes) -> usize {
    changes.values().flatten().map(|value| value.len()).sum()
}

/// The bytes that somebody's third message in an epoch rewrites at who reads it, in a group of `N` that all have talked in.
fn bytes_of_a_message<const N: usize>() -> usize {
    let mut devices = group_of::<N>();
    for _ in 0..3 {
        let (alice, others) = devices.split_first_mut().expect("a founder");
        let commit = alice.commit(&[], &[]);
        alice.accept();
        for device in others {
            device.follow(&commit.message).expect("followed");
        }
    }
    let (bob, others) = devices.split_last_mut().expect("a reader");
    for device in others.iter_mut() {
        let said = [device.encrypt(b"x"), device.encrypt(b"x")];
        said.iter().for_each(|message| {
            bob.read(message).expect("opened");
        });
    }
    let message = others.first_mut().expect("a founder").encrypt(b"x");
    let mut session = Session::new(bob.entries.clone());
    session.process(&GROUP, &message).expect("opened");
    assert!(session.changes().keys().all(|key| of_secrets(key)));
    bytes_of(&session.changes())
}

#[test]
fn what_a_message_rewrites_does_not_grow_with_the_group() {
    let (few, many) = (bytes_of_a_message::<2>(), bytes_of_a_message::<12>());
    assert!(many <= few + 20 && many < 1_000, "{few} and {many} bytes");
}

#[test]
fn a_commit_rewrites_the_nodes_of_one_path() {
    let mut devices = group_of::<16>();
    let (alice, others) = devices.split_first_mut().expect("a founder");
    for _ in 0..4 {
        let commit = alice.commit(&[], &[]);
        alice.accept();
        for device in others.iter_mut() {
            device.follow(&commit.message).expect("followed");
        }
    }
    let commit = alice.commit(&[], &[]);
    let bob = others.first_mut().expect("a member");
    let mut session = Session::new(bob.entries.clone());
    let Ok(Incoming::Commit(staged)) = session.process(&GROUP, &commit.message) else {
        panic!("a commit");
    };
    session.merge(&GROUP, *staged).expect("merged");
    let changes = session.changes();
    let nodes = changes.keys().filter(|key| key.get(33) == Some(&b'n'));
    assert!(nodes.count() <= 6, "a leaf and four parents");
    let members = changes.iter().filter(|(key, value)| {
        value.is_some() && key.last() == Some(&b'm') && key.get(33) == Some(&b'p')
    });
    assert_eq!(members.count(), 1, "of the epoch that has passed");
}

#[test]
fn a_damaged_entry_is_noticed() {
    let [mut alice, bob] = group_of::<2>();
    let message = alice.encrypt(b"x");
    for key in bob
        .entries
        .keys()
        .filter(|key| key.starts_with(b"g") && key[33] != b'h')
    {
        let mut damaged = bob.clone();
        let value = damaged.entries.get_mut(key).expect("an entry");
        let middle = value.len() / 2;
        value[middle] ^= 1;
        let unreadable = Error::Internal("the group's entries are unreadable");
        assert_eq!(damaged.read(&message), Err(unreadable), "{key:?}");
    }
}

#[test]
fn an_entry_under_another_key_is_noticed() {
    let [_, mut bob] = group_of::<2>();
    let moved = bob.entries[&[group(), b"x".to_vec()].concat()].clone();
    bob.entries.insert([group(), b"i".to_vec()].concat(), moved);
    assert!(matches!(
        bob.with(|session| session.epoch(&GROUP)),
        Err(Error::Internal(_))
    ));
}

#[test]
fn a_batch_gives_the_same_entries_as_one_session_a_message() {
    let [mut alice, mut bob] = group_of::<2>();
    let messages: Vec<_> = (0..5_u8).map(|text| alice.encrypt(&[text])).collect();
    let mut singly = bob.clone();
    for message in &messages {
        singly.read(message).expect("opened");
    }
    bob.with(|session| {
        messages
            .iter()
            .try_for_each(|message| session.process(&GROUP, message).map(|_| ()))
    })
    .expect("opened");
    assert_eq!(bob.entries, singly.entries);
}

#[test]
fn a_group_that_is_not_held_is_missing() {
    let mut device = Account::new().device();
    let missing = Error::Missing("group");
    assert_eq!(
        device.with(|session| session.epoch(&GROUP)),
        Err(missing.clone())
    );
    assert_eq!(
        device.with(|session| session.encrypt(&GROUP, b"", b"")),
        Err(missing)
    );
    assert_eq!(
        device.with(|session| session.epoch(b"short")),
        Err(Error::Malformed)
    );
    assert_eq!(device.with(|session| session.delete(&GROUP)), Ok(()));
}

#[test]
fn a_pending_commit_that_is_not_held_is_missing() {
    let [mut alice, _] = group_of::<2>();
    let missing = Err(Error::Missing("pending commit"));
    assert_eq!(alice.with(|session| session.accepted(&GROUP)), missing);
    assert_eq!(alice.with(|session| session.rejected(&GROUP)), missing);
}

#[test]
fn a_second_commit_waits_for_the_first() {
    let [mut alice, _] = group_of::<2>();
    alice.commit(&[], &[]);
    let none: [&[u8]; 0] = [];
    let second = alice.with(|session| session.commit(&GROUP, &none, &[], b""));
    assert!(matches!(second, Err(Error::Internal(_))));
}

#[test]
fn a_device_without_a_signature_key_can_make_nothing() {
    let mut device = Device::default();
    let missing = Error::Missing("signature key");
    assert_eq!(
        device.with(|session| session.key_package(&[], false)),
        Err(missing.clone())
    );
    assert_eq!(
        device.with(|session| session.create(&GROUP, &[])),
        Err(missing)
    );
}

#[test]
fn nothing_secret_is_printed() {
    let [mut alice, mut bob] = group_of::<2>();
    let message = alice.encrypt(b"a secret text");
    let opened = bob.open(&message).expect("opened");
    assert!(
        !format!("{opened:?}").contains("115"),
        "no byte of the text"
    );
    let commit = alice.commit(&[], &[]);
    let staged = bob.stage(&commit.message).expect("staged");
    assert_eq!(
        format!("{staged:?}"),
        "StagedCommit { leaf: 0, removes_self: false, .. }"
    );
    let session = Session::new(bob.entries);
    assert_eq!(format!("{session:?}"), "Session(..)");
}

#[test]
fn a_device_signs_its_own_requests_and_nothing_that_mls_could_sign() {
    let mut device = Account::new().device();
    let signature = device
        .under(&[b"s"], |session| session.sign(b"grue test"))
        .expect("signed");
    let key = device.signature_key.clone();
    let verified =
        crypto().verify_signature(SignatureScheme::ED25519, b"grue test", &key, &signature);
    assert_eq!(verified, Ok(()));
    for other in [b"MLS 1.0 test".as_slice(), b"grue", b""] {
        assert_eq!(
            device.with(|session| session.sign(other)),
            Err(Error::Malformed)
        );
    }
}
