//! `cargo xtask mutants`: breaks the layers on purpose, one thing at a time, and looks which test notices.
//!
//! A test that cannot fail proves nothing. Each breakage in `xtask/mutants` is made in a copy of the workspace below
//! `target`; then the tests of its own crates are run, and where they all pass those of the crates that use them together.
//! What nobody notices is a test that is missing.

mod copy;
mod list;
mod trial;

use std::collections::BTreeSet;
use std::time::Instant;

use self::copy::Copy;
use self::list::Breakage;
use self::trial::{Trial, Verdict};
use crate::step::{self, Done, Outcome};
use crate::workspace;

/// The packages that use several crates together, as far as there are such. They are asked last.
const TOGETHER: [&str; 3] = ["llm-stack", "llm-tests", "xtask-conformance"];

/// Tries the breakages whose names begin with one of `names`, or all.
pub(crate) fn run(names: &[&str]) -> Outcome {
    let mut breakages = list::all()?;
    if let Some(unknown) = names.iter().find(|name| !breakages.iter().any(|one| one.name.starts_with(**name))) {
        return Err(format!("no breakage in xtask/mutants has a name that begins with `{unknown}`"));
    }
    breakages.retain(|one| names.is_empty() || names.iter().any(|name| one.name.starts_with(name)));

    let packages = workspace::packages()?;
    let directory = |name: &str| {
        packages.iter().find(|package| package.manifest.name == name).map(|package| package.directory.clone())
    };
    let copy = Copy::new()?;
    let trial = Trial::new(&copy, &directory);
    let together: Vec<&str> = TOGETHER.into_iter().filter(|name| directory(name).is_some()).collect();
    check_unbroken(&copy, &trial, &breakages)?;

    let began = Instant::now();
    let (mut survivors, mut errors) = (Vec::new(), Vec::new());
    for breakage in &breakages {
        let started = Instant::now();
        copy.restore()?;
        copy.apply(breakage)?;
        let verdict = trial.of(breakage, &together)?;
        let what = match verdict {
            Verdict::Caught { package, test } => format!("{package}: {test}"),
            Verdict::Survived => {
                survivors.push(breakage.name.as_str());
                "NOBODY".to_owned()
            }
            Verdict::Broken(sentence) => {
                errors.push(breakage.name.as_str());
                format!("DOES NOT BUILD: {sentence}")
            }
        };
        println!("{:<36} {what} ({} s)", breakage.name, started.elapsed().as_secs());
    }
    copy.restore()?;

    let took = step::minutes_and_seconds(began.elapsed());
    let caught = breakages.len() - survivors.len() - errors.len();
    println!("\n{} breakages, {caught} caught, in {took}", breakages.len());
    for breakage in breakages.iter().filter(|one| survivors.contains(&one.name.as_str())) {
        println!("nobody noticed {}: {} ({})", breakage.name, breakage.sentence, breakage.file);
    }
    let failure = |what: &str, names: &[&str]| {
        if names.is_empty() { None } else { Some(format!("{what}: {}", names.join(", "))) }
    };
    let failures = [failure("nobody noticed", &survivors), failure("what does not build shows nothing", &errors)];
    match failures.into_iter().flatten().collect::<Vec<_>>() {
        none if none.is_empty() => Ok(Done::default()),
        failures => Err(failures.join("; ")),
    }
}

/// Makes sure that the tests pass while nothing is broken, or each breakage would seem to be noticed.
fn check_unbroken(copy: &Copy, trial: &Trial<'_>, breakages: &[Breakage]) -> Result<(), String> {
    copy.restore()?;
    let asked: BTreeSet<&str> = breakages.iter().filter_map(|one| one.tests.first()).map(String::as_str).collect();
    for package in asked {
        let started = Instant::now();
        match trial.package(package)? {
            Verdict::Survived => println!("{package} passes unbroken ({} s)", started.elapsed().as_secs()),
            Verdict::Caught { test, .. } => return Err(format!("{package} fails unbroken, in {test}")),
            Verdict::Broken(sentence) => return Err(format!("{package} does not build unbroken: {sentence}")),
        }
    }
    Ok(())
}
