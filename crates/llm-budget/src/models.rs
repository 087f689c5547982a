//! What is learned of each model and intent: how far estimates are off, how long answers are, and what was spent.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use llm_core::{Equivalent, Keyed, NanoUsd, Target, TargetRef, TokenEstimate, catalog::Model};

use crate::Settlement;

/// Models come from the catalogue, and so does their number; this bounds what hosts might do with it.
const MOST_SUBJECTS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not zero");

/// Fixed-point one: corrections are kept in 1/1024.
const ONE: u64 = 1 << 10;
/// How much of an average the newest of its values is.
const NEWEST: u64 = 32;
/// A report that differs more is not about the same text: pictures, documents, tools that ran at the provider.
const MOST_OFF: u64 = 4;
/// What callers can make of a correction that holds for all of them.
const MOST_CORRECTED: u64 = 2;

/// Intents of a model whose answers are told apart. Callers may say what they like for one; beyond so many those of a
/// model share what is known of its calls without one.
const MOST_INTENTS: u32 = 32;

/// What is known of models, by provider and the catalogue's name, and by what their calls are about.
pub(crate) struct Models {
    known: Keyed<Subject, Arc<Figures>>,
}

/// A model, and what its calls are about.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Subject {
    model: Target,
    intent: Option<Arc<str>>,
}

/// The same, borrowed.
// The order of the fields is that of `Subject`, so that both have the same hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SubjectRef<'a> {
    model: TargetRef<'a>,
    intent: Option<&'a str>,
}

impl Equivalent<Subject> for SubjectRef<'_> {
    fn equivalent(&self, subject: &Subject) -> bool {
        self.model == subject.model.names() && self.intent == subject.intent.as_deref()
    }
}

/// What is known of one. All of it fits one cache line, since every call writes it.
#[repr(align(64))]
pub(crate) struct Figures {
    // Reported by estimated input tokens, as a moving average.
    correction: AtomicU32,
    // By how much a corrected estimate is off, either way, as a moving average.
    off: AtomicU32,
    // What nine of ten answers do not exceed, in 1/1024 tokens; zero while none was seen.
    output: AtomicU64,
    calls: AtomicU64,
    reported: AtomicU64,
    estimated: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
    // Of a model's calls without an intent: how many intents there are besides.
    intents: AtomicU32,
}

/// What was spent on a model's calls about one thing since the layer was made, or the first of those that it goes on from, and
/// how well they can be told beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSpend {
    /// The model, by the catalogue's name for it.
    pub model: Target,
    /// What the calls were [about](llm_core::Context::intent), if somebody had said so.
    pub intent: Option<Arc<str>>,
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
    /// What nine of ten answers do not exceed, in tokens, as it seems; `None` while none was seen.
    pub likely_output: Option<u64>,
}

impl Models {
    pub(crate) fn new() -> Self {
        Self { known: Keyed::new(MOST_SUBJECTS, Arc::default()) }
    }

    /// The figures of a model's calls about something. What is known is never forgotten, and with too many of them the rest
    /// share.
    pub(crate) fn of(&self, provider: &str, facts: &Model, intent: Option<&str>) -> Arc<Figures> {
        let model = TargetRef { provider, model: &facts.name, key: None };
        if let Some(known) = self.known.get(&SubjectRef { model, intent }, Arc::clone) {
            return known;
        }
        let own = |intent: Option<&str>| {
            let subject = SubjectRef { model, intent };
            let to_owned = || Subject { model: model.to_target(), intent: intent.map(Arc::from) };
            self.known.get_or_insert(&subject, to_owned, Arc::default, |_| false, |figures| Some(Arc::clone(figures)))
        };
        let all = own(None);
        // Threads that meet the last of them at the same time may add one more each.
        if intent.is_none() || all.intents.load(Relaxed) >= MOST_INTENTS {
            return all;
        }
        all.intents.fetch_add(1, Relaxed);
        own(intent)
    }

