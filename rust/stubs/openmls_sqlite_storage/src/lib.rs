//! Empty, and never built: see the comment at `[patch.crates-io]` in `rust/Cargo.toml`.
