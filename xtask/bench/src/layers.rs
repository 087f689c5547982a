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
    tenants::Tenants,
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

/// What a layer of ours may take.
struct Limit {
    name: &'static str,
    /// Nanoseconds for a whole answer, where that is stated.
    nanoseconds: Option<f64>,
    /// Allocations for a whole answer.
    allocations: f64,
    /// How many layers it is, each of which may allocate once more for a stream.
    layers: f64,
}

const fn limit(name: &'static str, nanoseconds: Option<f64>, allocations: f64, layers: f64) -> Limit {
    Limit { name, nanoseconds, allocations, layers }
}

const LIMITS: [Limit; 11] = [
    limit(own::TIMEOUT, Some(100.0), 1.0, 1.0),
    limit(own::RETRY, Some(100.0), 0.0, 1.0),
    limit(own::BREAKER, Some(100.0), 0.0, 1.0),
    limit(own::BREAKER_BESIDE, Some(100.0), 0.0, 1.0),
    limit(own::HEDGE, Some(100.0), 1.0, 1.0),
    limit(own::ROUTER, Some(150.0), 1.0, 1.0),
    limit(own::ROUTER_OF_THREE, Some(150.0), 1.0, 1.0),
    limit(own::BUDGET, None, 1.0, 1.0),
    limit(own::METERED, None, 1.0, 1.0),
    limit(own::LIMIT, None, 1.0, 1.0),
    // Said of five layers that are like these.
    limit(own::ALL, Some(2_000.0), 8.0, 6.0),
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
    let of_tenants = Tenants::ALL.map(|tenants| format!(", {}", tenants.name()));
    let layer = of_tenants.iter().find_map(|tenants| name.strip_suffix(tenants.as_str())).unwrap_or(name);
    let Some(limit) = LIMITS.iter().find(|limit| limit.name == layer) else { return String::new() };
    match answer {
        Answer::Whole => {
            let time = limit.nanoseconds.map(|nanoseconds| verdict(figures.alone, nanoseconds, " ns"));
            let ratio = figures.ratio().map(|ratio| verdict(ratio, RATIO, " ×"));
            let allocations = verdict(figures.allocations, limit.allocations, "");
            time.into_iter().chain([allocations]).chain(ratio).collect::<Vec<_>>().join("; ")
        }
        Answer::Stream => verdict(figures.allocations, limit.allocations + limit.layers, ""),
        Answer::Refusal => String::new(),
    }
}
