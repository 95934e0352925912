//! The exceptions that all parts share.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::{exceptions::PyException, prelude::*};

pyo3::create_exception!(grue._core, CoreError, PyException, "What the core refuses.");

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CoreError", module.py().get_type::<CoreError>())
}

/// Run something that must not panic, without the GIL; a panic becomes `None`.
///
/// What a panic left half done is never looked at again: the caller poisons or drops it.
pub(crate) fn contained<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> Option<T> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work)).ok())
}
