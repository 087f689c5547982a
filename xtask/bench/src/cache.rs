//! What a cache takes: keys, hits, what it adds where nothing is kept, and what one more reader of a call costs.
//!
//! The key and the look into the store are measured together, too, because a hit cannot do without either. There are many
//! entries, and callers ask for ten thousand of them by turns, so that what is looked up is seldom in the processor's cache;
//! the prompt is, as that of a request which has just been read. Beside ours stand moka alone, which our store is made of,
//! and in the peers' program the cache layer of tower-resilience. That one is asked with the prompt as the key, and keeps
//! what can be cloned: whole answers, with no look at how they ended. It has no streams, and nobody joins a call.

pub mod calls;
pub mod lockstep;
pub mod own;

use crate::{
    Failure,
    effort::Effort,
    figure::{Figure, Unit},
    layers::{BARE, RATIO, echo::Answer},
    report::Report,
    rounds::measured::{Limits, Measured, MeasuredCase, Rows, measure},
    table::Table,
};

/// The name under which this is measured, here and by the peers.
pub const CACHE: &str = "cache";

/// How many entries there are where something is looked up.
pub const ENTRIES: usize = 100_000;

/// The kind of the cases that make keys.
pub const KEY: &str = "key";

/// The kind of the cases that find what is kept.
pub const HIT: &str = "hit";

/// The kind of the cases of one reader and of two.
pub const JOIN: &str = "join";

/// At most so many times what the key and the look into the store take.
const OF_KEY_AND_GET: f64 = 1.3;

/// At most so many nanoseconds for a hit, and for a look into moka.
const HIT_NANOSECONDS: f64 = 5_000.0;
const MOKA_NANOSECONDS: f64 = 1_300.0;

/// At most so many nanoseconds and allocations for all five layers of a call whose answer is kept, the key not counted.
const FIVE_NANOSECONDS: f64 = 2_000.0;
const FIVE_ALLOCATIONS: f64 = 8.0;

/// Prints what a cache takes.
pub fn run(effort: Effort, report: &mut Report) -> Result<(), Failure> {
    let programs = measure(CACHE, effort, report)?;
    let mut tables = vec![keys(&programs, report), hits(&programs, report)];
    tables.extend([Answer::Whole, Answer::Stream].map(|answer| misses(answer, &programs, report)));
    tables.push(joins(&programs, report));
    tables.push(frames(report)?);
    tables.into_iter().for_each(|table| report.print(table));
    Ok(())
}

fn of_kind<'m>(measured: &'m Measured, kind: &str) -> impl Iterator<Item = &'m MeasuredCase> {
    measured.cases.iter().filter(move |case| case.kind == kind)
}

fn keys(programs: &[Measured], report: &mut Report) -> Table {
    let mut rows = Rows::new("Cache: what it takes to make a key", "of what", [CACHE, KEY]);
    for case in programs.iter().flat_map(|measured| of_kind(measured, KEY)) {
        rows.add(report, case, Limits::default());
    }
    rows.table()
}

fn hits(programs: &[Measured], report: &mut Report) -> Table {
    let heading = format!("Cache: what it takes to find one of {ENTRIES} answers, to a prompt of 1 KB");
    let mut rows = Rows::new(heading, "what", [CACHE, HIT]);
    let cases = || programs.iter().flat_map(|measured| of_kind(measured, HIT));
    let least = cases().find(|case| case.name == own::KEY_AND_GET).map(|case| case.figures().alone.median);
    for case in cases() {
        match case.name.as_str() {
            own::MOKA => {
                rows.add(report, case, Limits { nanoseconds: Some(MOKA_NANOSECONDS), ..Limits::default() });
            }
            own::HIT_WHOLE => {
                let limits = Limits { nanoseconds: Some(HIT_NANOSECONDS), ratio: Some(RATIO), ..Limits::default() };
                rows.add(report, case, limits);
                let times = case.figures().alone.median / least.unwrap_or(f64::NAN);
                let times = Figure::new(&[CACHE, HIT, own::HIT_WHOLE, "of key and get"], Unit::Times, times);
                let shown = times.unit.show(times.value);
                let verdict = report.note(times.over(own::KEY_AND_GET).at_most(OF_KEY_AND_GET));
                rows.also(&format!("{shown} of key and get, {verdict}"));
            }
            _ => rows.add(report, case, Limits::default()),
        }
    }
    rows.table()
}

fn misses(answer: Answer, programs: &[Measured], report: &mut Report) -> Table {
    let heading = match answer {
        Answer::Whole => "Cache: what a call with a whole answer costs, and what a cache adds where nothing is kept",
        _ => "Cache: what a call with a stream costs, and what a cache adds where nothing is kept",
    };
    let mut rows = Rows::new(heading, "cache", [CACHE, answer.name()]);
    let key = programs.iter().flat_map(|measured| of_kind(measured, KEY)).next().map(MeasuredCase::figures);
    for (program, measured) in programs.iter().enumerate() {
        let Some(bare) = of_kind(measured, answer.name()).find(|case| case.name == BARE) else { continue };
        if program == 0 {
            rows.add(report, bare, Limits::default());
        }
        for case in of_kind(measured, answer.name()).filter(|case| case.name != BARE) {
            rows.add_over(report, case, bare, Limits::default());
            let is_five = case.name == own::FIVE;
            if let Some(key) = key.as_ref().filter(|_| is_five && answer == Answer::Whole) {
                let own = case.figures_over(bare);
                let path = [CACHE, answer.name(), &case.name, "without the key"];
                let time = Figure::new(&path, Unit::Nanoseconds, own.alone.median - key.alone.median);
                let allocations = Figure::new(&path, Unit::Allocations, own.allocations - key.allocations);
                for figure in [time.at_most(FIVE_NANOSECONDS), allocations.at_most(FIVE_ALLOCATIONS)] {
                    let shown = figure.unit.show(figure.value);
                    rows.also(&format!("{shown} without the key, {}", report.note(figure.over(BARE))));
                }
            }
        }
    }
    rows.table()
}

fn joins(programs: &[Measured], report: &mut Report) -> Table {
    let heading = "Cache: what a call costs that is late, and what one who joins it adds";
    let mut rows = Rows::new(heading, "answer", [CACHE, JOIN]);
    for measured in programs {
        let cases: Vec<_> = of_kind(measured, JOIN).collect();
        for pair in cases.chunks_exact(2) {
            rows.add(report, pair[0], Limits::default());
            rows.add_over(report, pair[1], pair[0], Limits::default());
        }
    }
    rows.table()
}

/// A frame without content waits for the first one with.
fn frames(report: &mut Report) -> Result<Table, Failure> {
    let (frames, at_once) = lockstep::count()?;
    let heading = "Cache: frames of a stream that is recorded, and how many are handed on before the next one comes";
    let mut table = Table::new(heading, ["reader", "frames", "at once", "held, but for what has no content", "target"]);
    for (reader, at_once) in ["who called", "who joined"].into_iter().zip(at_once) {
        let held = frames - at_once - 1;
        let figure = Figure::new(&[CACHE, "held frames", reader], Unit::Events, held as f64).at_most(0.0);
        let cells = [frames, at_once, held].map(|number| number.to_string());
        table.row([reader.to_owned()].into_iter().chain(cells).chain([report.note(figure)]).collect());
    }
    Ok(table)
}
