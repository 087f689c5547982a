//! The load score among others: how long callers wait for the first content, and how many calls a target gets that has
//! become slow or fails.
//!
//! Calls come at random moments (a Poisson process), all of them streams. The router's rules are its own, over its own
//! candidates, and see no time but the simulated one.

mod rule;
mod targets;

use std::{fmt::Write, ops::Range};

use tokio::runtime::Builder;

use self::{
    rule::{RULES, Rule},
    targets::{Condition, Made, Scene, play},
};
use crate::quantile::quantile_of_times;

/// Eight targets, two of which are always slower.
const TARGETS: [Condition; 8] = {
    let mut targets = EQUAL;
    targets[6] = Condition::Answers { slowness: 2.0 };
    targets[7] = Condition::Answers { slowness: 4.0 };
    targets
};

/// Eight equal ones.
const EQUAL: [Condition; 8] = [HEALTHY; 8];
const HEALTHY: Condition = Condition::Answers { slowness: 1.0 };

/// Calls that come, as a share of those that the targets can answer.
const LOADS: [f64; 3] = [0.6, 0.8, 0.9];

/// How long waits are looked at, and from when on, in seconds.
const WAITS: Range<f64> = 1_000.0..20_000.0;

/// Nobody waits so many seconds, but where more calls come than are answered.
const ENDLESS: f64 = 1_000.0;

/// What becomes of the first of the equal targets, and when, in seconds.
const INCIDENTS: [Condition; 2] = [Condition::Answers { slowness: 10.0 }, Condition::Fails];
const INCIDENT: Range<usize> = 300..900;
const END: usize = 1_500;

/// With these loads, and how often.
const BUSY_AND_LIGHT: [(f64, u64); 2] = [(0.6, 20), (0.05, 100)];

/// Calls are counted in steps of so many seconds, and looked at by the minute.
const STEP: usize = 10;
const MINUTE: usize = 60 / STEP;

/// Both comparisons as Markdown tables.
pub fn load_score() -> String {
    let clock = Builder::new_current_thread().enable_time().start_paused(true).build();
    let clock = clock.expect("a runtime without sockets and threads needs nothing");
    let _paused = clock.enter();
    format!("{}\n{}", waits(), incidents())
}

fn waits() -> String {
    let mut table = String::from(
        "| rule | load | first content, median | 95 % | 99 % | whole answer, 95 % |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for rule in RULES.iter().filter(|rule| rule.looks_at_load) {
        for (row, load) in LOADS.into_iter().enumerate() {
            let scene = Scene { targets: &TARGETS, changes: &[], load, seconds: WAITS.end, seed: 1 };
            let made = play(&scene, &mut *(rule.new)(TARGETS.len()));
            let made = || made.iter().filter(|made| made.at >= WAITS.start);
            let mut first_content: Vec<f64> = made().filter_map(|made| made.first_content).collect();
            let [median, p95, p99] = [50, 95, 99].map(|percent| quantile_of_times(&mut first_content, percent));
            let mut whole: Vec<f64> = made().filter_map(|made| made.whole).collect();
            let whole = quantile_of_times(&mut whole, 95);
            let name = if row == 0 { rule.name } else { "" };
            write!(table, "| {name} | {load} | {median:.2} |").expect("a string takes everything");
            for (seconds, places) in [(p95, 1), (p99, 1), (whole, 0)] {
                if seconds < ENDLESS {
                    write!(table, " {seconds:.places$} |").expect("a string takes everything");
                } else {
                    table.push_str(" grows |");
                }
            }
            table.push('\n');
        }
    }
    table
}

fn incidents() -> String {
    let mut table = String::from(
        "| rule | load | ten times as slow: its calls | 90 % lost | has them again | failing: its calls | 90 % lost \
         | has them again |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for rule in &RULES {
        // What sends all calls to the best has no use for more than one target when there are many.
        let loads = if rule.looks_at_load { &BUSY_AND_LIGHT[..] } else { &BUSY_AND_LIGHT[1..] };
        for (row, (load, times)) in loads.iter().copied().enumerate() {
            let name = if row == 0 { rule.name } else { "" };
            write!(table, "| {name} | {load} |").expect("a string takes everything");
            for condition in INCIDENTS {
                let counts = Counts::of_incidents(rule, condition, load, times);
                let after = |seconds: Option<usize>| seconds.map_or("never".into(), |seconds| format!("{seconds} s"));
                let [lost, again] = [counts.lost(), counts.again()].map(after);
                let during = counts.share(INCIDENT.start / STEP..INCIDENT.end / STEP) * 100.0;
                let places = if during < 10.0 { 1 } else { 0 };
                write!(table, " {during:.places$} % | {lost} | {again} |").expect("a string takes everything");
            }
            table.push('\n');
        }
    }
    table
}

/// How many calls the target got to which something happens, and how many all did, in each step of time.
struct Counts {
    own: [u32; END / STEP],
    all: [u32; END / STEP],
}

impl Counts {
    fn of_incidents(rule: &Rule, condition: Condition, load: f64, times: u64) -> Self {
        let mut counts = Self { own: [0; END / STEP], all: [0; END / STEP] };
        let changes = [(INCIDENT.start as f64, condition), (INCIDENT.end as f64, HEALTHY)];
        for seed in 0..times {
            let scene = Scene { targets: &EQUAL, changes: &changes, load, seconds: END as f64, seed };
            for Made { at, target, .. } in play(&scene, &mut *(rule.new)(EQUAL.len())) {
                let step = at as usize / STEP;
                counts.all[step] += 1;
                counts.own[step] += u32::from(target == 0);
            }
        }
        counts
    }

    /// The calls it got, as a share of those that were due to it.
    fn share(&self, steps: Range<usize>) -> f64 {
        let sum = |counts: &[u32]| f64::from(counts[steps.clone()].iter().sum::<u32>());
        sum(&self.own) / sum(&self.all) * EQUAL.len() as f64
    }

    /// After how many seconds of the incident there was a minute with less than a tenth of its calls.
    fn lost(&self) -> Option<usize> {
        let (start, end) = (INCIDENT.start / STEP, INCIDENT.end / STEP);
        let lost = (start..=end - MINUTE).find(|step| self.share(*step..step + MINUTE) < 0.1)?;
        Some((lost - start) * STEP)
    }

    /// How many seconds after the incident a minute began with at least four fifths of its calls.
    fn again(&self) -> Option<usize> {
        let (end, last) = (INCIDENT.end / STEP, END / STEP);
        let again = (end..=last - MINUTE).find(|step| self.share(*step..step + MINUTE) >= 0.8)?;
        Some((again - end) * STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_what_counts() {
        let mut counts = Counts { own: [10; END / STEP], all: [80; END / STEP] };
        assert!((counts.share(0..END / STEP) - 1.0).abs() < 1e-9);
        assert_eq!((counts.lost(), counts.again()), (None, Some(0)));
        // A step with hardly any is not yet a minute.
        counts.own[INCIDENT.start / STEP] = 0;
        assert_eq!(counts.lost(), None);
        let (from, to) = (INCIDENT.start / STEP + 2, INCIDENT.end / STEP + 3);
        counts.own[from..to].fill(0);
        assert_eq!((counts.lost(), counts.again()), (Some(20), Some(20)), "one step of six may be missing");
    }
}
