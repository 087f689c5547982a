//! `cargo xtask conformance`, as far as it is about orders: runs all cases, or the one that is named.

use std::{fs, process::ExitCode};

use xtask_conformance::{
    crates, html,
    job::{Finding, Job, run_all},
    random,
    report::Report,
};

const USAGE: &str = "Usage: cargo xtask conformance [--seed N] [--cases N] [--only CASE]";

/// How many random cases there are unless it is said otherwise.
const CASES: u64 = 2_000;

#[derive(Debug, Default)]
struct Options {
    seed: u64,
    cases: Option<u64>,
    only: Option<String>,
    /// Where what the crates have shown stands.
    crates: Option<String>,
    /// Where the page goes.
    page: Option<String>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("`{value}` is not a number"));
            match name.as_str() {
                "--seed" => options.seed = number()?,
                "--cases" => options.cases = Some(number()?),
                "--only" => options.only = Some(value),
                "--crates" => options.crates = Some(value),
                "--page" => options.page = Some(value),
                _ => return Err(format!("`{name}` is not an option")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let done = Options::read(std::env::args().skip(1)).map_err(|sentence| format!("{sentence}\n{USAGE}")).and_then(
        |options| match &options.only {
            Some(name) => only(name, options.seed),
            None => all(&options),
        },
    );
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::from(2)
        }
    }
}

/// Runs one case, with its panics on the screen.
fn only(name: &str, seed: u64) -> Result<bool, String> {
    let job = Job::named(name, seed)?;
    match &job {
        Job::Random(seed, number) => println!("{:#?}", random::case(*seed, *number)),
        Job::Ending(scenario, order) => println!("{:#?}", scenario.in_order(*order)),
        Job::Law(..) => {}
    }
    let finding = job.run();
    match &finding {
        Finding::Kept => println!("{job}: ok"),
        Finding::NotApplicable(reason) => println!("{job}: does not apply: {reason}"),
        Finding::Failed(said) => println!("FAILED {job}: {said}"),
    }
    Ok(!matches!(finding, Finding::Failed(_)))
}

fn all(options: &Options) -> Result<bool, String> {
    // Laws make layers panic, thousands of times.
    std::panic::set_hook(Box::new(|_| {}));
    let cases = Job::random(options.seed, options.cases.unwrap_or(CASES));
    let jobs: Vec<Job> = Job::laws().into_iter().chain(Job::endings()).chain(cases).collect();
    println!("{} cases in every order, and at random ...", jobs.len());
    let findings = run_all(&jobs);
    let report = Report::new(jobs, findings, options.seed);
    println!("{}", report.text());
    if let Some(path) = &options.page {
        let text = options.crates.as_ref().map_or(Ok(String::new()), fs::read_to_string);
        let text = text.map_err(|error| format!("what the crates have shown could not be read: {error}"))?;
        let page = html::page(&report, &crates::read(&text));
        fs::write(path, page).map_err(|error| format!("`{path}` could not be written: {error}"))?;
        println!("written to {path}");
    }
    println!("{}", report.last_line());
    Ok(report.failures.is_empty())
}
