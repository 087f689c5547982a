//! `cargo xtask train-intent`: trains the built-in model of `llm-classify` on prompts, prints how good it is, and writes
//! its weights.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use xtask_train_intent::{
    Failure,
    choice::Chosen,
    evaluate::{cross_validate, leave_sources_out},
    example::Example,
    prompts,
    report::report,
};

/// Where the weights lie.
const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/llm-classify/data/intent.bin");
/// Where it is stated how good they are.
const STATED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/llm-classify/INTENT.md");

/// Trains the model of intents.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask train-intent")]
struct Arguments {
    /// The prompts: a JSON Lines file with the fields prompt, label, source, licence, kind and lang.
    #[arg(long)]
    data: PathBuf,
    /// Compares with the weights and figures that are there, and writes nothing.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: train-intent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let prompts = prompts::read(&arguments.data)?;
    let examples: Vec<Example> = prompts.iter().map(Example::of).collect();
    let all: Vec<&Example> = examples.iter().collect();
    let validation = cross_validate(&prompts, &examples)?;
    let chosen = Chosen::by(&all);
    let sources = leave_sources_out(&prompts, &examples, &chosen)?;
    let report = report(&prompts, &validation, &sources, &chosen);
    print!("{report}");
    let weights = chosen.train(&all).to_bytes();
    if arguments.check {
        return check(&weights, &report);
    }
    fs::write(WEIGHTS, weights)?;
    Ok(())
}

/// Whether the weights and the stated figures are those that were found.
fn check(weights: &[u8], report: &str) -> Result<(), Failure> {
    if fs::read(WEIGHTS)? != weights {
        return Err("the weights in llm-classify/data/intent.bin are not those that these prompts give".into());
    }
    if !fs::read_to_string(STATED)?.contains(report) {
        return Err("llm-classify/INTENT.md does not state what is printed above".into());
    }
    println!("The weights that are there are these, and INTENT.md states what is printed above.");
    Ok(())
}
