//! Any bytes, as each kind of input and as stored entries: `cargo +nightly fuzz run input`.
//!
//! The first byte says what the rest is. Raw bytes seldom pass a signature, so most choices lay the rest
//! over a true message or entry, at the offset that the next two bytes give.

#![no_main]

use std::sync::OnceLock;

use grue_mls::{Error, Incoming, Result, Session, key_package_member, welcome_for};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/world/mod.rs"]
mod world;

use world::{Account, Device, Entries, GROUP, group_of};

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
        Scene { listener, invited, application, commit: commit.message, welcome, package }
    })
}

fn session(entries: &Entries) -> Session {
    Session::new(entries.clone())
}

/// Lay bytes over a copy of true ones; an odd offset cuts what follows.
fn over(truth: &[u8], script: &[u8]) -> Option<Vec<u8>> {
    let ([high, low], patch) = script.split_first_chunk()?;
    let offset = usize::from(u16::from_be_bytes([*high, *low]));
    let start = (offset >> 1) % truth.len().max(1);
    let mut bytes = truth.to_vec();
    let end = bytes.len().min(start + patch.len());
    bytes.splice(start..end, patch.iter().copied());
    if offset & 1 == 1 {
        bytes.truncate(start + patch.len());
    }
    Some(bytes)
}

/// Input from outside is never our own fault.
fn told<T>(outcome: Result<T>) {
    assert!(!matches!(outcome, Err(Error::Internal(_))), "blamed on ourselves");
}

fn with_entries(entries: &Entries, scene: &Scene) {
    let none: [&[u8]; 0] = [];
    let _ = session(entries).members(&GROUP);
    let _ = session(entries).encrypt(&GROUP, b"x", b"");
    let _ = session(entries).process(&GROUP, &scene.application);
    let _ = session(entries).commit(&GROUP, &none, &[2], b"");
    let _ = session(entries).accepted(&GROUP);
    let mut merging = session(entries);
    if let Ok(Incoming::Commit(commit)) = merging.process(&GROUP, &scene.commit) {
        let _ = merging.merge(&GROUP, *commit);
    }
    let mut joining = session(entries);
    if let Ok(staged) = joining.stage_welcome(&scene.welcome, None) {
        let _ = joining.accept_welcome(staged);
    }
}

fn damage_entry(device: &Device, script: &[u8], scene: &Scene) -> Option<()> {
    let (which, script) = script.split_first()?;
    let mut entries = device.entries.clone();
    let index = usize::from(*which) % entries.len();
    let value = entries.values_mut().nth(index)?;
    *value = over(value, script)?;
    with_entries(&entries, scene);
    Some(())
}

fn run(data: &[u8]) -> Option<()> {
    let scene = scene();
    let (kind, rest) = data.split_first()?;
    match kind % 10 {
        0 => told(session(&scene.listener.entries).process(&GROUP, rest)),
        1 => told(session(&scene.invited.entries).stage_welcome(rest, None)),
        2 => told(key_package_member(rest)),
        3 => told(session(&scene.listener.entries).process(&GROUP, &over(&scene.application, rest)?)),
        4 => told(session(&scene.listener.entries).process(&GROUP, &over(&scene.commit, rest)?)),
        5 => told(session(&scene.invited.entries).stage_welcome(&over(&scene.welcome, rest)?, None)),
        6 => told(key_package_member(&over(&scene.package, rest)?)),
        7 => told(welcome_for(rest, &[&scene.package])),
        8 => told(session(&scene.invited.entries).stage_welcome(&scene.welcome, Some(rest))),
        _ if rest.len() % 2 == 0 => damage_entry(&scene.listener, rest, scene)?,
        _ => damage_entry(&scene.invited, rest, scene)?,
    }
    Some(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
