//! Members that cannot follow a commit which everybody else follows, and how they come back.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod world;

use grue_mls::Error;
use world::{assert_together, group, group_of};

#[test]
fn a_resync_removes_and_adds_the_same_device_in_one_commit() {
    let mut devices = group_of::<3>();
    let [alice, bob, carol] = &mut devices;
    let package = carol.key_package();
    let commit = alice.commit(&[package], &[2]);
    alice.accept();
    bob.follow(&commit.message).expect("followed");
    carol.join(&commit.welcome.expect("a Welcome"));
    assert_eq!(carol.member_leaves(), [0, 1, 2]);
    let message = carol.encrypt(b"back");
    assert_eq!(bob.read(&message).expect("opened"), b"back");
    let stale = carol
        .entries
        .keys()
        .filter(|key| key.starts_with(&group()) && key[33] == b'h');
    assert_eq!(stale.count(), 1, "no keys of the old leaf are left");
    assert_together(&mut devices);
}

#[test]
fn a_member_without_its_private_keys_is_lost() {
    let [mut alice, mut bob, mut carol] = group_of::<3>();
    carol.entries.retain(|key, _| key.get(33) != Some(&b'h'));
    let commit = alice.commit(&[], &[]);
    bob.follow(&commit.message).expect("followed");
    assert_eq!(carol.stage(&commit.message).expect_err("lost"), Error::Lost);
}

#[test]
fn a_member_with_other_private_keys_is_lost() {
    let [mut alice, mut bob, mut carol] = group_of::<3>();
    let old: Vec<_> = carol
        .entries
        .iter()
        .filter(|(key, _)| key.get(33) == Some(&b'h'))
        .collect();
    let old = old[0].1.clone();
    let update = carol.commit(&[], &[]);
    carol.accept();
    alice.follow(&update.message).expect("followed");
    bob.follow(&update.message).expect("followed");
    for (key, value) in &mut carol.entries {
        if key.get(33) == Some(&b'h') {
            value.clone_from(&old);
        }
    }
    let commit = alice.commit(&[], &[]);
    bob.follow(&commit.message).expect("followed");
    assert_eq!(carol.stage(&commit.message).expect_err("lost"), Error::Lost);
}

#[test]
fn a_member_whose_entries_went_back_knows_its_own_commit() {
    let [mut alice, mut bob, _] = group_of::<3>();
    let before = alice.entries.clone();
    let commit = alice.commit(&[], &[]);
    alice.entries = before;
    bob.follow(&commit.message).expect("followed");
    assert_eq!(
        alice.stage(&commit.message).expect_err("ours"),
        Error::OwnMessage
    );
}

#[test]
fn a_lost_member_comes_back_by_a_resync() {
    let mut devices = group_of::<3>();
    let [alice, bob, carol] = &mut devices;
    carol.entries.retain(|key, _| key.get(33) != Some(&b'h'));
    let lost = alice.commit(&[], &[]);
    alice.accept();
    bob.follow(&lost.message).expect("followed");
    assert_eq!(carol.stage(&lost.message).expect_err("lost"), Error::Lost);
    let request = carol.encrypt(&carol.clone().key_package());
    assert!(
        bob.read(&request).is_ok(),
        "one past epoch is still readable"
    );
    let commit = bob.commit(&[carol.key_package()], &[2]);
    bob.accept();
    alice.follow(&commit.message).expect("followed");
    carol.join(&commit.welcome.expect("a Welcome"));
    assert_together(&mut devices);
}
