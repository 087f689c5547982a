//! `cargo xtask fuzz`: the fuzz targets below `crates/*/fuzz`, on the nightly toolchain that cargo-fuzz needs.
//!
//! Each target is also a property test on stable, which `test` runs; this command looks for longer.

use std::path::PathBuf;
use std::process::Command;

use crate::process;
use crate::step::{Done, Outcome};
use crate::workspace;

/// How long one target is fuzzed when nothing else is said.
const DEFAULT_SECONDS: u32 = 60;

/// Runs the targets that `[TARGET] [--seconds N]` selects.
pub(crate) fn run(options: &[&str]) -> Outcome {
    let (wanted, seconds) = parse(options)?;
    let targets = targets()?;
    if targets.is_empty() {
        return Err("there is nothing to fuzz: no crate has a fuzz/fuzz_targets directory".to_owned());
    }
    let selected: Vec<_> = targets.iter().filter(|(_, name)| wanted.is_none_or(|wanted| wanted == name)).collect();
    if selected.is_empty() {
        let known: Vec<&str> = targets.iter().map(|(_, name)| name.as_str()).collect();
        return Err(format!("there is no such fuzz target; the targets are: {}", known.join(", ")));
    }
    let nightly = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]).args(arguments).env_remove("CARGO");
        command
    };
    if !process::succeeds(&mut nightly(&["--version"])) {
        return Err("fuzzing needs the nightly toolchain: run `rustup toolchain install nightly`".to_owned());
    }
    if !process::succeeds(&mut nightly(&["fuzz", "--version"])) {
        return Err("fuzzing needs cargo-fuzz: run `cargo install cargo-fuzz --locked`".to_owned());
    }
    for (crate_directory, name) in selected {
        let limit = format!("-max_total_time={seconds}");
        let mut fuzz = nightly(&["fuzz", "run", name]);
        // What is found goes into the corpus, which comes first; the fixtures only show the way.
        let corpus = crate_directory.join("fuzz/corpus").join(name);
        std::fs::create_dir_all(&corpus).map_err(|error| format!("{} could not be made: {error}", corpus.display()))?;
        fuzz.arg(&corpus);
        let fixtures = crate_directory.join("fixtures");
        if fixtures.is_dir() {
            fuzz.arg(fixtures);
        }
        process::run(fuzz.args(["--", &limit]).current_dir(crate_directory))?;
    }
    Ok(Done::default())
}

fn parse<'a>(options: &[&'a str]) -> Result<(Option<&'a str>, u32), String> {
    let (target, rest) = match options {
        [target, rest @ ..] if !target.starts_with('-') => (Some(*target), rest),
        rest => (None, rest),
    };
    match rest {
        [] => Ok((target, DEFAULT_SECONDS)),
        ["--seconds", number] => {
            let seconds = number.parse().map_err(|_| format!("--seconds takes a whole number, not `{number}`"))?;
            Ok((target, seconds))
        }
        _ => Err(format!("`{}` was not understood; usage: cargo xtask fuzz [TARGET] [--seconds N]", rest.join(" "))),
    }
}

/// Every fuzz target: the crate's directory and the target's name.
fn targets() -> Result<Vec<(PathBuf, String)>, String> {
    let crates = workspace::root().join("crates");
    let mut targets = Vec::new();
    for name in workspace::entries(&crates)? {
        let sources = crates.join(&name).join("fuzz").join("fuzz_targets");
        if sources.is_dir() {
            for file in workspace::entries(&sources)? {
                targets.extend(file.strip_suffix(".rs").map(|target| (crates.join(&name), target.to_owned())));
            }
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_and_seconds_are_optional() {
        assert_eq!(parse(&[]), Ok((None, DEFAULT_SECONDS)));
        assert_eq!(parse(&["sse"]), Ok((Some("sse"), DEFAULT_SECONDS)));
        assert_eq!(parse(&["--seconds", "5"]), Ok((None, 5)));
        assert_eq!(parse(&["sse", "--seconds", "5"]), Ok((Some("sse"), 5)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(parse(&["sse", "--seconds"]).is_err());
        assert!(parse(&["--seconds", "soon"]).is_err());
        assert!(parse(&["--minutes", "5"]).is_err());
    }
}
