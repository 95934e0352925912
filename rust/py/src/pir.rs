//! The private query: conversion only, see the crate `grue-pir`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use grue_pir::{
    Base, Built, Client, Columns, Error, Layout, Material, Pending, Phase, Progress, Result,
};
use pyo3::{exceptions::PyOSError, prelude::*, pybacked::PyBackedBytes, types::PyBytes};

use crate::errors::{CoreError, contained};

pyo3::create_exception!(
    grue._core,
    PirError,
    CoreError,
    "A file, query, answer, column or material that is refused, or records that no table can be built of."
);

/// "No space left on device", as Linux and macOS number it.
const ENOSPC: i32 = 28;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PirError", module.py().get_type::<PirError>())?;
    module.add_class::<PirLayout>()?;
    module.add_class::<PirBuilt>()?;
    module.add_class::<PirProgress>()?;
    module.add_class::<PirBase>()?;
    module.add_class::<PirMaterial>()?;
    module.add_class::<PirPending>()?;
    module.add_class::<PirClient>()?;
    module.add_class::<PirColumns>()?;
    module.add_function(wrap_pyfunction!(pir_build, module)?)
}

fn raise(error: Error) -> PyErr {
    match error {
        Error::Full => PyOSError::new_err((ENOSPC, error.to_string())),
        _ => PirError::new_err(error.to_string()),
    }
}

/// Run a part of the core without the GIL.
fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    contained(py, work)
        .unwrap_or(Err(Error::Internal))
        .map_err(raise)
}

/// What can be used once.
struct Once<T>(Mutex<Option<T>>);

impl<T> Once<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    fn take(&self) -> PyResult<T> {
        let mut value = self.0.lock().map_err(|_| raise(Error::Internal))?;
        value
            .take()
            .ok_or_else(|| PirError::new_err("it was used before"))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct PirLayout(Layout);

#[pymethods]
impl PirLayout {
    #[staticmethod]
    fn from_bytes(layout: &[u8]) -> PyResult<Self> {
        Layout::from_bytes(layout).map(Self).map_err(raise)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    #[getter]
    const fn count(&self) -> u64 {
        self.0.count
    }

    #[getter]
    const fn slots(&self) -> u32 {
        self.0.shape.slots
    }

    #[getter]
    const fn rows(&self) -> u32 {
        self.0.shape.rows
    }

    #[getter]
    const fn columns(&self) -> u32 {
        self.0.shape.columns
    }

    #[getter]
    const fn used(&self) -> u32 {
        self.0.used
    }

    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.root)
    }

    #[getter]
    fn seed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.seed)
    }

    #[getter]
    const fn query_bytes(&self) -> usize {
        self.0.query_bytes()
    }

    #[getter]
    const fn answer_bytes(&self) -> usize {
        self.0.answer_bytes()
    }
}

#[pyclass(frozen, module = "grue._core")]
struct PirBuilt(Built);

#[pymethods]
impl PirBuilt {
    #[getter]
    const fn layout(&self) -> PirLayout {
        PirLayout(self.0.layout)
    }

    #[getter]
    fn packed<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.packed)
    }

    #[getter]
    fn hint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.hint)
    }

    #[getter]
    fn fences<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.fences)
    }

    #[getter]
    fn top<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.top)
    }

    #[getter]
    const fn log2_failure(&self) -> f64 {
        self.0.log2_failure
    }
}

#[pyclass(frozen, module = "grue._core")]
struct PirProgress(Arc<Progress>);

#[pymethods]
impl PirProgress {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    #[getter]
    fn steps(&self) -> (&'static str, usize, usize) {
        let (phase, done, total) = self.0.steps();
        (name(phase), done, total)
    }

    fn stop(&self) {
        self.0.stop();
    }
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Packing => "packing",
        Phase::Hint => "hint",
    }
}

