//! Cheap and fast, as far as both go.

use llm_core::{ConfigError, NanoUsd};
use serde::Deserialize;

use super::{
    Asked, Choice, Rank,
    cost::Size,
    score::{Looked, best, latency, lowest},
};

/// How much the cost counts in a blend of cost and latency; the rest is the latency's. From 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct CostShare(f64);

impl CostShare {
    /// This share.
    ///
    /// # Errors
    /// Unless it is from 0 to 1.
    pub fn new(share: f64) -> Result<Self, ConfigError> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(ConfigError::new("blend", "the share of the cost must be from 0 to 1"))
        }
    }

    /// As a number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for CostShare {
    type Error = ConfigError;

    fn try_from(share: f64) -> Result<Self, ConfigError> {
        Self::new(share)
    }
}

/// The lowest `cost^share × latency^(1 − share)`.
///
/// A product of powers does not ask in which units either is: at one half, twice the price makes up for half the time.
/// The cost is as for the cheapest, the latency as for the fastest, with what failures add to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blend(pub(super) CostShare);

impl Rank for Blend {
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        if choices.len() < 2 {
            return 0;
        }
        let size = Size::of(asked.request);
        let share = self.0.get() as f32;
        let best = best(choices.iter().map(|choice| latency(asked, choice))).unwrap_or(1.0);
        lowest(asked.random, choices, |choice| {
            let cost = size.cost(choice.candidate);
            // What is free counts as a nano-dollar, or it would make up for any time.
            let cost_of = cost.unwrap_or(NanoUsd::ZERO).0.max(1) as f32;
            let latency = latency(asked, choice).unwrap_or(best) * Looked::at(choice, asked.now).reluctance();
            // A price that is not known comes last, unless prices do not count.
            (cost.is_none() && share > 0.0, share * cost_of.ln() + (1.0 - share) * latency.ln())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::testing::Bench;

    fn blend(share: f64) -> Blend {
        Blend(CostShare::new(share).unwrap())
    }

    /// Three times the price for less than a third of the time.
    fn dear_and_fast() -> Bench {
        let bench = Bench::priced([Some(("1", "1")), Some(("3", "3"))]).streaming();
        bench.first_content(0, 1.0);
        bench.first_content(1, 0.3);
        bench
    }

    #[test]
    fn the_share_decides_what_counts() {
        let bench = dear_and_fast();
        let picked = [0.0, 0.5, 0.6, 1.0].map(|share| bench.pick(&blend(share)));
        assert_eq!(picked, [1, 1, 0, 0]);
    }

    #[test]
    fn it_does_not_ask_for_units() {
        let bench = Bench::priced([Some(("1000", "1000")), Some(("3000", "3000"))]).streaming();
        bench.first_content(0, 0.001);
        bench.first_content(1, 0.0003);
        assert_eq!([0.5, 0.6].map(|share| bench.pick(&blend(share))), [1, 0]);
    }

    #[test]
    fn failures_count_as_time() {
        let bench = dear_and_fast();
        bench.ends(1, [true, false, true, false]);
        assert_eq!(bench.pick(&blend(0.5)), 0);
    }

    #[test]
    fn without_a_price_it_comes_last_unless_prices_do_not_count() {
        let bench = Bench::priced([None, Some(("1", "1"))]).streaming();
        bench.first_content(0, 0.1);
        bench.first_content(1, 1.0);
        assert_eq!([0.0, 0.01, 1.0].map(|share| bench.pick(&blend(share))), [0, 1, 1]);
    }

    #[test]
    fn of_two_that_are_free_the_faster() {
        let bench = Bench::priced([Some(("0", "0")), Some(("0", "0"))]).streaming();
        bench.first_content(0, 1.0);
        bench.first_content(1, 0.5);
        assert_eq!(bench.pick(&blend(0.9)), 1);
    }

    #[test]
    fn a_share_is_from_zero_to_one() {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = CostShare::new(share).unwrap_err();
            assert_eq!(error.to_string(), "blend: the share of the cost must be from 0 to 1");
        }
        assert!([0.0, 1.0].into_iter().all(|share| CostShare::new(share).is_ok()));
    }
}
