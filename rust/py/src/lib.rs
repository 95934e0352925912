//! `grue._core`: the seam between Python and the core. It converts and does nothing else; the logic and its
//! tests are in the crates `grue-mls`, `grue-ohttp`, `grue-oprf` and `grue-pir`. No panic crosses it.

use pyo3::prelude::*;

mod errors;
mod mls;
mod ohttp;
mod oprf;
mod pir;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(module)?;
    mls::register(module)?;
    ohttp::register(module)?;
    oprf::register(module)?;
    pir::register(module)?;
    Ok(())
}
