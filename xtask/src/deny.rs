//! `cargo xtask deny`: licences, duplicate and banned crates, sources; advisories where their database can be reached.

use std::path::PathBuf;
use std::process::Command;

use crate::process;
use crate::step::{Done, Outcome};
use crate::workspace;

/// The version we install where there is none. `deny.toml` is written for it.
const VERSION: &str = "0.20.2";

/// Runs cargo-deny, and installs it below `target/tools` first where it is missing.
pub(crate) fn run() -> Outcome {
    let program = find_or_install()?;
    let cargo_deny = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(workspace::root()).args(arguments);
        command
    };
    process::run(&mut cargo_deny(&["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))?;

    if !process::succeeds(&mut cargo_deny(&["fetch", "db"])) {
        let sentence = "advisories were not checked: the RustSec database could not be fetched from github.com";
        return Ok(Done { not_checked: vec![sentence.to_owned()] });
    }
    process::run(&mut cargo_deny(&["check", "--disable-fetch", "advisories"]))?;
    Ok(Done::default())
}

fn find_or_install() -> Result<PathBuf, String> {
    let tools = workspace::target_directory().join("tools");
    let ours = tools.join("bin").join("cargo-deny");
    for candidate in [PathBuf::from("cargo-deny"), ours.clone()] {
        if process::succeeds(Command::new(&candidate).arg("--version")) {
            return Ok(candidate);
        }
    }
    // Unoptimised, it is built in a minute and checks the workspace in seconds.
    let mut install = process::cargo(["install", "cargo-deny", "--locked", "--debug", "--version", VERSION]);
    install.arg("--root").arg(&tools).arg("--target-dir").arg(tools.join("build"));
    process::run(&mut install).map_err(|sentence| {
        format!("cargo-deny is not on the PATH and could not be installed, so nothing was checked: {sentence}")
    })?;
    Ok(ours)
}
