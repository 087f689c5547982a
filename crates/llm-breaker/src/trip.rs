//! When failures are too many: the rule that opens a circuit.

use std::{fmt, sync::Arc};

use crate::{Consecutive, Cusum, Rate, Sample};

/// Decides when a circuit opens, from one number that it keeps of each circuit. For rules of your own.
///
/// What a rule may remember is a `u32`, because state and score of a circuit change in one atomic step. That is
/// plenty: a sum, a count, a moving average in fixed point, or a window of the last 32 calls, one bit each. The score
/// begins at zero, and is zero again when the circuit closes. A rule is asked under contention again with another
/// score, so it must not keep anything in itself.
///
/// A rule that answers a success at score zero with `Keep(0)` costs a healthy provider nothing. With any other answer
/// every call of it is written down, and each target has a circuit from its first call on.
///
/// ```
/// use std::time::Duration;
/// use llm_breaker::{Judge, Sample, Step, Trip, TripRule, Weight};
///
/// /// Opens when more than half of the last 32 calls failed: a bit for each, the newest lowest.
/// #[derive(Debug)]
/// struct LastCalls;
///
/// impl TripRule for LastCalls {
///     fn after(&self, score: u32, sample: Sample) -> Step {
///         let failed = matches!(sample, Sample::Failure(_));
///         let calls = score << 1 | u32::from(failed);
///         if failed && calls.count_ones() > 16 { Step::Trip } else { Step::Keep(calls) }
///     }
/// }
///
/// /// Opens when the moving average of failures, over about 16 calls, passes 60 %; in units of a millionth.
/// #[derive(Debug)]
/// struct Average;
///
/// impl TripRule for Average {
///     fn after(&self, score: u32, sample: Sample) -> Step {
///         match sample {
///             Sample::Success => Step::Keep(score - score / 16),
///             Sample::Failure(_) if score > 600_000 => Step::Trip,
///             Sample::Failure(_) => Step::Keep(score + (1_000_000 - score) / 16),
///         }
///     }
/// }
///
/// let opens = |trip| {
///     let mut judge = Judge::new(trip);
///     (1..).find(|_| judge.trips(Sample::Failure(Weight::ONE), Duration::ZERO))
/// };
/// assert_eq!((opens(Trip::by(LastCalls)), opens(Trip::by(Average))), (Some(17), Some(16)));
/// ```
pub trait TripRule: fmt::Debug + Send + Sync + 'static {
    /// What becomes of `score` after a call.
    fn after(&self, score: u32, sample: Sample) -> Step;
}

/// What a [`TripRule`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The circuit stays closed, with this score.
    Keep(u32),
    /// The circuit opens.
    Trip,
}

/// The rule by which a circuit opens: [`Cusum`], [`Consecutive`], [`Rate`], or [one of your own](TripRule). Defaults
/// to [`Cusum`].
#[derive(Clone, Debug)]
pub struct Trip(Rule);

#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Score { rule: Arc<dyn TripRule>, heeds_success: bool },
    Rate(Rate),
}

impl Trip {
    /// By a rule of your own.
    pub fn by(rule: impl TripRule) -> Self {
        let heeds_success = rule.after(0, Sample::Success) != Step::Keep(0);
        Self(Rule::Score { rule: Arc::new(rule), heeds_success })
    }

    pub(crate) fn rule(&self) -> &Rule {
        &self.0
    }

    /// Whether a success changes something where nothing has failed yet.
    pub(crate) fn heeds_success(&self) -> bool {
        match self.0 {
            Rule::Score { heeds_success, .. } => heeds_success,
            Rule::Rate(_) => true,
        }
    }
}

impl Default for Trip {
    fn default() -> Self {
        Cusum::default().into()
    }
}

impl From<Cusum> for Trip {
    fn from(rule: Cusum) -> Self {
        Self::by(rule)
    }
}

impl From<Consecutive> for Trip {
    fn from(rule: Consecutive) -> Self {
        Self::by(rule)
    }
}

impl From<Rate> for Trip {
    fn from(rule: Rate) -> Self {
        Self(Rule::Rate(rule))
    }
}
