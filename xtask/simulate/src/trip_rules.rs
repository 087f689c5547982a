//! The rules by which a circuit opens, compared: how often each opens the circuit of a healthy provider, and how many
//! calls it takes to open that of a broken one.
//!
//! Calls fail independently of each other and come at random moments (a Poisson process). Every failure is an ordinary
//! one, of weight 1. A rule that has opened begins anew with the next call.

use std::{fmt::Write, time::Duration};

use fastrand::Rng;
use llm_breaker::{Consecutive, Cusum, Judge, Rate, Sample, Weight};

use crate::quantile::quantile;

/// Calls a second.
const RATES: [f64; 3] = [0.1, 1.0, 10.0];
/// The share of failures at which a provider is healthy, in percent.
const HEALTHY: [u32; 3] = [5, 15, 20];
/// The share of failures at which it is not, in percent.
const BROKEN: [u32; 2] = [50, 100];

/// Calls in which false trips are counted, of a rule that does not look at the time.
const CALLS: u32 = 20_000_000;
/// The same for a rule that does, at each rate.
const TIMED_CALLS: u32 = 3_000_000;

/// How often a provider breaks.
const OUTAGES: usize = 1_000;
/// Calls before it does, with the lowest share of failures: more than any rule remembers.
const BEFORE: u32 = 1_000;
/// Calls after which a rule counts as one that never trips.
const MOST_CALLS: u32 = 1_000;

const SECONDS_A_DAY: f64 = 86_400.0;

/// A rule by its name in the table, and a fresh one.
struct Rule {
    name: &'static str,
    looks_at_time: bool,
    new: fn() -> Box<dyn Trips>,
}

const RULES: [Rule; 4] = [
    Rule { name: "`Cusum` (default)", looks_at_time: false, new: || Box::new(Judge::new(Cusum::default())) },
    Rule { name: "`Consecutive`, 5", looks_at_time: false, new: || Box::new(Judge::new(Consecutive::default())) },
    Rule {
        name: "`Rate`, 50 % of at least 20 in 60 s",
        looks_at_time: true,
        new: || Box::new(Judge::new(Rate::default())),
    },
    Rule {
        name: "50 % of the last 100 calls (not offered)",
        looks_at_time: false,
        new: || Box::<LastCalls>::default(),
    },
];

/// A rule at work.
trait Trips {
    /// Tells of a call; true if the circuit opens with it.
    fn trips(&mut self, failed: bool, now: Duration) -> bool;
}

impl Trips for Judge {
    fn trips(&mut self, failed: bool, now: Duration) -> bool {
        let sample = if failed { Sample::Failure(Weight::ONE) } else { Sample::Success };
        self.trips(sample, now)
    }
}

/// Half of the last hundred calls, and none before there were so many: what several libraries do by default.
#[derive(Default)]
struct LastCalls {
    /// A bit for each call, the newest lowest.
    failed: u128,
    calls: u32,
}

impl LastCalls {
    const SIZE: u32 = 100;
}

impl Trips for LastCalls {
    fn trips(&mut self, failed: bool, _: Duration) -> bool {
        let all = (1 << Self::SIZE) - 1;
        self.failed = (self.failed << 1 | u128::from(failed)) & all;
        self.calls = (self.calls + 1).min(Self::SIZE);
        let trips = failed && self.calls == Self::SIZE && self.failed.count_ones() * 2 >= Self::SIZE;
        if trips {
            *self = Self::default();
        }
        trips
    }
}

/// Calls one after the other: whether each failed, and when it ended.
struct Calls {
    random: Rng,
    mean_gap: f64,
    seconds: f64,
}

impl Calls {
    fn new(seed: u64, rate: f64) -> Self {
        Self { random: Rng::with_seed(seed), mean_gap: 1.0 / rate, seconds: 0.0 }
    }

