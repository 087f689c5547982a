//! Random by weight.

use super::{Asked, Choice, Rank};

/// Each as often as its weight says.
///
/// The choice is random and not in turns: processes that count turns, each from the first, send their calls in step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighted;

impl Rank for Weighted {
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        let all: f64 = choices.iter().map(|choice| choice.weight).sum();
        let drawn = asked.random.unit();
        if all <= 0.0 {
            return (drawn * choices.len() as f64) as usize;
        }
        let mut left = drawn * all;
        let mut last = 0;
        for (at, choice) in choices.iter().enumerate().filter(|(_, choice)| choice.weight > 0.0) {
            if left < choice.weight {
                return at;
            }
            left -= choice.weight;
            last = at;
        }
        // Rounding has left something over.
        last
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, env, process::Command};

    use super::*;
    use crate::rank::testing::Bench;

    /// Pearson's sum over what was expected.
    fn chi_square<const N: usize>(found: [u32; N], weights: [f64; N]) -> f64 {
        let (calls, all) = (f64::from(found.iter().sum::<u32>()), weights.iter().sum::<f64>());
        let expected = weights.map(|weight| calls * weight / all);
        found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn calls_are_shared_by_weight() {
        let weights = [90.0, 5.0, 3.0, 2.0];
        let bench = Bench::new(4).weights(weights);
        // With three degrees of freedom one sum in a thousand is above 16.27.
        let found = bench.picks(&Weighted, 100_000);
        assert!(chi_square(found, weights) < 16.27, "{found:?}");
        assert!(chi_square(found, [90.0, 5.0, 2.5, 2.5]) > 16.27, "or nothing was shown");
    }

    #[test]
    fn one_call_tells_nothing_of_the_next() {
        let bench = Bench::new(2);
        let picks: Vec<usize> = (0..40_000).map(|_| bench.pick(&Weighted)).collect();
        let mut pairs = [0; 4];
        picks.chunks_exact(2).for_each(|pair| pairs[pair[0] * 2 + pair[1]] += 1);
        assert!(chi_square(pairs, [1.0; 4]) < 16.27, "{pairs:?}");
    }

    #[test]
    fn without_a_weight_there_are_calls_only_when_no_other_is_left() {
        assert_eq!(Bench::new(3).weights([0.0, 1.0, 0.0]).picks(&Weighted, 1_000), [0, 1_000, 0]);
        let [one, other] = Bench::new(2).weights([0.0, 0.0]).picks(&Weighted, 1_000);
        assert!(one > 400 && other > 400);
    }

    #[test]
    fn weights_are_shares_whatever_their_sum() {
        let [one, other] = Bench::new(2).weights([1e-12, 3e-12]).picks(&Weighted, 10_000);
        assert!((2_300..2_700).contains(&one) && other == 10_000 - one);
    }

    #[test]
    fn processes_do_not_choose_in_step() {
        const CHILD: &str = "LLM_ROUTER_PRINTS_PICKS";
        let bench = Bench::new(2).unseeded();
        let picks: String = (0..64).map(|_| if bench.pick(&Weighted) == 0 { 'a' } else { 'b' }).collect();
        if env::var_os(CHILD).is_some() {
            println!("picks {picks}");
            return;
        }
        let name = "rank::weighted::tests::processes_do_not_choose_in_step";
        let child = || {
            let mut command = Command::new(env::current_exe().unwrap());
            let output = command.args(["--exact", name, "--nocapture"]).env(CHILD, "").output().unwrap();
            let output = String::from_utf8(output.stdout).unwrap();
            output.lines().find_map(|line| line.split_once("picks ")).unwrap().1[..64].to_owned()
        };
        assert_eq!(HashSet::from([picks, child(), child()]).len(), 3);
    }
}
