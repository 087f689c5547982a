//! The one that costs the least.

use llm_core::NanoUsd;

use super::{
    Asked, Choice, Rank,
    cost::Size,
    score::{Looked, lowest},
};

/// The lowest estimated cost of this call, at the prices in the catalogue; those without a price come last. Of equal
/// ones, such as the keys of one provider, that with the least to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cheapest;

impl Rank for Cheapest {
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        if choices.len() < 2 {
            return 0;
        }
        let size = Size::of(asked.request);
        lowest(asked.random, choices, |choice| {
            let cost = size.cost(choice.candidate);
            (cost.is_none(), cost.unwrap_or(NanoUsd::ZERO), Looked::at(choice, asked.now).load())
        })
    }
}

#[cfg(test)]
mod tests {
    use llm_core::LlmRequest;

    use super::*;
    use crate::rank::testing::Bench;

    #[test]
    fn the_dearer_input_is_cheaper_for_a_short_prompt() {
        let bench = Bench::priced([Some(("1", "2")), Some(("0.1", "8"))]);
        let ask = |bytes: usize| LlmRequest::chat("m").user("x".repeat(bytes)).max_output_tokens(100).build();
        // 100 output tokens cost 0.6 $/M more there, which 667 input tokens make up for.
        assert_eq!(bench.pick_for(&Cheapest, &ask(2_400)), 0);
        assert_eq!(bench.pick_for(&Cheapest, &ask(2_800)), 1);
    }

    #[test]
    fn a_long_prompt_is_charged_at_its_tier() {
        let bench = Bench::priced([Some(("1", "2")), Some(("1.5", "2"))]).tier(0, 1_000, "2", "2");
        let ask = |bytes: usize| LlmRequest::chat("m").user("x".repeat(bytes)).build();
        assert_eq!(bench.pick_for(&Cheapest, &ask(3_900)), 0);
        assert_eq!(bench.pick_for(&Cheapest, &ask(4_100)), 1);
    }

    #[test]
    fn what_has_no_price_comes_last_and_what_is_free_first() {
        let bench = Bench::priced([None, Some(("1", "2")), Some(("0", "0"))]);
        assert_eq!(bench.picks(&Cheapest, 10), [0, 0, 10]);
        let bench = Bench::priced([None, Some(("100", "200"))]);
        assert_eq!(bench.picks(&Cheapest, 10), [0, 10]);
    }

    #[test]
    fn of_equal_ones_the_less_loaded_and_then_either() {
        let bench = Bench::priced([Some(("1", "2")), Some(("1", "2")), None]);
        let [one, other, unpriced] = bench.picks(&Cheapest, 1_000);
        assert!(unpriced == 0 && (400..600).contains(&one) && one + other == 1_000);
        let _calls = bench.under_way([3, 2, 0]);
        assert_eq!(bench.picks(&Cheapest, 10), [0, 10, 0]);
    }

    #[test]
    fn without_a_weight_the_cheapest_is_the_last() {
        let bench = Bench::priced([Some(("1", "2")), None]).weights([0.0, 1.0]);
        assert_eq!(bench.picks(&Cheapest, 10), [0, 10]);
    }
}
