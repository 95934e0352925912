//! Any bytes give a result or an error: random ones, and true ones that were damaged.
//!
//! `PROPTEST_CASES` sets how many cases are tried; the fuzz target tries the same without end.

#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod world;

use std::sync::OnceLock;

use grue_mls::{Error, Incoming, Result, Session, key_package_member, welcome_for};
use proptest::{collection::vec, prelude::*, sample::Index};
use world::{Account, Device, Entries, GROUP, group_of};

/// What was said in one group, and the entries of who is about to hear it.
struct Scene {
    listener: Device,
    invited: Device,
    application: Vec<u8>,
    commit: Vec<u8>,
    welcome: Vec<u8>,
    package: Vec<u8>,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let [mut speaker, listener, _] = group_of::<3>();
        let mut invited = Account::new().device();
        let package = invited.key_package();
        let application = speaker.encrypt(b"true");
        let commit = speaker.commit(std::slice::from_ref(&package), &[2]);
        let welcome = commit.welcome.expect("a Welcome");
        Scene {
            listener,
            invited,
            application,
            commit: commit.message,
            welcome,
            package,
        }
    })
}

fn session(entries: &Entries) -> Session {
    Session::new(entries.clone())
}

/// One way to damage a byte string.
#[derive(Debug, Clone)]
enum Damage {
    Change(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Copy(Index, Index, u8),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        4 => (any::<Index>(), 1..=255_u8).prop_map(|(at, bits)| Damage::Change(at, bits)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(at, new)| Damage::Insert(at, new)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (any::<Index>(), any::<Index>(), any::<u8>())
            .prop_map(|(from, to, count)| Damage::Copy(from, to, count)),
    ];
    vec(one, 1..4)
}

fn damaged(bytes: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for step in damage {
        if bytes.is_empty() {
            break;
        }
        apply(&mut bytes, step);
    }
    bytes
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len();
    match damage {
        Damage::Change(at, bits) => bytes[at.index(length)] ^= bits,
        Damage::Cut(at) => bytes.truncate(at.index(length)),
        Damage::Insert(at, new) => {
            let at = at.index(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Damage::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..length.min(at + usize::from(*count)));
        }
        Damage::Copy(from, to, count) => {
            let from = from.index(length);
            let piece = bytes[from..length.min(from + usize::from(*count))].to_vec();
            let to = to.index(length);
            bytes.splice(to..to, piece);
        }
    }
}

/// Whatever comes from outside is never our own fault.
fn assert_told<T>(outcome: Result<T>) {
    if let Err(error) = outcome {
        assert!(!matches!(error, Error::Internal(_)), "{error}");
    }
}

/// Do everything that can be done with these entries; every outcome is fine, a panic is not.
fn exercise(entries: &Entries, scene: &Scene) {
    let none: [&[u8]; 0] = [];
    let _ = session(entries).members(&GROUP);
    let _ = session(entries).exporter(&GROUP, "x", b"", 32);
    let _ = session(entries).encrypt(&GROUP, b"x", b"");
    let _ = session(entries).process(&GROUP, &scene.application);
    let _ = session(entries).commit(&GROUP, &none, &[2], b"");
    let _ = session(entries).accepted(&GROUP);
    let _ = session(entries).rejected(&GROUP);
    let mut merging = session(entries);
    if let Ok(Incoming::Commit(commit)) = merging.process(&GROUP, &scene.commit) {
        let _ = merging.merge(&GROUP, *commit);
    }
    let mut joining = session(entries);
    if let Ok(staged) = joining.stage_welcome(&scene.welcome, None) {
        let _ = joining.accept_welcome(staged);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_refused(bytes in vec(any::<u8>(), 0..600)) {
        let scene = scene();
        assert!(session(&scene.listener.entries).process(&GROUP, &bytes).is_err());
        assert!(session(&scene.invited.entries).stage_welcome(&bytes, None).is_err());
        assert!(session(&scene.invited.entries).stage_welcome(&scene.welcome, Some(&bytes)).is_err());
        assert!(session(&scene.invited.entries).tree_secret(&bytes).is_err());
        assert!(welcome_for(&bytes, &[&scene.package]).is_err());
        assert!(key_package_member(&bytes).is_err());
    }

    #[test]
    fn a_damaged_application_message_is_refused(steps in damage()) {
        let scene = scene();
        let message = damaged(&scene.application, &steps);
        prop_assume!(message != scene.application);
        let mut session = session(&scene.listener.entries);
        let outcome = session.process(&GROUP, &message);
        assert!(outcome.is_err());
        assert_told(outcome);
        assert!(session.changes().is_empty());
    }

    #[test]
    fn a_damaged_commit_is_refused(steps in damage()) {
        let scene = scene();
        let message = damaged(&scene.commit, &steps);
        prop_assume!(message != scene.commit);
        let mut session = session(&scene.listener.entries);
        let outcome = session.process(&GROUP, &message);
        assert!(!matches!(outcome, Ok(_) | Err(Error::Lost)), "{outcome:?}");
        assert_told(outcome);
        assert!(session.changes().is_empty());
    }

    #[test]
    fn a_damaged_welcome_is_refused(steps in damage()) {
        let scene = scene();
        let welcome = damaged(&scene.welcome, &steps);
        prop_assume!(welcome != scene.welcome);
        let outcome = session(&scene.invited.entries).stage_welcome(&welcome, None);
        assert_told(outcome);
    }

    #[test]
    fn a_damaged_key_package_is_refused(steps in damage()) {
        let scene = scene();
        let package = damaged(&scene.package, &steps);
        prop_assume!(package != scene.package);
        let outcome = key_package_member(&package);
        assert!(outcome.is_err());
        assert_told(outcome);
    }

    #[test]
    fn damaged_entries_are_survived(which in any::<Index>(), steps in damage()) {
        let scene = scene();
        for device in [&scene.listener, &scene.invited] {
            let mut entries = device.entries.clone();
            let index = which.index(entries.len());
            if let Some(value) = entries.values_mut().nth(index) {
                *value = damaged(value, &steps);
            }
            exercise(&entries, scene);
        }
    }

    #[test]
    fn missing_entries_are_survived(which in any::<Index>()) {
        let scene = scene();
        for device in [&scene.listener, &scene.invited] {
            let mut entries = device.entries.clone();
            let key = entries.keys().nth(which.index(entries.len())).cloned();
            entries.remove(&key.unwrap_or_default());
            exercise(&entries, scene);
        }
    }
}
