//! What members do with each other: join, talk, commit, race, leave, come back.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use grue_mls::{
    Commit, Error, MAX_PAST_EPOCHS, MAXIMUM_FORWARD_DISTANCE, NO_LEAF, Rule, Session,
    TREE_INSIDE_MEMBERS, TREE_SECRET_BYTES, welcome_for,
};
use world::{Account, Device, GROUP, assert_together, gather, group, group_of};

#[test]
fn two_members_talk_both_ways() {
    let [mut alice, mut bob] = group_of::<2>();
    let message = alice.encrypt(b"blue or green?");
    let opened = bob.open(&message).expect("opened");
    assert_eq!(opened.plaintext.as_slice(), b"blue or green?");
    assert_eq!(
        (opened.leaf, opened.authenticated_data.as_slice()),
        (0, b"aad".as_slice())
    );
    let answer = bob.encrypt(b"grue");
    assert_eq!(alice.read(&answer).expect("opened"), b"grue");
}

#[test]
fn four_members_of_two_accounts_with_two_devices_each() {
    let (one, two) = (Account::new(), Account::new());
    let mut devices = [one.device(), one.device(), two.device(), two.device()];
    gather(&mut devices);
    assert_together(&mut devices);
    let members = devices[3]
        .with(|session| session.members(&GROUP))
        .expect("members");
    for (member, device) in members.iter().zip(&devices) {
        assert_eq!(member.credential, device.credential);
        assert_eq!(member.signature_key, device.signature_key);
    }
    for sender in 0..4 {
        let message = devices[sender].encrypt(&[sender as u8]);
        for reader in (0..4).filter(|reader| *reader != sender) {
            assert_eq!(
                devices[reader].read(&message).expect("opened"),
                [sender as u8]
            );
        }
    }
}

#[test]
fn a_staged_welcome_says_who_is_there_and_changes_no_group() {
    let [mut alice, mut bob] = [Account::new().device(), Account::new().device()];
    alice.create();
    let commit = alice.commit(&[bob.key_package()], &[]);
    let welcome = commit.welcome.expect("a Welcome");
    let mut session = Session::new(bob.entries.clone());
    let staged = session.stage_welcome(&welcome, None).expect("staged");
    assert_eq!(
        (staged.group_id.as_slice(), staged.epoch),
        (GROUP.as_slice(), 1)
    );
    assert_eq!(
        (staged.own_leaf, staged.sender_leaf, staged.members.len()),
        (1, 0, 2)
    );
    assert!(session.changes().keys().all(|key| key.starts_with(b"k")));
    bob.join(&welcome);
    assert!(
        !bob.entries.keys().any(|key| key.starts_with(b"k")),
        "the key package is gone"
    );
    assert_eq!(bob.try_join(&welcome), Err(Error::Missing("key package")));
}

#[test]
fn a_last_resort_key_package_survives_its_use() {
    let [mut alice, mut bob] = [Account::new().device(), Account::new().device()];
    alice.create();
    let credential = bob.credential.clone();
    let package = bob
        .with(|session| session.key_package(&credential, true))
        .expect("a package");
    let commit = alice.commit(&[package], &[]);
    bob.join(&commit.welcome.expect("a Welcome"));
    assert!(bob.entries.keys().any(|key| key.starts_with(b"k")));
}

#[test]
fn a_commit_is_staged_with_who_comes_and_goes() {
    let [mut alice, mut bob, carol] = group_of::<3>();
    let mut dave = Account::new().device();
    let commit = alice.commit(&[dave.key_package()], &[2]);
    let staged = bob.stage(&commit.message).expect("staged");
    assert_eq!(
        (staged.leaf, staged.authenticated_data.as_slice()),
        (0, b"aad".as_slice())
    );
    assert_eq!(staged.added.len(), 1);
    assert_eq!(staged.added[0].leaf, NO_LEAF);
    assert_eq!(staged.added[0].credential, dave.credential);
    assert_eq!(staged.removed.len(), 1);
    assert_eq!(
        (staged.removed[0].leaf, &staged.removed[0].credential),
        (2, &carol.credential)
    );
    assert!(!staged.removes_self);
}

#[test]
fn a_self_update_has_a_path_and_no_welcome() {
    let [mut alice, mut bob] = group_of::<2>();
    let commit = alice.commit(&[], &[]);
    assert!(commit.welcome.is_none());
    let before = bob.secret();
    bob.follow(&commit.message).expect("followed");
    alice.accept();
    assert_ne!(bob.secret(), before);
    assert_together(&mut [alice, bob]);
}

