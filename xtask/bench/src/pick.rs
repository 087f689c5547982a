//! What it costs to choose one of many targets: each strategy of the router, beside what tower and tower-resilience have.
//!
//! Ours choose and do nothing else. The services of others cannot be asked what they would choose, so what is measured
//! of them is `poll_ready` and a call to services that are ready and answer at once.

use std::{hint::black_box, path::Path, process::Command, time::Duration};

use llm_core::{LlmRequest, PicoUsd, Price, Random, Target, catalog::Catalog};
use llm_router::{Asked, Candidate, Choice, CostShare, InFlight, Strategy};
use tokio::time::Instant;

use crate::{
    Failure,
    effort::{Effort, Rounds},
    operation::{self, Allocated, Operation},
    report::Report,
    rounds::measured,
    table::Table,
};

/// The name under which this is measured, here and by the peers.
pub const PICK: &str = "pick";

/// How many targets there are to choose from.
pub const SIZES: [usize; 2] = [8, 100];

/// At most so many nanoseconds for the strategies that look at the load.
const NANOSECONDS: f64 = 60.0;

/// Prints what a choice costs.
pub fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let columns = ["strategy", "ns, of 8", "ns, of 100", "allocations", "target"];
    let mut table = Table::new("Pick: what it costs to choose one of several targets", columns);
    let measured = operations().into_iter().map(|mut operation| {
        let nanoseconds = operation.nanoseconds(effort)?;
        Ok((operation.name, nanoseconds))
    });
    rows(&mut table, measured.collect::<Result<_, Failure>>()?, &operation::count(&[PICK])?, report);
    if let Some([peers, counting]) = measured::peers(report)? {
        rows(&mut table, nanoseconds_of(&peers, effort)?, &Allocated::counted_by(&counting, &[PICK])?, report);
    }
    report.print(table);
    Ok(())
}

/// A row for each that was measured with all sizes.
fn rows(table: &mut Table, measured: Vec<(String, Rounds)>, allocated: &[Allocated], report: &mut Report) {
    for (measured, allocated) in measured.chunks(SIZES.len()).zip(allocated.chunks(SIZES.len())) {
        let name = &measured[0].0;
        let mut cells = vec![name.clone()];
        let mut verdicts = String::new();
        for ((size, (_, rounds)), allocated) in SIZES.into_iter().zip(measured).zip(allocated) {
            let [time, allocations] = operation::figures(PICK, &format!("{name}, of {size}"), *rounds, allocated.times);
            let is_by_load = [Strategy::LeastLoaded, Strategy::PowerOfTwo].iter().any(|own| *name == shown(*own));
            verdicts += &report.note(time.at_most((is_by_load && size == SIZES[0]).then_some(NANOSECONDS)));
            report.note(allocations);
            cells.push(format!("{:.0}", rounds.median));
        }
        let allocations = allocated.iter().map(|allocated| allocated.times).max().unwrap_or_default();
        cells.extend([allocations.to_string(), verdicts]);
        table.row(cells);
    }
}

/// What a program prints that measures its own: a name, a tab and nanoseconds as JSON, a line for each.
fn nanoseconds_of(program: &Path, effort: Effort) -> Result<Vec<(String, Rounds)>, Failure> {
    let output = Command::new(program).args([PICK, effort.name()]).output()?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr)).into());
    }
    let line = |line: &str| -> Result<(String, Rounds), Failure> {
        let (name, nanoseconds) = line.split_once('\t').ok_or("the peers printed something odd")?;
        Ok((name.to_owned(), serde_json::from_str(nanoseconds)?))
    };
    String::from_utf8(output.stdout)?.lines().map(line).collect()
}

/// Prints what the operations of another program take, as it is read here.
pub fn print_nanoseconds(operations: Vec<Operation>, effort: Effort) -> Result<(), Failure> {
    for mut operation in operations {
        let nanoseconds = operation.nanoseconds(effort)?;
        println!("{}\t{}", operation.name, serde_json::to_string(&nanoseconds)?);
    }
    Ok(())
}

/// Every strategy, each with all sizes.
pub fn operations() -> Vec<Operation> {
    let strategies = [
        Strategy::Ordered,
        Strategy::Weighted,
        Strategy::LeastLoaded,
        Strategy::PowerOfTwo,
        Strategy::Fastest,
        Strategy::Cheapest,
        Strategy::Blend(CostShare::new(0.5).expect("a half is a share")),
        Strategy::Affinity,
    ];
    strategies.into_iter().flat_map(|strategy| SIZES.map(|size| operation(strategy, size))).collect()
}

fn shown(strategy: Strategy) -> String {
    format!("llm-router, {strategy:?}")
}

fn operation(strategy: Strategy, size: usize) -> Operation {
    // Choices borrow their candidates. These live as long as the program, of which there is little.
    let candidates: &'static [Candidate] = Box::leak((0..size).map(candidate).collect::<Box<[_]>>());
    let choices: Vec<Choice<'_>> = candidates.iter().map(|candidate| Choice { candidate, weight: 1.0 }).collect();
    let under_way: Vec<InFlight> =
        candidates.iter().enumerate().flat_map(|(at, candidate)| busy(at, candidate)).collect();
    let rank = strategy.rank();
    let request = LlmRequest::chat("fast").system("Be brief.").user("Why is the sky blue?").stream().build();
    let (now, random) = (Instant::now(), Random::default());
    Operation::new(shown(strategy), size, move || {
        black_box(&under_way);
        black_box(rank.pick(&Asked { request: &request, now, random: &random }, &choices));
    })
}

/// A target with a price, of which everything is known.
fn candidate(at: usize) -> Candidate {
    let price = Price::new(PicoUsd(1_000_000 + at as u64), PicoUsd(4_000_000 - at as u64));
    let known = Catalog::builtin().get(None, "gpt-4o-mini").expect("it is in the built-in table");
    let candidate = Candidate::new(Target::new(format!("provider-{at}"), "gpt-4o-mini"));
    let candidate = candidate.facts(llm_core::catalog::Model { price: Some(price), ..known.clone() });
    let now = Instant::now();
    for _ in 0..10 {
        let began = now - Duration::from_millis(1_000 + at as u64);
        let mut call = candidate.begin(true, began);
        call.content_came(began + Duration::from_millis(300));
        call.completed(100, now);
    }
    candidate
}

/// One to four calls that are under way there.
fn busy(at: usize, candidate: &Candidate) -> Vec<InFlight> {
    (0..1 + at % 4).map(|_| candidate.begin(true, Instant::now())).collect()
}
