//! `cargo xtask ci`: every step, whatever became of the ones before, and `test` last, so that its total ends the output.

use std::process::ExitCode;
use std::time::Instant;

use crate::step::{self, Outcome};
use crate::{chaos, clients, conformance, deny, doc, features, lint, package, test};

/// A step before the tests: its name and what runs it.
type Step = (&'static str, fn() -> Outcome);

const STEPS: [Step; 8] = [
    ("lint", lint::run),
    ("doc", doc::run),
    ("features", features::run),
    ("package", package::run),
    ("deny", deny::run),
    ("conformance", || conformance::run(&[])),
    ("chaos", chaos::run),
    ("clients", clients::run),
];

/// Runs everything and returns failure if anything failed.
pub(crate) fn run() -> ExitCode {
    let mut report = Vec::new();
    let mut all_passed = true;
    for (name, step) in STEPS {
        let started = Instant::now();
        let outcome = step::timed(name, step);
        let took = step::minutes_and_seconds(started.elapsed());
        let (result, sentences) = match outcome {
            Ok(done) => ("ok", done.not_checked),
            Err(sentence) => ("FAILED", vec![sentence]),
        };
        all_passed &= result == "ok";
        report.push(format!("{name:<12} {result:<7} {took:>12}"));
        report.extend(sentences.iter().map(|sentence| format!("             {sentence}")));
    }

    let started = Instant::now();
    println!("== test");
    let total = test::run_all();
    let took = step::minutes_and_seconds(started.elapsed());
    let result = if total.failed == 0 { "ok" } else { "FAILED" };
    report.push(format!("{:<12} {result:<7} {took:>12}", "test"));

    println!("\n== summary");
    for line in report {
        println!("{line}");
    }
    println!("\n{total}");
    if all_passed && total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
