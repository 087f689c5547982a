//! Candidates to choose from, for the tests of strategies.

use std::time::Duration;

use llm_core::{Error, ErrorKind, LlmRequest, PicoUsd, Price, Random, Target, Tier, catalog::Model};
use tokio::time::Instant;

use super::{Asked, Choice, Rank};
use crate::{Candidate, InFlight};

/// Candidates `p0`, `p1` and so on, each of weight 1, and a request to rank them for.
pub(super) struct Bench {
    pub(super) candidates: Vec<Candidate>,
    weights: Vec<f64>,
    request: LlmRequest,
    pub(super) now: Instant,
    random: Random,
}

impl Bench {
    pub(super) fn new(candidates: usize) -> Self {
        Self::of((0..candidates).map(|at| Candidate::new(Target::new(format!("p{at}"), "m"))).collect())
    }

    /// With these prices of a million input and output tokens.
    pub(super) fn priced<const N: usize>(prices: [Option<(&str, &str)>; N]) -> Self {
        let candidate = |(at, prices): (usize, Option<(&str, &str)>)| {
            let price = prices.map(|(input, output)| Price::new(usd(input), usd(output)));
            Candidate::new(Target::new(format!("p{at}"), "m")).facts(model(price))
        };
        Self::of(prices.into_iter().enumerate().map(candidate).collect())
    }

    fn of(candidates: Vec<Candidate>) -> Self {
        let weights = vec![1.0; candidates.len()];
        let request = LlmRequest::chat("m").user("hello").build();
        Self { candidates, weights, request, now: Instant::now(), random: Random::seeded(7) }
    }

    /// With another price for calls of more input tokens than this.
    pub(super) fn tier(mut self, at: usize, above: u64, input: &str, output: &str) -> Self {
        let (input, output) = (usd(input), usd(output));
        let tier = Tier { above, input, output, cache_read: None, cache_write: None, cache_write_1h: None };
        let known = self.candidates[at].model().unwrap().price.clone().unwrap();
        let target = self.candidates[at].target().clone();
        self.candidates[at] = Candidate::new(target).facts(model(Some(Price { tiers: vec![tier], ..known })));
        self
    }

    pub(super) fn weights<const N: usize>(mut self, weights: [f64; N]) -> Self {
        self.weights = weights.to_vec();
        self
    }

    /// For a request that wants a stream.
    pub(super) fn streaming(mut self) -> Self {
        self.request = LlmRequest::chat("m").user("hello").stream().build();
        self
    }

    /// With the numbers that a process draws by itself.
    pub(super) fn unseeded(self) -> Self {
        self.random(Random::default())
    }

    pub(super) fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Enough streams that took `seconds` to their first content.
    pub(super) fn first_content(&self, at: usize, seconds: f64) {
        let began = self.now - Duration::from_secs_f64(seconds);
        (0..5).for_each(|_| self.candidates[at].begin(true, began).content_came(self.now));
    }

    /// Enough answers whose tokens took `seconds` each.
    pub(super) fn per_token(&self, at: usize, seconds: f64) {
        let began = self.now - Duration::from_secs_f64(seconds * 100.0);
        (0..5).for_each(|_| self.candidates[at].begin(false, began).completed(100, self.now));
    }

    /// Calls that end, and whether each failed.
    pub(super) fn ends<const N: usize>(&self, at: usize, failed: [bool; N]) {
        let error = Error::new(ErrorKind::Overloaded, "no room");
        for failed in failed {
            let call = self.candidates[at].begin(false, self.now);
            if failed { call.failed(&error, self.now) } else { call.completed(0, self.now) }
        }
    }

    /// So many calls more, until what this returns is dropped.
    pub(super) fn under_way<const N: usize>(&self, calls: [usize; N]) -> Vec<InFlight> {
        calls.into_iter().enumerate().flat_map(|(at, calls)| self.under_way_at(at, calls)).collect()
    }

    pub(super) fn under_way_at(&self, at: usize, calls: usize) -> Vec<InFlight> {
        (0..calls).map(|_| self.candidates[at].begin(false, self.now)).collect()
    }

    pub(super) fn pick(&self, rank: &dyn Rank) -> usize {
        self.pick_for(rank, &self.request)
    }

    pub(super) fn pick_for(&self, rank: &dyn Rank, request: &LlmRequest) -> usize {
        let choices = self.candidates.iter().zip(&self.weights);
        let choices: Vec<_> = choices.map(|(candidate, weight)| Choice { candidate, weight: *weight }).collect();
        rank.pick(&Asked { request, now: self.now, random: &self.random }, &choices)
    }

    /// How often each is picked.
    pub(super) fn picks<const N: usize>(&self, rank: &dyn Rank, calls: u32) -> [u32; N] {
        let mut picks = [0; N];
        (0..calls).for_each(|_| picks[self.pick(rank)] += 1);
        picks
    }
}

fn usd(per_million: &str) -> PicoUsd {
    PicoUsd::per_million_tokens(per_million).unwrap()
}

fn model(price: Option<Price>) -> Model {
    Model {
        provider: None,
        name: "m".into(),
        aliases: Vec::new(),
        mode: None,
        price,
        context_window: None,
        max_output: None,
        capabilities: Default::default(),
        tags: Vec::new(),
    }
}
