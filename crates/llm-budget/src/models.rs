//! What is learned of each model: how far estimates are off, how long answers are, and what was spent on it.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use llm_core::{Keyed, NanoUsd, Target, TargetRef, TokenEstimate, Usage, catalog::Model};

use crate::Settlement;

/// Models come from the catalogue, and so does their number; this bounds what hosts might do with it.
const MOST_MODELS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

/// Fixed-point one: corrections are kept in 1/1024.
const ONE: u64 = 1 << 10;
/// How much of an average the newest of its values is.
const NEWEST: u64 = 32;
/// A report that differs more is not about the same text: pictures, documents, tools that ran at the provider.
const MOST_OFF: u64 = 4;
/// What callers can make of a correction that holds for all of them.
const MOST_CORRECTED: u64 = 2;

/// What is known of models, by provider and the catalogue's name.
pub(crate) struct Models {
    known: Keyed<Target, Arc<Figures>>,
    likely_output: u64,
}

/// What is known of one. All of it fits one cache line, since every call writes it.
#[repr(align(64))]
pub(crate) struct Figures {
    // Reported by estimated input tokens, as a moving average.
    correction: AtomicU64,
    // By how much a corrected estimate is off, either way, as a moving average.
    off: AtomicU64,
    // What nine of ten answers do not exceed, in 1/1024 tokens.
    output: AtomicU64,
    calls: AtomicU64,
    reported: AtomicU64,
    estimated: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

/// What was spent on a model since the layer was made, and how well its calls can be told beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpend {
    /// The model, by the catalogue's name for it.
    pub model: Target,
    /// How many calls were settled.
    pub calls: u64,
    /// What calls cost by what providers reported.
    pub reported: NanoUsd,
    /// What calls cost by estimate, for want of a report.
    pub estimated: NanoUsd,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// What estimates of prompts are multiplied by: reported by estimated tokens, as a moving average. From 0.5 to 2.
    pub correction: f64,
    /// By what share a corrected estimate is off, as a moving average.
    pub estimate_error: f64,
    /// What nine of ten answers do not exceed, in tokens, as it seems.
    pub likely_output: u64,
}

impl Models {
    pub(crate) fn new(likely_output: u64) -> Self {
        let overflow = Arc::new(Figures::new(likely_output));
        Self { known: Keyed::new(MOST_MODELS, overflow), likely_output }
    }

    /// The figures of a model. What is known of a model is never forgotten, and with too many of them the rest share.
    pub(crate) fn of(&self, provider: &str, facts: &Model) -> Arc<Figures> {
        let names = TargetRef { provider, model: &facts.name, key: None };
        let make = || Arc::new(Figures::new(self.likely_output));
        self.known.get_or_insert(&names, || names.to_target(), make, |_| false, |figures| Some(Arc::clone(figures)))
    }

    pub(crate) fn list(&self) -> Vec<ModelSpend> {
        let mut list = Vec::new();
        self.known.for_each(|model, figures| list.push(figures.spend(model.clone())));
        list.sort_by(|one, other| one.model.cmp(&other.model));
        list
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Models({})", self.known.len())
    }
}

impl Figures {
    fn new(likely_output: u64) -> Self {
        Self {
            correction: AtomicU64::new(ONE),
            off: AtomicU64::new(0),
            output: AtomicU64::new(likely_output.saturating_mul(ONE)),
            calls: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            estimated: AtomicU64::new(0),
            input_tokens: AtomicU64::new(0),
            output_tokens: AtomicU64::new(0),
        }
    }

    /// An estimate in the light of what has been reported. Its bound is only ever raised: what one caller's prompts
    /// teach must not lower what is reserved for another's.
    pub(crate) fn corrected(&self, raw: TokenEstimate) -> TokenEstimate {
        let correction = self.correction.load(Relaxed);
        let scaled = |tokens: u64, by: u64| u64::try_from(u128::from(tokens) * u128::from(by) / u128::from(ONE));
        let likely = scaled(raw.likely, correction).unwrap_or(u64::MAX);
        TokenEstimate { likely, bound: scaled(raw.bound, correction.max(ONE)).unwrap_or(u64::MAX).max(likely) }
    }

    /// How many tokens nine of ten answers do not exceed.
    pub(crate) fn likely_output(&self) -> u64 {
        self.output.load(Relaxed).div_ceil(ONE)
    }

    /// Takes note of a whole answer and what its provider reported. `raw` is what its prompt was estimated at.
    pub(crate) fn learn(&self, raw: u64, usage: &Usage) {
        if usage.input > 0 && raw > 0 {
            let sample = usage.input.saturating_mul(ONE) / raw;
            if (ONE / MOST_OFF..=ONE * MOST_OFF).contains(&sample) {
                let known = self.correction.load(Relaxed);
                let corrected = raw.saturating_mul(known) / ONE;
                let off = usage.input.abs_diff(corrected).saturating_mul(ONE) / usage.input;
                update(&self.off, |known| average(known, off));
                update(&self.correction, |known| {
                    average(known, sample).clamp(ONE / MOST_CORRECTED, ONE * MOST_CORRECTED)
                });
            }
        }
        if usage.output > 0 {
            // A step up for every answer that is longer and a ninth of one down for the others: where both balance,
            // one answer in ten is longer.
            let length = usage.output.saturating_mul(ONE);
            update(&self.output, |known| {
                if length > known { known.saturating_add(known / 10) } else { (known - known / 90).max(16 * ONE) }
            });
        }
    }