    pub(crate) fn list(&self) -> Vec<ModelSpend> {
        let mut list = Vec::new();
        self.known.for_each(|subject, figures| list.push(figures.spend(subject)));
        list.retain(|spend| spend.calls > 0);
        list.sort_by(|one, other| (&one.model, &one.intent).cmp(&(&other.model, &other.intent)));
        list
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Models({})", self.known.len())
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            correction: AtomicU32::new(ONE as u32),
            off: AtomicU32::default(),
            output: AtomicU64::default(),
            calls: AtomicU64::default(),
            reported: AtomicU64::default(),
            estimated: AtomicU64::default(),
            input_tokens: AtomicU64::default(),
            output_tokens: AtomicU64::default(),
            intents: AtomicU32::default(),
        }
    }
}

impl Figures {
    /// An estimate in the light of what has been reported. Its bound is only ever raised: what one caller's prompts
    /// teach must not lower what is reserved for another's.
    pub(crate) fn corrected(&self, raw: TokenEstimate) -> TokenEstimate {
        let correction = u64::from(self.correction.load(Relaxed));
        let scaled = |tokens: u64, by: u64| u64::try_from(u128::from(tokens) * u128::from(by) / u128::from(ONE));
        let likely = scaled(raw.likely, correction).unwrap_or(u64::MAX);
        TokenEstimate { likely, bound: scaled(raw.bound, correction.max(ONE)).unwrap_or(u64::MAX).max(likely) }
    }

    /// How many tokens nine of ten answers do not exceed; `None` while none was seen.
    pub(crate) fn likely_output(&self) -> Option<u64> {
        Some(self.output.load(Relaxed).div_ceil(ONE)).filter(|likely| *likely > 0)
    }

    /// Takes note of what a provider reported of a prompt that was estimated at `raw`.
    pub(crate) fn learn_input(&self, raw: u64, reported: u64) {
        if reported == 0 || raw == 0 {
            return;
        }
        let sample = reported.saturating_mul(ONE) / raw;
        if (ONE / MOST_OFF..=ONE * MOST_OFF).contains(&sample) {
            let known = u64::from(self.correction.load(Relaxed));
            let corrected = raw.saturating_mul(known) / ONE;
            let off = (reported.abs_diff(corrected).saturating_mul(ONE) / reported).min(ONE * MOST_OFF);
            update(&self.off, |known| average(known, off));
            update(&self.correction, |known| average(known, sample).clamp(ONE / MOST_CORRECTED, ONE * MOST_CORRECTED));
        }
    }

    /// Takes note of how long an answer was. One that did not come to its end was at least so long. `first` is what was taken
    /// for likely when nothing was known.
    pub(crate) fn learn_output(&self, length: u64, is_whole: bool, first: u64) {
        // A step up for every answer that is longer and a ninth of one down for the others: where both balance,
        // one answer in ten is longer.
        _ = self.output.fetch_update(Relaxed, Relaxed, |known| {
            let known = if known == 0 { first.saturating_mul(ONE) } else { known };
            match (length.saturating_mul(ONE) > known, is_whole) {
                (true, _) => Some(known.saturating_add(known / 10)),
                (false, true) => Some((known - known / 90).max(16 * ONE)),
                (false, false) => None,
            }
        });
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

    fn spend(&self, subject: &Subject) -> ModelSpend {
        let Subject { model, intent } = subject.clone();
        let share = |figure: &AtomicU32| f64::from(figure.load(Relaxed)) / ONE as f64;
        ModelSpend {
            model,
            intent,
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

/// Figures of averages are small: they are kept in 1/1024 and below eight.
fn update(figure: &AtomicU32, change: impl Fn(u64) -> u64) {
    _ = figure.fetch_update(Relaxed, Relaxed, |known| u32::try_from(change(known.into())).ok());
}

#[cfg(test)]
#[path = "models_tests.rs"]
mod tests;
