//! `cargo xtask lint`: formatting, clippy with warnings denied, and the house rules of [`tidy`].

use crate::process;
use crate::step::{Done, Outcome};
use crate::tidy;

/// Runs the three checks, also after failures.
pub(crate) fn run() -> Outcome {
    let results = [
        process::run(&mut process::cargo(["fmt", "--all", "--check"])),
        process::run(&mut process::cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        tidy::run(),
    ];
    let failures: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if failures.is_empty() { Ok(Done::default()) } else { Err(failures.join("; ")) }
}
