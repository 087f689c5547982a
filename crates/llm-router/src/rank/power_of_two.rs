//! The less loaded of two at random.

use super::{
    Asked, Choice, Rank,
    score::{Looked, lower_of_two},
};

/// Of two at random the one with fewer calls under way. Failures count against a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct PowerOfTwo;

impl Rank for PowerOfTwo {
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        let load = |choice: &Choice<'_>| Looked::at(choice, asked.now).load();
        lower_of_two(asked.random, choices, |one, other| (load(one), load(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::testing::Bench;

    #[test]
    fn of_two_the_one_with_fewer_calls() {
        let bench = Bench::new(2);
        let _calls = bench.under_way([3, 2]);
        assert_eq!(bench.picks(&PowerOfTwo, 100), [0, 100]);
    }

    #[test]
    fn the_busiest_of_many_is_never_chosen_and_the_idlest_in_two_of_three() {
        let bench = Bench::new(3);
        let _calls = bench.under_way([2, 1, 0]);
        let [busiest, middle, idlest] = bench.picks(&PowerOfTwo, 30_000);
        assert_eq!(busiest, 0);
        assert!((9_500..10_500).contains(&middle) && idlest == 30_000 - middle);
    }

    #[test]
    fn equal_ones_are_chosen_equally_often() {
        let picks: [u32; 4] = Bench::new(4).picks(&PowerOfTwo, 40_000);
        assert!(picks.iter().all(|picked| (9_500..10_500).contains(picked)), "{picks:?}");
    }

    #[test]
    fn slowness_does_not_count_and_failures_do() {
        let bench = Bench::new(2);
        bench.per_token(0, 0.001);
        bench.per_token(1, 1.0);
        let [_, slow] = bench.picks(&PowerOfTwo, 1_000);
        assert!((400..600).contains(&slow));
        bench.ends(0, [true; 40]);
        let _calls = bench.under_way([0, 50]);
        assert_eq!(bench.picks(&PowerOfTwo, 100), [0, 100]);
    }

    #[test]
    fn two_without_weight_send_it_to_those_that_have_one() {
        let bench = Bench::new(4).weights([0.0, 1.0, 0.0, 0.0]);
        let _calls = bench.under_way([0, 9, 0, 0]);
        assert_eq!(bench.picks(&PowerOfTwo, 200), [0, 200, 0, 0]);
        let [none, one, other, last] = Bench::new(4).weights([0.0; 4]).picks(&PowerOfTwo, 400);
        assert!([none, one, other, last].iter().all(|picked| *picked > 50));
    }

    #[test]
    fn the_one_choice_is_it() {
        assert_eq!(Bench::new(1).pick(&PowerOfTwo), 0);
    }
}
