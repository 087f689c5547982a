//! The one that has the least to do.

use super::{
    Asked, Choice, Rank,
    score::{Looked, best, lower_of_two, lowest},
};

/// Up to so many are all looked at, above it two.
const LOOKED_AT: usize = 16;

/// `(calls under way + 1) × √slowness`, where slowness is the time of an output token relative to that of the best.
///
/// A call is under way until its stream ends, so what counts is work and not waiting. Slowness is of a token because the
/// time of a whole answer follows its length, which says nothing of the target. Failures count against a target, see
/// [`Looked::reluctance`].
#[derive(Clone, Copy, Debug)]
pub(super) struct LeastLoaded;

impl Rank for LeastLoaded {
    fn pick(&self, asked: &Asked<'_>, choices: &[Choice<'_>]) -> usize {
        let look = |choice: &Choice<'_>| {
            let looked = Looked::at(choice, asked.now);
            (looked.load(), looked.seen.seconds_per_token())
        };
        if choices.len() > LOOKED_AT {
            return lower_of_two(asked.random, choices, |one, other| {
                let (one, other) = (look(one), look(other));
                let best = best([one.1, other.1].into_iter());
                (score(one, best), score(other, best))
            });
        }
        let mut looked = [(0.0, None); LOOKED_AT];
        let looked = &mut looked[..choices.len()];
        looked.iter_mut().zip(choices).for_each(|(looked, choice)| *looked = look(choice));
        let best = best(looked.iter().map(|(_, per_token)| *per_token));
        let mut looked = looked.iter();
        lowest(asked.random, choices, |_| score(*looked.next().expect("each choice was looked at"), best))
    }
}

/// The square of the score. A target of which nothing is known is taken to be as good as the best.
fn score((load, per_token): (f32, Option<f32>), best: Option<f32>) -> f32 {
    load * per_token.zip(best).map_or(1.0, |(own, best)| own / best)
}

#[cfg(test)]
#[path = "least_loaded_tests.rs"]
mod tests;
