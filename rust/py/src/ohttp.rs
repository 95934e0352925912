//! `OhttpGateway`, `OhttpExchange` and `OhttpRequest`: conversion only, see the crate `grue-ohttp`.

use std::sync::{Mutex, PoisonError};

use grue_ohttp::{Call, Error, Exchange, Gateway, Reply, Request, Result};
use pyo3::{prelude::*, types::PyBytes};

use crate::errors::{CoreError, contained};

pyo3::create_exception!(
    grue._core,
    OhttpError,
    CoreError,
    "A seed, key configuration, request, response or message that is refused."
);

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("OhttpError", module.py().get_type::<OhttpError>())?;
    module.add_class::<OhttpGateway>()?;
    module.add_class::<OhttpExchange>()?;
    module.add_class::<OhttpRequest>()
}

/// Run a part of the core without the GIL: opening a request takes about 200 us.
fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    contained(py, work)
        .unwrap_or(Err(Error::Internal))
        .map_err(|error| OhttpError::new_err(error.to_string()))
}

/// Use what keeps count of its one use itself. The lock is taken without the GIL.
fn with<T, U>(cell: &Mutex<T>, work: impl FnOnce(&mut T) -> U) -> U {
    work(&mut cell.lock().unwrap_or_else(PoisonError::into_inner))
}

#[pyclass(frozen, module = "grue._core")]
struct OhttpGateway(Gateway);

#[pymethods]
impl OhttpGateway {
    #[staticmethod]
    fn from_seed(py: Python<'_>, seed: &[u8], key_id: u8) -> PyResult<Self> {
        run(py, || Gateway::from_seed(seed, key_id)).map(Self)
    }

    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.config())
    }

    #[allow(clippy::type_complexity, reason = "the tuple is the interface")]
    fn open<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
    ) -> PyResult<(OhttpExchange, String, String, Bound<'py, PyBytes>)> {
        let (exchange, call) = run(py, || self.0.open(request))?;
        let Call { method, path, body } = call;
        let exchange = OhttpExchange(Mutex::new(exchange));
        Ok((exchange, method, path, PyBytes::new(py, &body)))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct OhttpExchange(Mutex<Exchange>);

#[pymethods]
impl OhttpExchange {
    fn seal<'py>(
        &self,
        py: Python<'py>,
        status: u16,
        body: &[u8],
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let body = body.to_vec();
        let reply = Reply { status, body };
        let response = run(py, || with(&self.0, |one| one.seal(&reply, size)))?;
        Ok(PyBytes::new(py, &response))
    }
}

#[pyclass(frozen, module = "grue._core")]
struct OhttpRequest(Mutex<Request>);

#[pymethods]
impl OhttpRequest {
    #[staticmethod]
    fn seal<'py>(
        py: Python<'py>,
        config: &[u8],
        method: String,
        path: String,
        body: &[u8],
        size: usize,
    ) -> PyResult<(Self, Bound<'py, PyBytes>)> {
        let body = body.to_vec();
        let call = Call { method, path, body };
        let (request, sealed) = run(py, || Request::seal(config, &call, size))?;
        Ok((Self(Mutex::new(request)), PyBytes::new(py, &sealed)))
    }

    fn open<'py>(&self, py: Python<'py>, response: &[u8]) -> PyResult<(u16, Bound<'py, PyBytes>)> {
        let reply = run(py, || with(&self.0, |one| one.open(response)))?;
        Ok((reply.status, PyBytes::new(py, &reply.body)))
    }
}
