//! `MlsSession` and what it takes and returns: conversion only, see the crate `grue-mls`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use grue_mls::{Error, Incoming, Member, Session, StagedCommit, StagedWelcome};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyMapping},
};

use crate::errors::{CoreError, contained};

macro_rules! exceptions {
    ($($name:ident, $base:ty, $doc:literal;)*) => {
        $(pyo3::create_exception!(grue._core, $name, $base, $doc);)*

        fn register_exceptions(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add(stringify!($name), module.py().get_type::<$name>())?;)*
            Ok(())
        }
    };
}

exceptions! {
    MlsError, CoreError, "What `MlsSession` refuses; itself raised for what should not happen.";
    MlsMalformed, MlsError, "Bytes that are no MLS structure of our version and suite.";
    MlsMissing, MlsError, "What the entries do not hold.";
    MlsWrongEpoch, MlsError, "A message for another epoch.";
    MlsSecretGone, MlsError, "A message whose key was used already, or is too far ahead.";
    MlsOwnMessage, MlsError, "A message that our own leaf sent.";
    MlsRefused, MlsError, "A message that fails a check which every member can make.";
    MlsLost, MlsError, "A commit that is valid to everyone but this member.";
}

/// A panic inside the core: our bug.
fn panicked() -> PyErr {
    MlsError::new_err("internal: the core panicked")
}

fn raise(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Malformed => MlsMalformed::new_err(text),
        Error::Missing(_) => MlsMissing::new_err(text),
        Error::WrongEpoch => MlsWrongEpoch::new_err(text),
        Error::SecretGone => MlsSecretGone::new_err(text),
        Error::OwnMessage => MlsOwnMessage::new_err(text),
        Error::Refused(_) => MlsRefused::new_err(text),
        Error::Lost => MlsLost::new_err(text),
        Error::Internal(_) => MlsError::new_err(text),
    }
}

/// Run a part of the core without the GIL.
fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> grue_mls::Result<T> + Send) -> PyResult<T> {
    contained(py, work).ok_or_else(panicked)?.map_err(raise)
}

/// Take what can be used once.
fn take<T>(cell: &Mutex<Option<T>>) -> PyResult<T> {
    cell.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .ok_or_else(|| MlsError::new_err("internal: it was used before"))
}

/// One device in a group, or about to be.
#[pyclass(frozen, get_all, module = "grue._core")]
struct MlsMember {
    leaf: u32,
    credential: Py<PyBytes>,
    signature_key: Py<PyBytes>,
}

impl MlsMember {
    fn new(py: Python<'_>, member: &Member) -> Self {
        Self {
            leaf: member.leaf,
            credential: PyBytes::new(py, &member.credential).unbind(),
            signature_key: PyBytes::new(py, &member.signature_key).unbind(),
        }
    }

    fn list(py: Python<'_>, members: &[Member]) -> PyResult<Vec<Py<Self>>> {
        members
            .iter()
            .map(|member| Py::new(py, Self::new(py, member)))
            .collect()
    }
}

/// An own commit, pending until `accepted` or `rejected`.
#[pyclass(frozen, get_all, module = "grue._core")]
struct MlsCommit {
    message: Py<PyBytes>,
    welcome: Option<Py<PyBytes>>,
    tree_secret: Option<Py<PyBytes>>,
}

/// An application message.
#[pyclass(frozen, get_all, module = "grue._core")]
struct MlsApplication {
    leaf: u32,
    credential: Py<PyBytes>,
    plaintext: Py<PyBytes>,
    authenticated_data: Py<PyBytes>,
}

/// Another member's commit that passed every check; nothing has changed until `merge`.
#[pyclass(frozen, module = "grue._core")]
struct MlsStagedCommit {
    #[pyo3(get)]
    leaf: u32,
    #[pyo3(get)]
    authenticated_data: Py<PyBytes>,
    #[pyo3(get)]
    removes_self: bool,
    added: Vec<Py<MlsMember>>,
    removed: Vec<Py<MlsMember>>,
    staged: Mutex<Option<StagedCommit>>,
}

impl MlsStagedCommit {
    fn new(py: Python<'_>, commit: StagedCommit) -> PyResult<Self> {
        Ok(Self {
            leaf: commit.leaf,
            authenticated_data: PyBytes::new(py, &commit.authenticated_data).unbind(),
            removes_self: commit.removes_self,
            added: MlsMember::list(py, &commit.added)?,
            removed: MlsMember::list(py, &commit.removed)?,
            staged: Mutex::new(Some(commit)),
        })
    }
}

#[pymethods]
impl MlsStagedCommit {
    /// Members the commit adds; their leaf is not assigned yet and reads 2**32 - 1.
    #[getter]
    fn added(&self, py: Python<'_>) -> Vec<Py<MlsMember>> {
        self.added
            .iter()
            .map(|member| member.clone_ref(py))
            .collect()
    }

