//! `OprfKey`, `OprfBlind` and `oprf_finalize`: conversion only, see the crate `grue-oprf`.

use grue_oprf::{Blinding, Error, Evaluation, Key, Result};
use pyo3::{prelude::*, pybacked::PyBackedBytes, types::PyBytes};

use crate::errors::{CoreError, contained};

pyo3::create_exception!(
    grue._core,
    OprfError,
    CoreError,
    "An element, scalar, key or proof that is malformed, or a proof that does not verify."
);

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("OprfError", module.py().get_type::<OprfError>())?;
    module.add_class::<OprfKey>()?;
    module.add_class::<OprfBlind>()?;
    module.add_function(wrap_pyfunction!(oprf_finalize, module)?)
}

fn raise(error: Error) -> PyErr {
    OprfError::new_err(error.to_string())
}

/// Run a part of the core without the GIL: the shortest of them takes about 40 us.
fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    contained(py, work)
        .unwrap_or(Err(Error::Internal))
        .map_err(raise)
}

fn list<'py, const N: usize>(py: Python<'py>, items: &[[u8; N]]) -> Vec<Bound<'py, PyBytes>> {
    items.iter().map(|item| PyBytes::new(py, item)).collect()
}

#[pyclass(frozen, module = "grue._core")]
struct OprfKey(Key);

#[pymethods]
impl OprfKey {
    #[staticmethod]
    fn generate(py: Python<'_>) -> PyResult<Self> {
        run(py, Key::generate).map(Self)
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, key: &[u8]) -> PyResult<Self> {
        run(py, || Key::from_bytes(key)).map(Self)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let key = self.0.to_bytes().map_err(raise)?;
        Ok(PyBytes::new(py, key.as_slice()))
    }

    #[getter]
    fn public<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.public())
    }

    #[allow(clippy::type_complexity, reason = "the tuple is the interface")]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        blinded: Vec<PyBackedBytes>,
    ) -> PyResult<(Vec<Bound<'py, PyBytes>>, Bound<'py, PyBytes>)> {
        let Evaluation { elements, proof } = run(py, || self.0.evaluate(&blinded))?;
        Ok((list(py, &elements), PyBytes::new(py, &proof)))
    }

    fn output<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<PyBackedBytes>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let outputs = run(py, || {
            inputs
                .iter()
                .map(|input| self.0.output(input))
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(list(py, &outputs))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct OprfBlind(Blinding);

#[pymethods]
impl OprfBlind {
    #[staticmethod]
    fn blind(py: Python<'_>, input: &[u8]) -> PyResult<Self> {
        run(py, || Blinding::blind(input)).map(Self)
    }

    #[staticmethod]
    fn from_scalar(py: Python<'_>, input: &[u8], scalar: &[u8]) -> PyResult<Self> {
        run(py, || Blinding::from_scalar(input, scalar)).map(Self)
    }

    #[getter]
    fn element<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.element())
    }

    fn scalar<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let scalar = self.0.scalar().map_err(raise)?;
        Ok(PyBytes::new(py, scalar.as_slice()))
    }
}

/// Lets the core borrow the blindings out of their Python objects.
struct Held(Py<OprfBlind>);

impl AsRef<Blinding> for Held {
    fn as_ref(&self) -> &Blinding {
        &self.0.get().0
    }
}

#[pyfunction]
fn oprf_finalize<'py>(
    py: Python<'py>,
    blinds: Vec<Py<OprfBlind>>,
    evaluated: Vec<PyBackedBytes>,
    proof: &[u8],
    public: &[u8],
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let blinds: Vec<_> = blinds.into_iter().map(Held).collect();
    let outputs = run(py, || {
        grue_oprf::finalize(&blinds, &evaluated, proof, public)
    })?;
    Ok(list(py, &outputs))
}
