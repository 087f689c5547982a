//! `cargo xtask simulate`: runs a simulation of the package below `xtask/simulate`, and prints the table it makes.

use crate::process;
use crate::step::{Done, Outcome};

/// Runs the simulation `name`; the package knows them.
pub(crate) fn run(name: &str) -> Outcome {
    process::run(process::cargo(["run", "--quiet", "--package", "xtask-simulate", "--"]).arg(name))?;
    Ok(Done::default())
}
