//! What strategies that compare have in common: the lowest score, two at random, and what is held against a target.

use llm_core::Random;
use tokio::time::Instant;

use super::{Asked, Choice};
use crate::stats::Seen;

/// The choice with the lowest score, one of them at random where several have it. Those without a weight come last.
pub(super) fn lowest<S: PartialOrd>(
    random: &Random,
    choices: &[Choice<'_>],
    mut score: impl FnMut(&Choice<'_>) -> S,
) -> usize {
    let [first, others @ ..] = choices else { return 0 };
    let mut of = |choice: &Choice<'_>| (choice.weight <= 0.0, score(choice));
    let (mut lowest, mut at, mut ties) = (of(first), 0, 1.0);
    for (choice, index) in others.iter().zip(1..) {
        let found = of(choice);
        if found < lowest {
            (lowest, at, ties) = (found, index, 1.0);
        } else if found == lowest {
            // The second replaces the first half of the time, the third either a third of the time, and so on.
            ties += 1.0;
            if random.unit() * ties < 1.0 {
                at = index;
            }
        }
    }
    at
}

/// The one with the lower score of two that are drawn, as in Mitzenmacher, "The Power of Two Choices in Randomized Load
/// Balancing" (2001). Looks at all of them if the two have no weight.
pub(super) fn lower_of_two(
    random: &Random,
    choices: &[Choice<'_>],
    score: impl Fn(&Choice<'_>, &Choice<'_>) -> (f32, f32),
) -> usize {
    if choices.len() < 2 {
        return 0;
    }
    let (one, other) = two(random.unit(), choices.len());
    let (first, second) = (&choices[one], &choices[other]);
    match (first.weight > 0.0, second.weight > 0.0) {
        (true, false) => one,
        (false, true) => other,
        (false, false) if choices.iter().any(|choice| choice.weight > 0.0) => {
            lowest(random, choices, |choice| score(choice, choice).0)
        }
        (true, true) | (false, false) => {
            let (first, second) = score(first, second);
            // Either came first as often as the other, so the first of two that are equal is one of them at random.
            if second < first { other } else { one }
        }
    }
}

/// Two different numbers below `of`, which is at least two, out of one between 0 and 1.
fn two(unit: f64, of: usize) -> (usize, usize) {
    let pair = (unit * (of * (of - 1)) as f64) as usize;
    let (one, other) = (pair / (of - 1), pair % (of - 1));
    (one, if other >= one { other + 1 } else { other })
}

/// A choice, with its figures as they look now.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    pub(super) in_flight: usize,
    pub(super) seen: Seen<'a>,
    weight: f64,
}

impl<'a> Looked<'a> {
    pub(super) fn at(choice: &Choice<'a>, now: Instant) -> Self {
        let candidate = choice.candidate;
        Self { in_flight: candidate.in_flight(), seen: candidate.stats().at(now), weight: choice.weight }
    }

    /// What a target's score is multiplied with for how its calls ended: 1 while all is well.
    ///
    /// The share of calls that succeeded, to the power of minus four: 1.2 for one failure in twenty, 16 for every second,
    /// and a million where all have failed for a while, so that no target that fails at once, and thus never has a call
    /// under way, looks idle beside one that is busy. Where no call is under way, what was seen last fades, and so a
    /// target that is left alone will be tried: by one call, because what is under way there is not idle.
    pub(super) fn reluctance(&self) -> f32 {
        if self.in_flight > 0 && self.seen.is_flawless() {
            return 1.0;
        }
        let repute = self.seen.repute();
        let succeeding = 1.0 - repute.failing;
        let squared = succeeding * succeeding;
        let faded = if self.in_flight == 0 { repute.faded } else { 1.0 };
        1.0 / (squared * squared * faded)
    }

    /// The square of the calls under way, this one among them, for each unit of weight, times the reluctance.
    ///
    /// The square, because comparing squares is comparing roots and saves taking them.
    pub(super) fn load(&self) -> f32 {
        let calls = (self.in_flight + 1) as f32;
        let is_plain = self.weight == 1.0 || self.weight <= 0.0;
        let calls = if is_plain { calls } else { calls / self.weight as f32 };
        calls * calls * self.reluctance()
    }
}

/// How long the call would take, as far as is known: the time to the first content for a stream, and else that of a
/// token.
pub(super) fn latency(asked: &Asked<'_>, choice: &Choice<'_>) -> Option<f32> {
    let seen = choice.candidate.stats().at(asked.now);
    if asked.request.is_stream() { seen.first_content() } else { seen.seconds_per_token() }
}

/// The least of the figures that are known.
pub(super) fn best(figures: impl Iterator<Item = Option<f32>>) -> Option<f32> {
    figures.flatten().reduce(f32::min)
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
