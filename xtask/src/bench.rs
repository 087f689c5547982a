//! `cargo xtask bench`: builds the gateway and the package that measures, both as they would be released, and runs it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::step::{Done, Outcome};
use crate::{apt, process, workspace};

/// What counts instructions.
const VALGRIND: &str = "valgrind";

/// What others have, outside the workspace because of what it depends on.
const PEERS: &str = "xtask/bench/peers";

/// The run that others are compared with, as `--store` left it.
const STORED: &str = "xtask/bench/stored.json";

/// Measures what `options` name; the package below `xtask/bench` knows them.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let mut done = Done::default();
    let selects = |parts: &[&str]| parts.iter().any(|part| selects(options, part));
    if selects(&["layers", "ledger", "cache", "instructions"])
        && !process::succeeds(Command::new(VALGRIND).arg("--version"))
    {
        done.not_checked.extend(apt::install(&[VALGRIND]).err().map(|why| format!("instructions not measured: {why}")));
    }
    let target = workspace::target_directory();
    let build = |package: &str| {
        process::run(process::cargo(["build", "--release", "-p", package, "--target-dir"]).arg(&target))
    };
    // One after the other: built together, each would get the features of what the other one needs.
    if selects(&["gateway", "instructions"]) {
        build("gateway")?;
    }
    build("xtask-bench")?;
    if selects(&["layers", "ledger", "pick", "cache"]) {
        build_peers(&target)?;
    }
    let mut measure = Command::new(target.join("release/xtask-bench"));
    measure.arg("--report").arg(target.join("bench")).arg("--stored").arg(workspace::root().join(STORED));
    process::run(measure.args(options))?;
    Ok(done)
}

/// Builds what others have, with the versions that ours are built with wherever both need the same crate.
fn build_peers(target: &Path) -> Result<(), String> {
    let (root, peers) = (workspace::root(), workspace::root().join(PEERS));
    fs::copy(root.join("Cargo.lock"), peers.join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock could not be copied to {PEERS}: {error}"))?;
    process::run(process::cargo(["build", "--release", "--target-dir"]).arg(target).current_dir(peers))
}

/// Whether `part` is among what `options` name; without a name that is everything.
fn selects(options: &[&str], part: &str) -> bool {
    options.contains(&part) || options.iter().all(|option| option.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_cannot_be_paused_in_what_is_measured() {
        // With tokio's `test-util` each look at the clock takes a lock.
        let mut tree =
            process::cargo(["tree", "--offline", "-p", "xtask-bench", "-e", "features,no-dev", "-i", "tokio"]);
        let output = tree.output().expect("cargo can be started");
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(tree.contains("tokio feature \"time\""), "{tree}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!tree.contains("test-util"), "{tree}");
    }

    #[test]
    fn everything_is_selected_unless_something_is_named() {
        assert!(selects(&[], "layers"));
        assert!(selects(&["--quick"], "layers"));
        assert!(selects(&["wire", "layers"], "layers"));
        assert!(!selects(&["wire", "--quick"], "layers"));
    }
}
