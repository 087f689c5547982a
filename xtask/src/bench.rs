//! `cargo xtask bench`: builds the gateway and the package that measures, both as they would be released, and runs it.

use std::process::Command;

use crate::step::{Done, Outcome};
use crate::{apt, process, workspace};

/// What counts instructions.
const VALGRIND: &str = "valgrind";

/// Measures what `options` name; the package below `xtask/bench` knows them.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let mut done = Done::default();
    let counts_instructions = options.contains(&"instructions") || options.iter().all(|option| option.starts_with('-'));
    if counts_instructions && !process::succeeds(Command::new(VALGRIND).arg("--version")) {
        done.not_checked.extend(apt::install(&[VALGRIND]).err().map(|why| format!("instructions not measured: {why}")));
    }
    // One after the other: built together, each would get the features of what the other one needs.
    let target = workspace::target_directory();
    for package in ["gateway", "xtask-bench"] {
        process::run(process::cargo(["build", "--release", "-p", package, "--target-dir"]).arg(&target))?;
    }
    process::run(Command::new(target.join("release/xtask-bench")).args(options))?;
    Ok(done)
}
