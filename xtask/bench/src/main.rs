//! `cargo xtask bench`: figures of the wire formats, of the layers and of the gateway, each beside its target.

use std::{env, process::ExitCode};

use tokio::runtime::Builder;
use xtask_bench::{
    Failure,
    cache::{self, CACHE},
    effort::Effort,
    frames, gateway, instructions, intent,
    layers::{self, LAYERS},
    ledger::{self, LEDGER},
    peer::{self, ORIGIN, PASS_THROUGH},
    pick::{self, PICK},
    rounds::{self, program::PROGRAM},
    wire,
};

const USAGE: &str =
    "Usage: cargo xtask bench [wire|frames|intent|layers|ledger|pick|cache|gateway|instructions]... [--quick]\n";

/// What can be measured, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Wire,
    Frames,
    Intent,
    Layers,
    Ledger,
    Pick,
    Cache,
    Gateway,
    Instructions,
}

const SECTIONS: [(&str, Section); 9] = [
    ("wire", Section::Wire),
    ("frames", Section::Frames),
    ("intent", Section::Intent),
    (LAYERS, Section::Layers),
    (LEDGER, Section::Ledger),
    (PICK, Section::Pick),
    (CACHE, Section::Cache),
    ("gateway", Section::Gateway),
    ("instructions", Section::Instructions),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [ORIGIN] => peer::run_origin(),
        [PASS_THROUGH, origin] => peer::run_pass_through(origin),
        [PROGRAM, LAYERS, arguments @ ..] => rounds::program::run(&layers::own::cases(), arguments),
        [PROGRAM, LEDGER, arguments @ ..] => rounds::program::run(&ledger::own::cases(), arguments),
        [PROGRAM, CACHE, arguments @ ..] => rounds::program::run(&cache::own::cases(), arguments),
        arguments => match selection(arguments) {
            Some((sections, effort)) => measure(&sections, effort),
            None => {
                eprint!("{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What to measure, and how long. `None` when that was not understood.
fn selection(arguments: &[&str]) -> Option<(Vec<Section>, Effort)> {
    let mut effort = Effort::Full;
    let mut sections = Vec::new();
    for argument in arguments {
        if *argument == "--quick" {
            effort = Effort::Quick;
        } else {
            sections.push(SECTIONS.iter().find(|(name, _)| name == argument)?.1);
        }
    }
    if sections.is_empty() {
        sections = SECTIONS.map(|(_, section)| section).to_vec();
    }
    Some((sections, effort))
}

fn measure(sections: &[Section], effort: Effort) -> Result<(), Failure> {
    // One thread: what makes the load is not to take more of the machine than it needs.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    for section in sections {
        match section {
            Section::Wire => wire::run(effort)?,
            Section::Frames => frames::run(effort)?,
            Section::Intent => intent::run(effort)?,
            Section::Layers => layers::run(effort)?,
            Section::Ledger => ledger::run(effort)?,
            Section::Pick => pick::run(effort)?,
            Section::Cache => cache::run(effort)?,
            Section::Gateway => runtime.block_on(gateway::run(effort))?,
            Section::Instructions => runtime.block_on(instructions::run(effort))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        let all = SECTIONS.map(|(_, section)| section).to_vec();
        assert_eq!(selection(&[]), Some((all.clone(), Effort::Full)));
        assert_eq!(selection(&["--quick"]), Some((all, Effort::Quick)));
        assert_eq!(selection(&["gateway", "--quick"]), Some((vec![Section::Gateway], Effort::Quick)));
        assert_eq!(selection(&["gatewy"]), None);
    }
}
