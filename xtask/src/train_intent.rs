//! `cargo xtask train-intent`: trains the model of intents with the package below `xtask/train-intent`.

use crate::process;
use crate::step::{Done, Outcome};

/// Trains as `options` say; the package knows them.
pub(crate) fn run(options: &[&str]) -> Outcome {
    process::run(process::cargo(["run", "--quiet", "--package", "xtask-train-intent", "--"]).args(options))?;
    Ok(Done::default())
}
