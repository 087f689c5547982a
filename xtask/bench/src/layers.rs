//! What each layer adds to a call: nanoseconds, allocations and instructions, and what two threads cost each other.
//!
//! Each stands alone over an echo that is ready and has its answer already, so what is measured is the layer. Beside
//! ours stand tower's own and, in a program outside the workspace (`xtask/bench/peers`), those of tower-resilience.
//! All cases take turns, round by round; each figure is the median of what a round has over the bare echo's in the
//! same round and program.

pub mod calls;
pub mod echo;
pub mod memory;
pub mod own;

use std::env;

use crate::{
    Failure,
    effort::Effort,
    operation::Allocated,
    rounds::measured::{Figures, Measured, MeasuredCase, measure},
    table::{Table, verdict},
};
use echo::{Answer, FRAMES};

/// The name under which this is measured, here and by the peers.
pub const LAYERS: &str = "layers";

/// The name under which the program that counts fills layers with targets.
pub const MEMORY: &str = "layers-memory";

/// The name of the case without a layer.
pub const BARE: &str = "bare echo";

/// At most so many times the nanoseconds when two threads call at once.
pub(crate) const RATIO: f64 = 3.0;

/// Our layers: how many nanoseconds each may take for a whole answer, and how often it may allocate. A stream may cost
/// one more.
const LIMITS: [(&str, f64, f64); 7] = [
    (own::TIMEOUT, 100.0, 1.0),
    (own::RETRY, 100.0, 0.0),
    (own::BREAKER, 100.0, 0.0),
    (own::BREAKER_BESIDE, 100.0, 0.0),
    (own::HEDGE, 100.0, 1.0),
    (own::ROUTER, 150.0, 1.0),
    (own::ROUTER_OF_THREE, 150.0, 1.0),
];

/// Prints what each layer adds.
pub fn run(effort: Effort) -> Result<(), Failure> {
    let programs = measure(LAYERS, effort)?;
    for answer in Answer::ALL {
        println!("{}", table(answer, &programs));
    }
    let counting = env::current_exe()?.with_file_name("xtask-bench-counting");
    println!("{}", memory::table(effort, &Allocated::counted_by(&counting, &[MEMORY, effort.name()])?));
    Ok(())
}

fn table(answer: Answer, programs: &[Measured]) -> Table {
    let heading = match answer {
        Answer::Whole => "Layers: what a call with a whole answer costs, and what each adds".to_owned(),
        Answer::Stream => format!("Layers: what a call with a stream of {FRAMES} frames costs, and what each adds"),
        Answer::Refusal => {
            "Layers: what a call costs that is refused below, and what refusing it costs more".to_owned()
        }
    };
    let [ns, allocations, instructions, contending, ratio] = Figures::COLUMNS;
    let mut table = Table::new(heading, ["layer", ns, allocations, instructions, contending, ratio, "target"]);
    let is_bare = |case: &&MeasuredCase| case.name == BARE && case.kind == answer.name();
    for (program, measured) in programs.iter().enumerate() {
        let bare = measured.cases.iter().find(is_bare);
        let bare = bare.expect("every program measures the bare echo for each answer it gives");
        for case in measured.cases.iter().filter(|case| case.kind == answer.name()) {
            if case.name == BARE && program > 0 {
                continue;
            }
            let (figures, sign) = if case.name == BARE { (case.figures(), "") } else { (case.figures_over(bare), "+") };
            let mut row = vec![case.name.clone()];
            row.extend(figures.cells(sign));
            row.push(targets(&case.name, answer, &figures));
            table.row(row);
        }
    }
    table
}

/// Whether a layer of ours does what it is to do. The targets for time are those of whole answers.
fn targets(name: &str, answer: Answer, figures: &Figures) -> String {
    let Some((_, nanoseconds, allocations)) = LIMITS.iter().find(|(layer, ..)| *layer == name) else {
        return String::new();
    };
    match answer {
        Answer::Whole => {
            let mut targets =
                vec![verdict(figures.alone, *nanoseconds, " ns"), verdict(figures.allocations, *allocations, "")];
            targets.extend(figures.ratio().map(|ratio| verdict(ratio, RATIO, " ×")));
            targets.join("; ")
        }
        Answer::Stream => verdict(figures.allocations, allocations + 1.0, ""),
        Answer::Refusal => String::new(),
    }
}
