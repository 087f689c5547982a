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
    layers::{BARE, RATIO, echo::Answer},
    rounds::measured::{Figures, Measured, MeasuredCase, measure},
    table::{Table, verdict},
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

/// Prints what a cache takes.
pub fn run(effort: Effort) -> Result<(), Failure> {
    let programs = measure(CACHE, effort)?;
    println!("{}", keys(&programs));
    println!("{}", hits(&programs));
    for answer in [Answer::Whole, Answer::Stream] {
        println!("{}", misses(answer, &programs));
    }
    println!("{}", joins(&programs));
    println!("{}", frames()?);
    Ok(())
}

fn table(heading: &str, what: &str) -> Table {
    let [ns, allocations, instructions, contending, ratio] = Figures::COLUMNS;
    Table::new(heading, [what, ns, allocations, instructions, contending, ratio, "target"])
}

fn row(table: &mut Table, name: &str, figures: &Figures, sign: &str, target: String) {
    let mut row = vec![name.to_owned()];
    row.extend(figures.cells(sign));
    row.push(target);
    table.row(row);
}

fn of_kind<'m>(measured: &'m Measured, kind: &str) -> impl Iterator<Item = &'m MeasuredCase> {
    measured.cases.iter().filter(move |case| case.kind == kind)
}

fn keys(programs: &[Measured]) -> Table {
    let mut table = table("Cache: what it takes to make a key", "of what");
    for case in programs.iter().flat_map(|measured| of_kind(measured, KEY)) {
        row(&mut table, &case.name, &case.figures(), "", String::new());
    }
    table
}

fn hits(programs: &[Measured]) -> Table {
    let heading = format!("Cache: what it takes to find one of {ENTRIES} answers, to a prompt of 1 KB");
    let mut table = table(&heading, "what");
    let cases = || programs.iter().flat_map(|measured| of_kind(measured, HIT));
    let least = cases().find(|case| case.name == own::KEY_AND_GET).map(|case| case.figures().alone);
    for case in cases() {
        let figures = case.figures();
        let target = match case.name.as_str() {
            own::MOKA => verdict(figures.alone, MOKA_NANOSECONDS, " ns"),
            own::HIT_WHOLE => {
                let times = figures.alone / least.unwrap_or(f64::NAN);
                let times = format!("{times:.2} of key and get, {}", verdict(times, OF_KEY_AND_GET, " ×"));
                let mut targets = vec![times, verdict(figures.alone, HIT_NANOSECONDS, " ns")];
                targets.extend(figures.ratio().map(|ratio| verdict(ratio, RATIO, " ×")));
                targets.join("; ")
            }
            _ => String::new(),
        };
        row(&mut table, &case.name, &figures, "", target);
    }
    table
}

fn misses(answer: Answer, programs: &[Measured]) -> Table {
    let heading = match answer {
        Answer::Whole => "Cache: what a call with a whole answer costs, and what a cache adds where nothing is kept",
        _ => "Cache: what a call with a stream costs, and what a cache adds where nothing is kept",
    };
    let mut table = table(heading, "cache");
    for (program, measured) in programs.iter().enumerate() {
        let Some(bare) = of_kind(measured, answer.name()).find(|case| case.name == BARE) else { continue };
        if program == 0 {
            row(&mut table, BARE, &bare.figures(), "", String::new());
        }
        for case in of_kind(measured, answer.name()).filter(|case| case.name != BARE) {
            row(&mut table, &case.name, &case.figures_over(bare), "+", String::new());
        }
    }
    table
}

fn joins(programs: &[Measured]) -> Table {
    let mut table = table("Cache: what a call costs that is late, and what one who joins it adds", "answer");
    for measured in programs {
        let cases: Vec<_> = of_kind(measured, JOIN).collect();
        for pair in cases.chunks_exact(2) {
            row(&mut table, &pair[0].name, &pair[0].figures(), "", String::new());
            row(&mut table, &pair[1].name, &pair[1].figures_over(pair[0]), "+", String::new());
        }
    }
    table
}

/// A frame without content waits for the first one with.
fn frames() -> Result<Table, Failure> {
    let (frames, at_once) = lockstep::count()?;
    let heading = "Cache: frames of a stream that is recorded, and how many are handed on before the next one comes";
    let mut table = Table::new(heading, ["reader", "frames", "at once", "target"]);
    for (reader, at_once) in ["who called", "who joined"].into_iter().zip(at_once) {
        let is_met = if at_once + 1 == frames { "met" } else { "missed" };
        let target = format!("all but what comes before the first content: {is_met}");
        table.row(vec![reader.into(), frames.to_string(), at_once.to_string(), target]);
    }
    Ok(table)
}