#[pyfunction]
#[pyo3(signature = (records, folder, seed, threads, progress=None, slots=None))]
fn pir_build(
    py: Python<'_>,
    records: PathBuf,
    folder: PathBuf,
    seed: &[u8],
    threads: usize,
    progress: Option<&PirProgress>,
    slots: Option<u32>,
) -> PyResult<PirBuilt> {
    let seed = seed.try_into().map_err(|_| raise(Error::Length))?;
    let progress = progress.map_or_else(Arc::default, |progress| Arc::clone(&progress.0));
    run(py, || {
        grue_pir::build(&records, &folder, seed, threads, &progress, slots)
    })
    .map(PirBuilt)
}

#[pyclass(frozen, module = "grue._core")]
struct PirBase(Base);

#[pymethods]
impl PirBase {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        run(py, || Base::open(&path)).map(Self)
    }

    #[getter]
    const fn layout(&self) -> PirLayout {
        PirLayout(*self.0.layout())
    }

    #[getter]
    const fn kernel(&self) -> &'static str {
        self.0.kernel().name()
    }

    fn answer<'py>(
        &self,
        py: Python<'py>,
        queries: Vec<PyBackedBytes>,
        threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let answers = run(py, || self.0.answer(&queries, threads))?;
        Ok(answers.iter().map(|one| PyBytes::new(py, one)).collect())
    }

    fn touch(&self, py: Python<'_>, threads: usize) -> PyResult<u64> {
        run(py, || Ok(self.0.touch(threads)))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct PirMaterial(Once<Material>);

#[pymethods]
impl PirMaterial {
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let material = self.0.0.lock().map_err(|_| raise(Error::Internal))?;
        let material = material.as_ref().ok_or_else(|| raise(Error::Material))?;
        Ok(PyBytes::new(py, &material.to_bytes()))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct PirPending {
    #[pyo3(get)]
    column: u32,
    pending: Once<Pending>,
}

#[pymethods]
impl PirPending {
    fn recover<'py>(&self, py: Python<'py>, answer: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let pending = self.pending.take()?;
        let column = run(py, || pending.recover(answer))?;
        Ok(PyBytes::new(py, &column))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct PirClient(Client);

#[pymethods]
impl PirClient {
    #[new]
    fn new(py: Python<'_>, layout: &PirLayout, hint: &[u8]) -> PyResult<Self> {
        run(py, || Client::new(&layout.0, hint.to_vec())).map(Self)
    }

    fn material(&self, py: Python<'_>, threads: usize) -> PyResult<PirMaterial> {
        let material = run(py, || self.0.material(threads))?;
        Ok(PirMaterial(Once::new(material)))
    }

    fn material_from_bytes(&self, py: Python<'_>, material: &[u8]) -> PyResult<PirMaterial> {
        let material = run(py, || self.0.material_from_bytes(material))?;
        Ok(PirMaterial(Once::new(material)))
    }

    fn query<'py>(
        &self,
        py: Python<'py>,
        material: &PirMaterial,
        column: u32,
    ) -> PyResult<(Bound<'py, PyBytes>, PirPending)> {
        let material = material.0.take()?;
        let (query, pending) = run(py, || self.0.query(material, column))?;
        let pending = Once::new(pending);
        Ok((PyBytes::new(py, &query), PirPending { column, pending }))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct PirColumns(Columns);

#[pymethods]
impl PirColumns {
    #[new]
    fn new(py: Python<'_>, layout: &PirLayout, fences: &[u8], top: &[u8]) -> PyResult<Self> {
        run(py, || Columns::new(&layout.0, fences, top)).map(Self)
    }

    fn column(&self, tag: &[u8]) -> PyResult<u32> {
        self.0.column(tag).map_err(raise)
    }

    fn open<'py>(
        &self,
        py: Python<'py>,
        tag: &[u8],
        column: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let record = run(py, || self.0.open(tag, column))?;
        Ok(record.map(|record| PyBytes::new(py, &record)))
    }
}
