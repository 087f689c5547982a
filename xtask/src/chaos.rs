//! `cargo xtask chaos`: random stacks in random worlds, held to invariants by the package below `xtask/chaos`.

use crate::process;
use crate::step::{Done, Outcome};

/// As many worlds as take about half a minute on two processors.
const CASES: &str = "8000";

/// The worlds that every run of `ci` looks at.
pub(crate) fn run() -> Outcome {
    run_with(&["--cases", CASES])
}

/// With the package's own options.
pub(crate) fn run_with(options: &[&str]) -> Outcome {
    process::run(process::cargo(["run", "--quiet", "--package", "xtask-chaos", "--"]).args(options))?;
    Ok(Done::default())
}
