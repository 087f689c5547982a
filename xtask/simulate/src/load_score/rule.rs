//! The rules that are compared: the router's own, and what others do.

use std::{sync::Arc, time::Duration};

use llm_core::Random;
use llm_router::{Asked, Choice, Rank, Strategy};
use tokio::time::Instant;

/// A rule at work.
pub(super) trait Chooses {
    fn pick(&mut self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize;

    /// A call has ended after so long, well or not. The router's own rules know by themselves.
    fn ended(&mut self, target: usize, total: Duration, now: Instant) {
        let _ = (target, total, now);
    }
}

/// A rule by its name in the tables, and a fresh one for so many targets.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Whether it means to spread calls, or to send them all to the best.
    pub(super) looks_at_load: bool,
    pub(super) new: fn(usize) -> Box<dyn Chooses>,
}

pub(super) const RULES: [Rule; 7] = [
    Rule { name: "`least_loaded`", looks_at_load: true, new: |_| Box::new(Own(Strategy::LeastLoaded.rank())) },
    Rule { name: "`power_of_two`", looks_at_load: true, new: |_| Box::new(Own(Strategy::PowerOfTwo.rank())) },
    Rule { name: "`fastest`", looks_at_load: false, new: |_| Box::new(Own(Strategy::Fastest.rank())) },
    Rule { name: "least in flight (not offered)", looks_at_load: true, new: |_| Box::new(LeastInFlight) },
    Rule { name: "P2C, in flight (not offered)", looks_at_load: true, new: |_| Box::new(TwoInFlight) },
    Rule {
        name: "P2C, peak EWMA of total time (not offered)",
        looks_at_load: true,
        new: |targets| Box::new(PeakEwma::new(targets)),
    },
    Rule { name: "round robin (not offered)", looks_at_load: true, new: |_| Box::new(RoundRobin(0)) },
];

struct Own(Arc<dyn Rank>);

impl Chooses for Own {
    fn pick(&mut self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        self.0.pick(asked, choices)
    }
}

struct RoundRobin(usize);

impl Chooses for RoundRobin {
    fn pick(&mut self, _: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        self.0 += 1;
        self.0 % choices.len()
    }
}

/// The fewest calls under way, and of several that have so many one at random.
struct LeastInFlight;

impl Chooses for LeastInFlight {
    fn pick(&mut self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        let all = || choices.iter().map(|choice| choice.candidate.in_flight());
        let least = all().min().expect("there are choices");
        let ties = all().filter(|calls| *calls == least).count();
        let drawn = (asked.random.unit() * ties as f64) as usize;
        let mut tied = all().enumerate().filter(|(_, calls)| *calls == least);
        tied.nth(drawn).expect("fewer were drawn than there are").0
    }
}

/// Of two at random that with fewer calls under way.
struct TwoInFlight;

impl Chooses for TwoInFlight {
    fn pick(&mut self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        let [one, other] = two(asked.random, choices.len());
        let calls = |at: usize| choices[at].candidate.in_flight();
        if calls(other) < calls(one) { other } else { one }
    }
}

/// Of two at random that with the lower `calls under way × time`, where the time is an average of the total times that
/// goes up at once and down within ten seconds, as in Finagle, Linkerd and tower.
struct PeakEwma(Vec<Option<(f64, Instant)>>);

impl PeakEwma {
    const DECAY: f64 = 10.0;

    fn new(targets: usize) -> Self {
        Self(vec![None; targets])
    }

    fn seconds(&self, target: usize, now: Instant) -> f64 {
        // What is left of it when nothing new comes, as there.
        let decayed = |(seconds, at): (f64, Instant)| seconds * (-(now - at).as_secs_f64() / Self::DECAY).exp();
        self.0[target].map_or(1.0, decayed)
    }
}

impl Chooses for PeakEwma {
    fn pick(&mut self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        let [one, other] = two(asked.random, choices.len());
        let load = |at: usize| (choices[at].candidate.in_flight() + 1) as f64 * self.seconds(at, asked.now);
        if load(other) < load(one) { other } else { one }
    }

    fn ended(&mut self, target: usize, total: Duration, now: Instant) {
        let total = total.as_secs_f64();
        let seconds = match self.0[target] {
            None => total,
            Some((known, _)) if total > known => total,
            Some((known, at)) => {
                let kept = (-(now - at).as_secs_f64() / Self::DECAY).exp();
                known * kept + total * (1.0 - kept)
            }
        };
        self.0[target] = Some((seconds, now));
    }
}

/// Two that differ.
fn two(random: &Random, of: usize) -> [usize; 2] {
    let below = |count: usize| (random.unit() * count as f64) as usize;
    let (one, other) = (below(of), below(of - 1));
    [one, if other >= one { other + 1 } else { other }]
}