    /// Members the commit removes.
    #[getter]
    fn removed(&self, py: Python<'_>) -> Vec<Py<MlsMember>> {
        self.removed
            .iter()
            .map(|member| member.clone_ref(py))
            .collect()
    }
}

/// A group that a Welcome invites to; nothing has changed until `accept_welcome`.
#[pyclass(frozen, module = "grue._core")]
struct MlsStagedWelcome {
    #[pyo3(get)]
    group_id: Py<PyBytes>,
    #[pyo3(get)]
    epoch: u64,
    #[pyo3(get)]
    own_leaf: u32,
    #[pyo3(get)]
    sender_leaf: u32,
    members: Vec<Py<MlsMember>>,
    staged: Mutex<Option<StagedWelcome>>,
}

impl MlsStagedWelcome {
    fn new(py: Python<'_>, welcome: StagedWelcome) -> PyResult<Self> {
        Ok(Self {
            group_id: PyBytes::new(py, &welcome.group_id).unbind(),
            epoch: welcome.epoch,
            own_leaf: welcome.own_leaf,
            sender_leaf: welcome.sender_leaf,
            members: MlsMember::list(py, &welcome.members)?,
            staged: Mutex::new(Some(welcome)),
        })
    }
}

#[pymethods]
impl MlsStagedWelcome {
    /// All members, ourselves too.
    #[getter]
    fn members(&self, py: Python<'_>) -> Vec<Py<MlsMember>> {
        self.members
            .iter()
            .map(|member| member.clone_ref(py))
            .collect()
    }
}

/// One transaction over stored entries: it gathers changes and writes none of them itself.
///
/// After a panic inside it the session is gone, and every call raises MlsError.
#[pyclass(frozen, module = "grue._core")]
struct MlsSession {
    session: Mutex<Option<Session>>,
}

impl MlsSession {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Session) -> grue_mls::Result<T> + Send,
    ) -> PyResult<T> {
        run(py, || {
            // Taken out while it works, so that a panic leaves nothing half done behind.
            let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            let mut session = held.take().ok_or(Error::Internal("the session is gone"))?;
            let outcome = work(&mut session);
            *held = Some(session);
            outcome
        })
    }

    fn bytes<'py>(
        &self,
        py: Python<'py>,
        work: impl FnOnce(&mut Session) -> grue_mls::Result<Vec<u8>> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.with(py, work)?))
    }
}

#[pymethods]
impl MlsSession {
    #[new]
    fn new(entries: &Bound<'_, PyAny>) -> PyResult<Self> {
        let entries = read_entries(entries)?;
        Ok(Self {
            session: Mutex::new(Some(Session::new(entries))),
        })
    }

