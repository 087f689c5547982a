//! `cargo xtask doc`: the documentation builds without a single warning.

use crate::process;
use crate::step::{Done, Outcome};

/// Builds the docs of every package with warnings denied.
pub(crate) fn run() -> Outcome {
    process::run(process::cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Done::default())
}
