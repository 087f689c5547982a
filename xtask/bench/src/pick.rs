//! What it costs to choose one of many targets: each strategy of the router, beside what tower and tower-resilience have.
//!
//! Ours choose and do nothing else. The services of others cannot be asked what they would choose, so what is measured
//! of them is `poll_ready` and a call to services that are ready and answer at once.

use std::{env, hint::black_box, path::Path, process::Command, time::Duration};

use llm_core::{LlmRequest, PicoUsd, Price, Random, Target, catalog::Catalog};
use llm_router::{Asked, Candidate, Choice, CostShare, InFlight, Strategy};
use tokio::time::Instant;

use crate::{
    Failure,
    effort::Effort,
    operation::{Allocated, Operation},
    rounds::measured,
    table::{Table, verdict},
};

/// The name under which this is measured, here and by the peers.
pub const PICK: &str = "pick";

/// How many targets there are to choose from.
pub const SIZES: [usize; 2] = [8, 100];

/// At most so many nanoseconds for the strategies that look at the load.
const NANOSECONDS: f64 = 60.0;

/// Prints what a choice costs.
pub fn run(effort: Effort) -> Result<(), Failure> {
    let own = env::current_exe()?;
    let columns = ["strategy", "ns, of 8", "ns, of 100", "allocations", "target"];
    let mut table = Table::new("Pick: what it costs to choose one of several targets", columns);
    let measured = operations().into_iter().map(|mut operation| {
        let nanoseconds = operation.nanoseconds(effort)?;
        Ok((operation.name, nanoseconds))
    });
    let allocated = Allocated::counted_by(&own.with_file_name("xtask-bench-counting"), &[PICK])?;
    rows(&mut table, measured.collect::<Result<_, Failure>>()?, &allocated);
    if let Some([peers, counting]) = measured::peers()? {
        rows(&mut table, nanoseconds_of(&peers, effort)?, &Allocated::counted_by(&counting, &[PICK])?);
    }
    println!("{table}");
    Ok(())
}

/// A row for each that was measured with all sizes.
fn rows(table: &mut Table, measured: Vec<(String, f64)>, allocated: &[Allocated]) {
    for (measured, allocated) in measured.chunks(SIZES.len()).zip(allocated.chunks(SIZES.len())) {
        let (name, nanoseconds) = &measured[0];
        let allocations = allocated.iter().map(|allocated| allocated.times).max().unwrap_or_default();
        let mut cells = vec![name.clone()];
        cells.extend(measured.iter().map(|(_, nanoseconds)| format!("{nanoseconds:.0}")));
        cells.push(allocations.to_string());
        let is_by_load = [Strategy::LeastLoaded, Strategy::PowerOfTwo].iter().any(|own| *name == shown(*own));
        cells.push(if is_by_load { verdict(*nanoseconds, NANOSECONDS, " ns of 8") } else { String::new() });
        table.row(cells);
    }
}

/// What a program prints that measures its own: a name, a tab and nanoseconds, a line for each.
fn nanoseconds_of(program: &Path, effort: Effort) -> Result<Vec<(String, f64)>, Failure> {
    let output = Command::new(program).args([PICK, effort.name()]).output()?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr)).into());
    }
    let line = |line: &str| -> Result<(String, f64), Failure> {
        let (name, nanoseconds) = line.split_once('\t').ok_or("the peers printed something odd")?;
        Ok((name.to_owned(), nanoseconds.parse()?))
    };
    String::from_utf8(output.stdout)?.lines().map(line).collect()
}

/// Prints what the operations of another program take, as it is read here.
pub fn print_nanoseconds(operations: Vec<Operation>, effort: Effort) -> Result<(), Failure> {
    for mut operation in operations {
        let nanoseconds = operation.nanoseconds(effort)?;
        println!("{}\t{nanoseconds}", operation.name);
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