    /// Adds what a call came to.
    pub(crate) fn book(&self, settlement: &Settlement) {
        let Settlement { reported, estimated, usage } = settlement;
        let sums = [
            (&self.calls, 1),
            (&self.reported, reported.0),
            (&self.estimated, estimated.0),
            (&self.input_tokens, usage.input),
            (&self.output_tokens, usage.output),
        ];
        for (sum, more) in sums.into_iter().filter(|(_, more)| *more > 0) {
            sum.fetch_add(more, Relaxed);
        }
    }

    fn spend(&self, model: Target) -> ModelSpend {
        let share = |figure: &AtomicU64| figure.load(Relaxed) as f64 / ONE as f64;
        ModelSpend {
            model,
            calls: self.calls.load(Relaxed),
            reported: NanoUsd(self.reported.load(Relaxed)),
            estimated: NanoUsd(self.estimated.load(Relaxed)),
            input_tokens: self.input_tokens.load(Relaxed),
            output_tokens: self.output_tokens.load(Relaxed),
            correction: share(&self.correction),
            estimate_error: share(&self.off),
            likely_output: self.likely_output(),
        }
    }
}

fn average(known: u64, newest: u64) -> u64 {
    // Rounded towards the newest, or an average would stop short of it.
    if newest >= known { known + (newest - known).div_ceil(NEWEST) } else { known - (known - newest).div_ceil(NEWEST) }
}

fn update(figure: &AtomicU64, change: impl Fn(u64) -> u64) {
    _ = figure.fetch_update(Relaxed, Relaxed, |known| Some(change(known)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(likely: u64, bound: u64) -> TokenEstimate {
        TokenEstimate { likely, bound }
    }

    #[test]
    fn estimates_come_to_what_is_reported_and_bounds_are_never_lowered() {
        let figures = Figures::new(500);
        assert_eq!(figures.corrected(estimate(100, 120)), estimate(100, 120));
        (0..300).for_each(|_| figures.learn(100, &Usage::reported(130, 50)));
        let corrected = figures.corrected(estimate(100, 120));
        assert!((129..=130).contains(&corrected.likely) && (155..=157).contains(&corrected.bound), "{corrected:?}");
        let spend = figures.spend(Target::new("", "m"));
        assert!(spend.estimate_error < 0.02 && (spend.correction - 1.3).abs() < 0.01, "{spend:?}");
        (0..300).for_each(|_| figures.learn(100, &Usage::reported(60, 50)));
        let corrected = figures.corrected(estimate(100, 120));
        assert!((59..=61).contains(&corrected.likely) && corrected.bound == 120, "{corrected:?}");
    }

    #[test]
    fn no_caller_makes_the_others_reserve_more_than_double() {
        let figures = Figures::new(500);
        (0..1_000).for_each(|_| figures.learn(100, &Usage::reported(390, 50)));
        assert_eq!(figures.corrected(estimate(100, 120)), estimate(200, 240));
        (0..100).for_each(|_| figures.learn(100, &Usage::reported(4_000, 50)));
        assert_eq!(figures.corrected(estimate(100, 120)), estimate(200, 240), "that was a picture");
    }

    #[test]
    fn nine_of_ten_answers_are_as_short_as_it_says() {
        let figures = Figures::new(512);
        let random = llm_core::Random::seeded(7);
        let mut lengths = Vec::new();
        for _ in 0..5_000 {
            let length = 1 + (random.unit() * 1_000.0) as u64;
            lengths.push(length);
            figures.learn(0, &Usage::reported(0, length));
        }
        let likely = figures.likely_output();
        assert!((780..=1_000).contains(&likely), "{likely}");
    }

    #[test]
    fn what_was_reported_and_what_was_estimated_are_told_apart() {
        let figures = Figures::new(512);
        let mut settlement = Settlement::default();
        settlement.add(NanoUsd(5), &Usage::reported(10, 2));
        figures.book(&settlement);
        settlement = Settlement::default();
        settlement.add(NanoUsd(6), &Usage::estimated(15, 1));
        settlement.add(NanoUsd(1), &Usage::estimated(5, 2));
        figures.book(&settlement);
        let spend = figures.spend(Target::new("", "m"));
        assert_eq!((spend.calls, spend.reported, spend.estimated), (2, NanoUsd(5), NanoUsd(7)));
        assert_eq!((spend.input_tokens, spend.output_tokens), (30, 5));
    }

    #[test]
    fn figures_fit_a_cache_line() {
        assert_eq!(size_of::<Figures>(), 64);
    }
}