#[test]
fn the_loser_of_a_race_rejects_its_own_and_merges_the_winner() {
    let mut devices = group_of::<3>();
    let [alice, bob, carol] = &mut devices;
    let (first, second) = (alice.commit(&[], &[]), bob.commit(&[], &[]));
    alice.accept();
    carol.follow(&first.message).expect("followed");
    assert_eq!(
        carol.stage(&second.message).expect_err("too late"),
        Error::WrongEpoch
    );
    let staged = bob
        .stage(&first.message)
        .expect("staged beside the own pending commit");
    bob.under(&[&group()], |session| {
        session.rejected(&GROUP)?;
        session.merge(&GROUP, staged)
    })
    .expect("merged");
    assert!(
        !bob.with(|session| session.pending(&GROUP))
            .expect("pending")
    );
    assert_together(&mut devices);
}

#[test]
fn merging_the_winner_forgets_the_own_pending_commit() {
    let mut devices = group_of::<2>();
    let [alice, bob] = &mut devices;
    let (winner, _) = (alice.commit(&[], &[]), bob.commit(&[], &[]));
    alice.accept();
    bob.follow(&winner.message).expect("followed");
    assert!(
        !bob.with(|session| session.pending(&GROUP))
            .expect("pending")
    );
    assert_together(&mut devices);
}

#[test]
fn an_own_commit_read_back_is_an_own_message() {
    let [mut alice, _] = group_of::<2>();
    let commit = alice.commit(&[], &[]);
    assert_eq!(
        alice.stage(&commit.message).expect_err("own"),
        Error::OwnMessage
    );
    alice.accept();
    assert_eq!(
        alice.stage(&commit.message).expect_err("merged"),
        Error::WrongEpoch
    );
}

#[test]
fn an_own_application_message_read_back_is_an_own_message() {
    let [mut alice, _] = group_of::<2>();
    let message = alice.encrypt(b"x");
    assert_eq!(alice.read(&message), Err(Error::OwnMessage));
}

#[test]
fn a_message_can_be_encrypted_while_a_commit_is_pending() {
    let [mut alice, mut bob] = group_of::<2>();
    alice.commit(&[], &[]);
    let message = alice.encrypt(b"x");
    assert_eq!(bob.read(&message).expect("opened"), b"x");
}

#[test]
fn a_replay_finds_the_secret_gone() {
    let [mut alice, mut bob] = group_of::<2>();
    let message = alice.encrypt(b"once");
    bob.read(&message).expect("opened");
    assert_eq!(bob.read(&message), Err(Error::SecretGone));
}

#[test]
fn skipped_messages_can_be_read_later_within_the_tolerance() {
    let [mut alice, mut bob] = group_of::<2>();
    let messages: Vec<_> = (0..40_u8).map(|text| alice.encrypt(&[text])).collect();
    assert_eq!(bob.read(&messages[39]).expect("opened"), [39]);
    assert_eq!(bob.read(&messages[20]).expect("opened"), [20]);
    assert_eq!(bob.read(&messages[0]), Err(Error::SecretGone));
}

#[test]
fn a_message_too_far_ahead_finds_no_secret() {
    let [mut alice, mut bob] = group_of::<2>();
    let far = alice
        .with(|session| {
            for _ in 0..=MAXIMUM_FORWARD_DISTANCE {
                session.encrypt(&GROUP, b"", b"")?;
            }
            session.encrypt(&GROUP, b"far", b"")
        })
        .expect("encrypted");
    assert_eq!(bob.read(&far), Err(Error::SecretGone));
}

#[test]
fn messages_of_two_past_epochs_stay_readable_and_of_three_do_not() {
    let [mut alice, mut bob] = group_of::<2>();
    let mut past = Vec::new();
    for _ in 0..=MAX_PAST_EPOCHS {
        past.push(alice.encrypt(b"late"));
        let commit = alice.commit(&[], &[]);
        alice.accept();
        bob.follow(&commit.message).expect("followed");
    }
    assert_eq!(bob.read(&past[0]), Err(Error::WrongEpoch));
    assert_eq!(bob.read(&past[1]).expect("two epochs ago"), b"late");
    assert_eq!(bob.read(&past[2]).expect("one epoch ago"), b"late");
}

#[test]
fn a_message_from_an_epoch_to_come_is_of_the_wrong_epoch() {
    let [mut alice, mut bob] = group_of::<2>();
    alice.commit(&[], &[]);
    alice.accept();
    let message = alice.encrypt(b"early");
    assert_eq!(bob.read(&message), Err(Error::WrongEpoch));
}

