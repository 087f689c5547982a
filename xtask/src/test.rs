//! `cargo xtask test`: all tests and doc tests of the workspace with plain `cargo test`, and one total as the last line.

use std::process::ExitCode;

use crate::libtest::Total;
use crate::process;

/// Runs the tests and ends the output with their total.
pub(crate) fn run() -> ExitCode {
    let total = run_all();
    println!("\n{total}");
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the tests of every package, also after failures, and passes their output through.
pub(crate) fn run_all() -> Total {
    let mut total = Total::default();
    let watched =
        process::run_watched(process::cargo(["test", "--workspace", "--no-fail-fast"]), |line| total.read(line));
    match watched {
        Ok(status) => total.at_end(status.success()),
        Err(sentence) => {
            println!("error: test: {sentence}");
            total.at_end(false)
        }
    }
}
