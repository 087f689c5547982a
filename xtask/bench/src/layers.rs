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

use crate::{
    Failure,
    effort::Effort,
    figure::{Figure, Unit},
    operation,
    report::Report,
    rounds::measured::{Limits, Measured, MeasuredCase, Rows, measure},
    table::Table,
    tenants::{self, Tenants},
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
    // Said of five layers that are like these; with the cache among them they are measured beside it.
    limit(own::ALL, Some(2_000.0), 8.0, 6.0),
];

/// Prints what each layer adds.
pub fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let programs = measure(LAYERS, effort, report)?;
    for answer in Answer::ALL {
        let table = table(answer, &programs, report);
        report.print(table);
    }
    let table = growth(&programs[0], report);
    report.print(table);
    let counted = operation::count(&[MEMORY, effort.name()])?;
    let table = memory::table(effort, &counted, report);
    report.print(table);
    Ok(())
}

fn table(answer: Answer, programs: &[Measured], report: &mut Report) -> Table {
    let heading = match answer {
        Answer::Whole => "Layers: what a call with a whole answer costs, and what each adds".to_owned(),
        Answer::Stream => format!("Layers: what a call with a stream of {FRAMES} frames costs, and what each adds"),
        Answer::Refusal => {
            "Layers: what a call costs that is refused below, and what refusing it costs more".to_owned()
        }
    };
    let mut rows = Rows::new(heading, "layer", [LAYERS, answer.name()]);
    let is_bare = |case: &&MeasuredCase| case.name == BARE && case.kind == answer.name();
    for (program, measured) in programs.iter().enumerate() {
        let bare = measured.cases.iter().find(is_bare);
        let bare = bare.expect("every program measures the bare echo for each answer it gives");
        if program == 0 {
            rows.add(report, bare, Limits::default());
        }
        for case in measured.cases.iter().filter(|case| case.kind == answer.name() && case.name != BARE) {
            rows.add_over(report, case, bare, limits(&case.name, answer));
        }
    }
    rows.table()
}

/// How much longer a call may take whose tenant is one of many: what it needs is seldom in the processor's cache.
const GROWTH: f64 = 2.0;

fn growth(measured: &Measured, report: &mut Report) -> Table {
    let heading = format!("Layers: a call for one of {} tenants, beside one for the only tenant", tenants::MANY);
    let mut table = Table::new(heading, ["layer", "times as long", "target"]);
    let case = |name: &str| measured.cases.iter().find(|case| case.kind == Answer::Whole.name() && case.name == name);
    for layer in [own::BUDGET, own::LIMIT] {
        let [many, one] = [Tenants::Many, Tenants::One].map(|tenants| case(&format!("{layer}, {}", tenants.name())));
        let (Some(bare), Some(many), Some(one)) = (case(BARE), many, one) else { continue };
        let times = many.figures_over(bare).alone.median / one.figures_over(bare).alone.median;
        let figure =
            Figure::new(&[LAYERS, "growth", layer], Unit::Times, times).over("the only tenant").at_most(GROWTH);
        table.row(vec![layer.to_owned(), figure.unit.show(times), report.note(figure)]);
    }
    table
}

/// What a layer of ours may take. The targets for time are those of whole answers.
fn limits(name: &str, answer: Answer) -> Limits {
    let of_tenants = Tenants::ALL.map(|tenants| format!(", {}", tenants.name()));
    let layer = of_tenants.iter().find_map(|tenants| name.strip_suffix(tenants.as_str())).unwrap_or(name);
    let Some(limit) = LIMITS.iter().find(|limit| limit.name == layer) else { return Limits::default() };
    match answer {
        Answer::Whole => {
            Limits { nanoseconds: limit.nanoseconds, allocations: Some(limit.allocations), ratio: Some(RATIO) }
        }
        Answer::Stream => Limits { allocations: Some(limit.allocations + limit.layers), ..Limits::default() },
        Answer::Refusal => Limits::default(),
    }
}
