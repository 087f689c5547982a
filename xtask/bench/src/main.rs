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
    report::{Places, REPORT, Report, STORED},
    rounds::{self, program::PROGRAM},
    wire,
};

const USAGE: &str = "\
Usage: cargo xtask bench [wire|frames|intent|layers|ledger|pick|cache|gateway|instructions]... [--quick] [--store]
  --quick  measures everything for a moment, which shows that it runs
  --store  has later runs compared with this one, which has to be whole
";

/// What a run is to do.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    sections: Vec<Section>,
    effort: Effort,
    places: Places,
}

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
        arguments => match understood(arguments) {
            Some(run) => measure(&run),
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

/// What is to be done. `None` when that was not understood.
fn understood(arguments: &[&str]) -> Option<Run> {
    let mut run = Run { sections: Vec::new(), effort: Effort::Full, places: Places::default() };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--quick" => run.effort = Effort::Quick,
            "--store" => run.places.stores = true,
            REPORT => run.places.folder = arguments.next()?.into(),
            STORED => run.places.stored = arguments.next()?.into(),
            name => run.sections.push(SECTIONS.iter().find(|(section, _)| *section == name)?.1),
        }
    }
    let is_whole = run.sections.is_empty();
    if is_whole {
        run.sections = SECTIONS.map(|(_, section)| section).to_vec();
    }
    // What is stored is what others are compared with: all of it, and measured in earnest.
    (!run.places.stores || is_whole && run.effort == Effort::Full).then_some(run)
}

fn measure(Run { sections, effort, places }: &Run) -> Result<(), Failure> {
    // One thread: what makes the load is not to take more of the machine than it needs.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    for section in sections {
        let (effort, report) = (*effort, &mut report);
        match section {
            Section::Wire => wire::run(effort, report)?,
            Section::Frames => frames::run(effort, report)?,
            Section::Intent => intent::run(effort, report)?,
            Section::Layers => layers::run(effort, report)?,
            Section::Ledger => ledger::run(effort, report)?,
            Section::Pick => pick::run(effort, report)?,
            Section::Cache => cache::run(effort, report)?,
            Section::Gateway => runtime.block_on(gateway::run(effort, report))?,
            Section::Instructions => runtime.block_on(instructions::run(effort, report))?,
        }
    }
    report.finish(*effort, places)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        let all = SECTIONS.map(|(_, section)| section).to_vec();
        let run = |arguments: &[&str]| understood(arguments).map(|run| (run.sections, run.effort));
        assert_eq!(run(&[]), Some((all.clone(), Effort::Full)));
        assert_eq!(run(&["--quick"]), Some((all, Effort::Quick)));
        assert_eq!(run(&["gateway", "--quick"]), Some((vec![Section::Gateway], Effort::Quick)));
        assert_eq!(run(&["gatewy"]), None);
    }

    #[test]
    fn what_was_measured_in_part_or_for_a_moment_is_not_stored() {
        assert!(understood(&["--store"]).is_some_and(|run| run.places.stores));
        assert_eq!(understood(&["--store", "--quick"]), None);
        assert_eq!(understood(&["--store", "gateway"]), None);
    }

    #[test]
    fn a_report_goes_where_it_is_told_to() {
        let run = understood(&[REPORT, "here", STORED, "there.json"]).unwrap();
        assert_eq!(run.places, Places { folder: "here".into(), stored: "there.json".into(), stores: false });
        assert_eq!(understood(&[REPORT]), None);
    }
}