#[test]
fn a_removed_member_holds_no_group_any_more() {
    let [mut alice, mut bob, mut carol] = group_of::<3>();
    let commit = alice.commit(&[], &[2]);
    alice.accept();
    bob.follow(&commit.message).expect("followed");
    let staged = carol.stage(&commit.message).expect("staged");
    assert!(staged.removes_self);
    carol
        .under(&[&group()], |session| session.merge(&GROUP, staged))
        .expect("merged");
    assert_eq!(bob.member_leaves(), [0, 1]);
    let gone = Error::Missing("group");
    let message = alice.encrypt(b"without carol");
    assert_eq!(carol.read(&message), Err(gone.clone()));
    assert_eq!(
        carol.with(|session| session.encrypt(&GROUP, b"", b"")),
        Err(gone.clone())
    );
    assert_eq!(
        carol.with(|session| session.exporter(&GROUP, "", b"", 32)),
        Err(gone)
    );
    carol
        .with(|session| session.delete(&GROUP))
        .expect("deleted");
    assert!(!carol.entries.keys().any(|key| key.starts_with(b"g")));
}

#[test]
fn a_device_cannot_be_in_a_group_twice() {
    let [mut alice, mut bob] = group_of::<2>();
    let package = bob.key_package();
    let twice = alice.with(|session| session.commit(&GROUP, &[package], &[], b""));
    assert_eq!(twice, Err(Error::Refused(Rule::Protocol)));
}

#[test]
fn a_member_cannot_remove_itself_or_a_blank_leaf() {
    let [mut alice, _] = group_of::<2>();
    let none: [&[u8]; 0] = [];
    for leaf in [0, 5, u32::MAX] {
        let refused = alice.with(|session| session.commit(&GROUP, &none, &[leaf], b""));
        assert_eq!(refused, Err(Error::Refused(Rule::Protocol)), "leaf {leaf}");
    }
}

/// A founder's Welcome to so many that it does not hold the tree: who is welcomed, and the tree.
fn large() -> (Device, Vec<Device>, Vec<Vec<u8>>, Commit, Vec<u8>) {
    let mut alice = Account::new().device();
    let mut others: Vec<_> = (0..TREE_INSIDE_MEMBERS)
        .map(|_| Account::new().device())
        .collect();
    let packages: Vec<_> = others.iter_mut().map(Device::key_package).collect();
    alice.create();
    let commit = alice.commit(&packages, &[]);
    alice.accept();
    let tree = alice.with(|session| session.tree(&GROUP)).expect("a tree");
    (alice, others, packages, commit, tree)
}

#[test]
fn a_large_group_is_joined_with_its_tree_from_elsewhere() {
    let (mut alice, mut others, packages, commit, tree) = large();
    let whole = commit.welcome.expect("a Welcome");
    let bob = &mut others[3];
    let welcome = welcome_for(&whole, &packages[3..4]).expect("for one");
    assert!(welcome.len() < 2_000, "{} bytes", welcome.len());
    let mut session = Session::new(bob.entries.clone());
    let secret = session.tree_secret(&welcome).expect("opened");
    assert_eq!(secret, commit.tree_secret);
    assert!(secret.is_some_and(|secret| secret.len() == TREE_SECRET_BYTES));
    bob.with(|session| {
        let staged = session.stage_welcome(&welcome, Some(&tree))?;
        session.accept_welcome(staged)
    })
    .expect("joined");
    let said = alice.encrypt(b"come in");
    assert_eq!(bob.read(&said).expect("opened"), b"come in");
}

#[test]
fn without_its_tree_or_with_another_a_welcome_is_refused() {
    let (mut alice, others, packages, commit, tree) = large();
    let welcome = welcome_for(&commit.welcome.expect("a Welcome"), &packages[..1]).expect("one");
    let staged = |tree: Option<&[u8]>| {
        Session::new(others[0].entries.clone())
            .stage_welcome(&welcome, tree)
            .map(|_| ())
    };
    assert_eq!(staged(None), Err(Error::Missing("tree")));
    assert_eq!(staged(Some(b"")), Err(Error::Malformed));
    let commit = alice.commit(&[], &[]);
    assert!(commit.tree_secret.is_none(), "nobody is added");
    alice.accept();
    let later = alice.with(|session| session.tree(&GROUP)).expect("a tree");
    assert_eq!(staged(Some(&later)), Err(Error::Refused(Rule::Protocol)));
    assert_eq!(staged(Some(&tree)), Ok(()));
}

#[test]
fn who_is_left_out_of_a_welcome_cannot_use_it() {
    let (_, others, packages, commit, tree) = large();
    let welcome = welcome_for(&commit.welcome.expect("a Welcome"), &packages[..1]).expect("one");
    let opened = Session::new(others[1].entries.clone()).stage_welcome(&welcome, Some(&tree));
    assert_eq!(opened.map(|_| ()), Err(Error::Missing("key package")));
    assert_eq!(welcome_for(b"junk", &packages[..1]), Err(Error::Malformed));
}