    /// Entries that differ from those given, None for a deleted one.
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let changes = PyDict::new(py);
        for (key, value) in self.with(py, |session| Ok(session.changes()))? {
            let value = value.map(|value| PyBytes::new(py, &value));
            changes.set_item(PyBytes::new(py, &key), value)?;
        }
        Ok(changes)
    }

    fn saved(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |session| {
            session.saved();
            Ok(())
        })
    }

    fn new_identity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |session| session.new_identity().map(Vec::from))
    }

    fn sign<'py>(&self, py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |session| session.sign(message))
    }

    fn key_package<'py>(
        &self,
        py: Python<'py>,
        credential: &[u8],
        last_resort: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |session| session.key_package(credential, last_resort))
    }

    fn create(&self, py: Python<'_>, group_id: &[u8], credential: &[u8]) -> PyResult<()> {
        self.with(py, |session| session.create(group_id, credential))
    }

    fn commit(
        &self,
        py: Python<'_>,
        group_id: &[u8],
        add: Vec<Vec<u8>>,
        remove: Vec<u32>,
        authenticated_data: &[u8],
    ) -> PyResult<MlsCommit> {
        let commit = self.with(py, |session| {
            session.commit(group_id, &add, &remove, authenticated_data)
        })?;
        Ok(MlsCommit {
            message: PyBytes::new(py, &commit.message).unbind(),
            welcome: commit
                .welcome
                .map(|welcome| PyBytes::new(py, &welcome).unbind()),
            tree_secret: commit
                .tree_secret
                .map(|secret| PyBytes::new(py, &secret).unbind()),
        })
    }

    fn accepted(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<()> {
        self.with(py, |session| session.accepted(group_id))
    }

    fn rejected(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<()> {
        self.with(py, |session| session.rejected(group_id))
    }

    fn pending(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<bool> {
        self.with(py, |session| session.pending(group_id))
    }

    #[pyo3(signature = (welcome, tree=None))]
    fn stage_welcome(
        &self,
        py: Python<'_>,
        welcome: &[u8],
        tree: Option<&[u8]>,
    ) -> PyResult<MlsStagedWelcome> {
        let staged = self.with(py, |session| session.stage_welcome(welcome, tree))?;
        MlsStagedWelcome::new(py, staged)
    }

    fn tree_secret<'py>(
        &self,
        py: Python<'py>,
        welcome: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let secret = self.with(py, |session| session.tree_secret(welcome))?;
        Ok(secret.map(|secret| PyBytes::new(py, &secret)))
    }

    fn tree<'py>(&self, py: Python<'py>, group_id: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |session| session.tree(group_id))
    }

    fn accept_welcome(&self, py: Python<'_>, staged: &MlsStagedWelcome) -> PyResult<()> {
        let staged = take(&staged.staged)?;
        self.with(py, |session| session.accept_welcome(staged))
    }

    fn process<'py>(
        &self,
        py: Python<'py>,
        group_id: &[u8],
        message: &[u8],
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.with(py, |session| session.process(group_id, message))? {
            Incoming::Application(message) => {
                let application = MlsApplication {
                    leaf: message.leaf,
                    credential: PyBytes::new(py, &message.credential).unbind(),
                    plaintext: PyBytes::new(py, &message.plaintext).unbind(),
                    authenticated_data: PyBytes::new(py, &message.authenticated_data).unbind(),
                };
                Ok(Bound::new(py, application)?.into_any())
            }
            Incoming::Commit(commit) => {
                Ok(Bound::new(py, MlsStagedCommit::new(py, *commit)?)?.into_any())
            }
        }
    }

    fn merge(&self, py: Python<'_>, group_id: &[u8], staged: &MlsStagedCommit) -> PyResult<()> {
        let staged = take(&staged.staged)?;
        self.with(py, |session| session.merge(group_id, staged))
    }

    fn discard(&self, staged: &MlsStagedCommit) -> PyResult<()> {
        take(&staged.staged).map(drop)
    }

    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        group_id: &[u8],
        plaintext: &[u8],
        authenticated_data: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, |session| {
            session.encrypt(group_id, plaintext, authenticated_data)
        })
    }

    fn exporter<'py>(
        &self,
        py: Python<'py>,
        group_id: &[u8],
        label: &str,
        context: &[u8],
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let secret = self.with(py, |session| {
            session.exporter(group_id, label, context, length)
        })?;
        Ok(PyBytes::new(py, &secret))
    }

    fn epoch(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<u64> {
        self.with(py, |session| session.epoch(group_id))
    }

    fn own_leaf(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<u32> {
        self.with(py, |session| session.own_leaf(group_id))
    }

    fn members(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<Vec<Py<MlsMember>>> {
        MlsMember::list(py, &self.with(py, |session| session.members(group_id))?)
    }

    fn delete(&self, py: Python<'_>, group_id: &[u8]) -> PyResult<()> {
        self.with(py, |session| session.delete(group_id))
    }
}

/// Copy the entries: a dict as it is, any other mapping through its items.
fn read_entries(entries: &Bound<'_, PyAny>) -> PyResult<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut copy = BTreeMap::new();
    if let Ok(dict) = entries.cast::<PyDict>() {
        for (key, value) in dict {
            copy.insert(
                key.extract::<&[u8]>()?.to_vec(),
                value.extract::<&[u8]>()?.to_vec(),
            );
        }
        return Ok(copy);
    }
    for item in entries.cast::<PyMapping>()?.items()? {
        let (key, value): (Bound<'_, PyBytes>, Bound<'_, PyBytes>) = item.extract()?;
        copy.insert(key.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    Ok(copy)
}

/// Check a key package by itself, and say whose it is.
#[pyfunction]
fn mls_key_package_member(py: Python<'_>, key_package: &[u8]) -> PyResult<MlsMember> {
    let member = run(py, || grue_mls::key_package_member(key_package))?;
    Ok(MlsMember::new(py, &member))
}

/// What a Welcome has for those of whom these are the key packages.
#[pyfunction]
fn mls_welcome_for<'py>(
    py: Python<'py>,
    welcome: &[u8],
    packages: Vec<Vec<u8>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let some = run(py, || grue_mls::welcome_for(welcome, &packages))?;
    Ok(PyBytes::new(py, &some))
}

/// The credential of a device: version 1, the account's identity key, its signature over the device key.
#[pyfunction]
fn mls_credential<'py>(
    py: Python<'py>,
    identity_public: &[u8],
    certificate: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let credential =
        grue_mls::credential::credential(identity_public, certificate).map_err(raise)?;
    Ok(PyBytes::new(py, &credential))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    register_exceptions(module)?;
    module.add_class::<MlsMember>()?;
    module.add_class::<MlsCommit>()?;
    module.add_class::<MlsApplication>()?;
    module.add_class::<MlsStagedCommit>()?;
    module.add_class::<MlsStagedWelcome>()?;
    module.add_class::<MlsSession>()?;
    module.add_function(wrap_pyfunction!(mls_key_package_member, module)?)?;
    module.add_function(wrap_pyfunction!(mls_credential, module)?)?;
    module.add_function(wrap_pyfunction!(mls_welcome_for, module)?)?;
    let context = PyBytes::new(module.py(), grue_mls::credential::CERTIFICATE_CONTEXT);
    module.add("MLS_CERTIFICATE_CONTEXT", context)
}
