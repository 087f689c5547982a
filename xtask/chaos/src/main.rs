//! `cargo xtask chaos`: runs the worlds of many seeds, and makes the first that breaks small.

use std::{
    collections::BTreeMap,
    env,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use xtask_chaos::{Outcome, Violation, World, make, run, shrink};

const USAGE: &str = "Usage: cargo xtask chaos [--seed N] [--cases N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some((seed, cases)) = options(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if hunt(seed, cases) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(arguments: &[String]) -> Option<(u64, u64)> {
    let (mut seed, mut cases) = (1, 20_000);
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--seed" => seed = value.parse().ok()?,
            "--cases" => cases = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((seed, cases))
}

/// Runs the worlds of these seeds on all processors. False if one broke.
fn hunt(seed: u64, cases: u64) -> bool {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let (attempts, most_polls) = (AtomicU64::new(0), AtomicU64::new(0));
    let (found, ends) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::<&str, u64>::new()));
    let is_enough = || found.lock().is_ok_and(|found: std::sync::MutexGuard<'_, Vec<_>>| found.len() >= 20);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Relaxed);
                    if at >= cases || is_enough() {
                        return;
                    }
                    let outcome = run(&make(seed.wrapping_add(at)));
                    attempts.fetch_add(outcome.attempts as u64, Relaxed);
                    most_polls.fetch_max(outcome.most_polls.into(), Relaxed);
                    if let Ok(mut ends) = ends.lock() {
                        outcome.ends.iter().for_each(|(end, calls)| *ends.entry(end).or_default() += calls);
                    }
                    if let Some(violation) = outcome.violations.into_iter().next()
                        && let Ok(mut found) = found.lock()
                    {
                        found.push((seed.wrapping_add(at), violation));
                    }
                }
            });
        }
    });
    let elapsed = begun.elapsed();
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|(seed, _)| *seed);
    let ran = next.into_inner().min(cases);
    println!(
        "{ran} worlds from seed {seed}, {} calls to providers, at most {} polls at one instant; {:.0} worlds a minute",
        attempts.into_inner(),
        most_polls.into_inner(),
        ran as f64 * 60.0 / elapsed.as_secs_f64(),
    );
    let ends = ends.into_inner().unwrap_or_default();
    println!("Calls by their ends: {ends:?}");
    let mut kinds = Vec::new();
    for (seed, violation) in &found {
        println!("`cargo xtask chaos --seed {seed} --cases 1` breaks {violation}");
        if !kinds.contains(&violation.invariant) {
            kinds.push(violation.invariant);
            explain(&make(*seed), violation);
        }
    }
    found.is_empty()
}

/// Prints the smallest world that breaks the same.
fn explain(world: &World, violation: &Violation) {
    let same = |outcome: Outcome| outcome.violations.into_iter().find(|found| found.invariant == violation.invariant);
    let small = shrink(world, |world| same(run(world)).is_some());
    let seen = same(run(&small)).map_or_else(|| "nothing, when it is run again".to_owned(), |found| found.to_string());
    println!("The smallest world that does, for a file of xtask/chaos/kept, where one sees {seen}\n\n{small}");
}
