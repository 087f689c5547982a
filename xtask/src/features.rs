//! `cargo xtask features`: each crate builds alone, as it is by default and with each of its features.
//!
//! Built together, crates lend each other the features of what they share; alone, a missing feature shows.

use crate::process;
use crate::step::{Done, Outcome};
use crate::workspace;

/// Checks every package by itself. Tests are left out: what they need besides lends its features, too.
pub(crate) fn run() -> Outcome {
    let mut failures = Vec::new();
    for package in workspace::packages()? {
        for arguments in variants(&package.manifest.name, &package.manifest.features) {
            failures.extend(process::run(process::cargo(["check"]).args(arguments)).err());
        }
    }
    if failures.is_empty() { Ok(Done::default()) } else { Err(failures.join("; ")) }
}

/// The arguments of every build of one package.
fn variants(package: &str, features: &[String]) -> Vec<Vec<String>> {
    let build = |more: &[&str]| ["-p", package].iter().chain(more).map(|part| (*part).to_owned()).collect();
    let mut variants: Vec<Vec<String>> = vec![build(&[])];
    if features.iter().any(|feature| feature == "default") {
        variants.push(build(&["--no-default-features"]));
    }
    for feature in features.iter().filter(|feature| *feature != "default") {
        variants.push(build(&["--no-default-features", "--features", feature]));
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(features: &[&str]) -> Vec<String> {
        let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
        variants("llm-x", &features).iter().map(|arguments| arguments.join(" ")).collect()
    }

    #[test]
    fn a_crate_without_features_is_built_once() {
        assert_eq!(shown(&[]), ["-p llm-x"]);
    }

    #[test]
    fn every_feature_is_built_by_itself() {
        let expected = [
            "-p llm-x",
            "-p llm-x --no-default-features",
            "-p llm-x --no-default-features --features a",
            "-p llm-x --no-default-features --features b",
        ];
        assert_eq!(shown(&["default", "a", "b"]), expected);
    }
}