    /// Makes a call of which `percent` fail; true if the circuit opens with it.
    fn trips(&mut self, rule: &mut dyn Trips, percent: u32) -> bool {
        let failed = self.random.u32(..100) < percent;
        rule.trips(failed, Duration::from_secs_f64(self.seconds))
    }

    /// Lets time pass until the next call.
    fn wait(&mut self) {
        self.seconds -= self.mean_gap * (1.0 - self.random.f64()).ln();
    }
}

/// The comparison as a Markdown table.
pub fn trip_rules() -> String {
    let mut table = String::from(
        "| rule | calls a second | false trips a day at 5 % | 15 % | 20 % | calls to trip at 50 % | at 100 % |\n\
         |---|--:|--:|--:|--:|--:|--:|\n",
    );
    for rule in &RULES {
        let timeless: Vec<f64> = HEALTHY.iter().map(|percent| false_trips_per_call(rule, RATES[0], *percent)).collect();
        for (row, rate) in RATES.into_iter().enumerate() {
            let name = if row == 0 { rule.name } else { "" };
            write!(table, "| {name} | {rate} |").expect("a string takes everything");
            for (known, percent) in timeless.iter().zip(HEALTHY) {
                let is_known = row == 0 || !rule.looks_at_time;
                let per_call = if is_known { *known } else { false_trips_per_call(rule, rate, percent) };
                write!(table, " {} |", two_digits(per_call * rate * SECONDS_A_DAY)).expect("a string takes everything");
            }
            for percent in BROKEN {
                let mut calls = calls_to_trip(rule, rate, percent);
                let [median, most] = [50, 95].map(|share| quantile(&mut calls, share));
                let shown = |calls: Option<u32>| calls.map_or("never".to_owned(), |calls| calls.to_string());
                write!(table, " {} ({}) |", shown(median), shown(most)).expect("a string takes everything");
            }
            table.push('\n');
        }
    }
    table
}

/// How often a call opens the circuit of a provider that is as it always is.
fn false_trips_per_call(rule: &Rule, rate: f64, percent: u32) -> f64 {
    let mut calls = Calls::new(u64::from(percent), rate);
    let mut judge = (rule.new)();
    let number = if rule.looks_at_time { TIMED_CALLS } else { CALLS };
    let mut trips = 0;
    for _ in 0..number {
        if rule.looks_at_time {
            calls.wait();
        }
        trips += u32::from(calls.trips(&mut *judge, percent));
    }
    f64::from(trips) / f64::from(number)
}

/// After how many calls the circuit opens when a provider breaks, for each of many outages.
fn calls_to_trip(rule: &Rule, rate: f64, percent: u32) -> Vec<Option<u32>> {
    let mut calls = Calls::new(u64::from(percent), rate);
    let outage = |_| {
        let mut judge = (rule.new)();
        for _ in 0..BEFORE {
            calls.wait();
            calls.trips(&mut *judge, HEALTHY[0]);
        }
        (1..=MOST_CALLS).find(|_| {
            calls.wait();
            calls.trips(&mut *judge, percent)
        })
    };
    (0..OUTAGES).map(outage).collect()
}

/// Two digits that count. Zero is none in all calls that were simulated.
fn two_digits(value: f64) -> String {
    if value <= 0.0 {
        return "0".into();
    }
    let places = (1 - value.log10().floor() as i32).max(0);
    format!("{value:.*}", places as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_calls_opens_at_the_half_of_a_hundred() {
        let mut window = LastCalls::default();
        let mut tell = |failed| window.trips(failed, Duration::ZERO);
        assert!((0..99).all(|_| !tell(true)), "not before there were a hundred");
        assert!(tell(true));
        assert!((0..100).all(|_| !tell(false)), "it begins anew");
        assert!((1..50).all(|_| !tell(true)));
        assert!(tell(true));
    }

    #[test]
    fn figures_have_two_digits() {
        let shown = [0.0, 0.0342, 0.5, 3.42, 34.6, 561.2].map(two_digits);
        assert_eq!(shown, ["0", "0.034", "0.50", "3.4", "35", "561"]);
    }
}
