//! An in-memory world: accounts, devices with their stored entries, and an adversary who runs plain OpenMLS.

#![allow(dead_code, clippy::expect_used, clippy::panic)] // each test file uses a part of it

use std::collections::BTreeMap;

use grue_mls::{
    Application, Changes, Commit, Crypto, Incoming, Result, Session, StagedCommit, credential,
};
use openmls_traits::{crypto::OpenMlsCrypto, types::SignatureScheme};

pub mod adversary;

pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The group that most tests are about.
pub const GROUP: [u8; 32] = [7; 32];

/// An account's identity key.
pub struct Account {
    private: Vec<u8>,
    pub public: Vec<u8>,
}

impl Account {
    pub fn new() -> Self {
        let (private, public) = crypto()
            .signature_key_gen(SignatureScheme::ED25519)
            .expect("a key");
        Self { private, public }
    }

    /// The credential of a device of this account.
    pub fn certify(&self, signature_key: &[u8]) -> Vec<u8> {
        let signed = [credential::CERTIFICATE_CONTEXT, signature_key].concat();
        let certificate = crypto()
            .sign(SignatureScheme::ED25519, &signed, &self.private)
            .expect("a signature");
        credential::credential(&self.public, &certificate).expect("a credential")
    }

    pub fn device(&self) -> Device {
        let mut device = Device::default();
        let signature_key = device.with(Session::new_identity).expect("an identity");
        device.credential = self.certify(&signature_key);
        device.signature_key = signature_key.to_vec();
        device
    }
}

pub fn crypto() -> Crypto {
    Crypto
}

/// A device: its stored entries and its credential. Every call is a transaction of its own.
#[derive(Default, Clone)]
pub struct Device {
    pub entries: Entries,
    pub credential: Vec<u8>,
    pub signature_key: Vec<u8>,
}

impl Device {
    /// One transaction over all entries; its changes are kept only if it succeeds.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let entries = self.entries.clone();
        self.over(entries, work)
    }

    /// The same, over the entries under some prefixes.
    pub fn under<T>(
        &mut self,
        prefixes: &[&[u8]],
        work: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        let selected = |key: &[u8]| prefixes.iter().any(|prefix| key.starts_with(prefix));
        let entries = self.entries.iter().filter(|(key, _)| selected(key));
        let entries = entries
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        self.over(entries, work)
    }

    fn over<T>(
        &mut self,
        entries: Entries,
        work: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        let mut session = Session::new(entries);
        let outcome = work(&mut session)?;
        self.apply(session.changes());
        Ok(outcome)
    }

    pub fn apply(&mut self, changes: Changes) {
        for (key, value) in changes {
            match value {
                Some(value) => self.entries.insert(key, value.to_vec()),
                None => self.entries.remove(&key),
            };
        }
    }

    pub fn key_package(&mut self) -> Vec<u8> {
        let credential = self.credential.clone();
        self.under(&[b"s"], |session| session.key_package(&credential, false))
            .expect("a package")
    }

    pub fn create(&mut self) {
        let credential = self.credential.clone();
        self.under(&[b"s"], |session| session.create(&GROUP, &credential))
            .expect("a group")
    }

    pub fn commit(&mut self, add: &[Vec<u8>], remove: &[u32]) -> Commit {
        self.under(&[b"s", &group()], |session| {
            session.commit(&GROUP, add, remove, b"aad")
        })
        .expect("a commit")
    }

    pub fn accept(&mut self) {
        self.under(&[&group()], |session| session.accepted(&GROUP))
            .expect("merged")
    }

    pub fn join(&mut self, welcome: &[u8]) {
        self.try_join(welcome).expect("joined")
    }

    pub fn try_join(&mut self, welcome: &[u8]) -> Result<()> {
        self.with(|session| {
            let staged = session.stage_welcome(welcome, None)?;
            session.accept_welcome(staged)
        })
    }

    pub fn encrypt(&mut self, text: &[u8]) -> Vec<u8> {
        self.under(&[b"s", &group()], |session| {
            session.encrypt(&GROUP, text, b"aad")
        })
        .expect("encrypted")
    }

    pub fn process(&mut self, message: &[u8]) -> Result<Incoming> {
        self.under(&[&group()], |session| session.process(&GROUP, message))
    }

    /// Open an application message.
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        self.open(message).map(|message| message.plaintext.to_vec())
    }

    pub fn open(&mut self, message: &[u8]) -> Result<Application> {
        match self.process(message)? {
            Incoming::Application(message) => Ok(message),
            Incoming::Commit(_) => panic!("a commit instead of an application message"),
        }
    }

    /// Check a commit.
    pub fn stage(&mut self, message: &[u8]) -> Result<StagedCommit> {
        match self.process(message)? {
            Incoming::Commit(commit) => Ok(*commit),
            Incoming::Application(_) => panic!("an application message instead of a commit"),
        }
    }

    /// Check a commit and merge it.
    pub fn follow(&mut self, message: &[u8]) -> Result<()> {
        let staged = self.stage(message)?;
        self.under(&[&group()], |session| session.merge(&GROUP, staged))
    }

    pub fn epoch(&mut self) -> u64 {
        self.with(|session| session.epoch(&GROUP))
            .expect("an epoch")
    }

    pub fn leaf(&mut self) -> u32 {
        self.with(|session| session.own_leaf(&GROUP))
            .expect("a leaf")
    }

    pub fn secret(&mut self) -> Vec<u8> {
        self.with(|session| session.exporter(&GROUP, "test", b"", 32))
            .expect("a secret")
            .to_vec()
    }

    pub fn member_leaves(&mut self) -> Vec<u32> {
        let members = self
            .with(|session| session.members(&GROUP))
            .expect("members");
        members.iter().map(|member| member.leaf).collect()
    }
}

/// The prefix of the group's entries.
pub fn group() -> Vec<u8> {
    [b"g".as_slice(), &GROUP].concat()
}

/// A group of devices of one account each, all in the same epoch; the first is leaf 0.
pub fn group_of<const N: usize>() -> [Device; N] {
    let mut devices: [Device; N] = std::array::from_fn(|_| Account::new().device());
    gather(&mut devices);
    devices
}

/// Found the group with the first device and add the others in one commit.
pub fn gather(devices: &mut [Device]) {
    let (founder, others) = devices.split_first_mut().expect("a founder");
    founder.create();
    let packages: Vec<_> = others.iter_mut().map(Device::key_package).collect();
    let commit = founder.commit(&packages, &[]);
    founder.accept();
    let tree = commit.tree_secret.as_ref().map(|_| {
        founder
            .with(|session| session.tree(&GROUP))
            .expect("a tree")
    });
    let welcome = commit.welcome.as_ref().expect("a Welcome");
    for device in others {
        device
            .with(|session| {
                let staged = session.stage_welcome(welcome, tree.as_deref())?;
                session.accept_welcome(staged)
            })
            .expect("joined");
    }
}

/// Fails unless all are in one epoch with one secret.
pub fn assert_together(devices: &mut [Device]) {
    let mut secrets: Vec<_> = devices.iter_mut().map(Device::secret).collect();
    secrets.dedup();
    assert_eq!(
        secrets.len(),
        1,
        "the devices are in different epochs or groups"
    );
}
