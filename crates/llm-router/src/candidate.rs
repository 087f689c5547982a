//! A place where a call may go.

use std::{fmt, sync::Arc, time::Duration};

use llm_core::{Copies, Target, catalog::Model};
use tokio::time::Instant;

use crate::{InFlight, attempts::Gate, rules::Needs, stats::Stats};

/// A target, what is known of its model, and how it has been doing.
#[derive(Debug)]
pub struct Candidate {
    target: Place,
    facts: Option<Arc<Model>>,
    // What its model is known to be unable to do.
    lacks: Needs,
    tags: Option<Arc<[Box<str>]>>,
    is_local: bool,
    history: Arc<History>,
}

/// Targets that an operator named are made once, for all threads; one that a caller made up is made for its call.
enum Place {
    Named(Copies<Target>),
    MadeUp(Target),
}

/// How a target has been doing. It outlives the plan that the target is part of, and is that of all the names which
/// callers make up for one pattern.
#[derive(Debug, Default)]
pub(crate) struct History {
    // Only calls under way hold this besides the history, and that is how they are counted.
    stats: Arc<Stats>,
    panic: Gate,
}

impl Candidate {
    /// A target that nothing is known of.
    pub fn new(target: Target) -> Self {
        let copy = || target.names().to_target();
        Self::of(Place::Named(Copies::new(copy)), Arc::default())
    }

    /// The same for a target with a history.
    pub(crate) fn with_history(target: &Target, history: Arc<History>) -> Self {
        Self { history, ..Self::new(target.clone()) }
    }

    /// The same for a target that is made for one call.
    pub(crate) fn made_up(target: Target, history: Arc<History>) -> Self {
        Self::of(Place::MadeUp(target), history)
    }

    fn of(target: Place, history: Arc<History>) -> Self {
        Self { target, facts: None, lacks: Needs::default(), tags: None, is_local: false, history }
    }

    /// What is known of its model.
    pub fn facts(mut self, facts: impl Into<Arc<Model>>) -> Self {
        let facts = facts.into();
        let missing = Needs::ALL.into_iter().filter(|need| facts.supports(*need) == Some(false));
        self.lacks = missing.fold(Needs::default(), Needs::and);
        self.facts = Some(facts);
        self
    }

    /// Tags that it bears besides those of its model.
    pub fn tags(mut self, tags: impl Into<Arc<[Box<str>]>>) -> Self {
        self.tags = Some(tags.into());
        self
    }

    /// Marks it as local: sensitive calls may go there.
    pub fn local(mut self) -> Self {
        self.is_local = true;
        self
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        match &self.target {
            Place::Named(copies) => copies.own(),
            Place::MadeUp(target) => target,
        }
    }

    /// What is known of its model: price, limits, capabilities, tags.
    pub fn model(&self) -> Option<&Model> {
        self.facts.as_deref()
    }

    /// Whether sensitive calls may go there.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Whether it or its model bears this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().flat_map(|tags| &**tags).any(|own| **own == *tag)
            || self.model().is_some_and(|model| model.has_tag(tag))
    }

    /// How many calls are under way there; a stream is until its end.
    pub fn in_flight(&self) -> usize {
        Arc::strong_count(&self.history.stats) - 1
    }

    /// How long it takes to the first content of a stream, as far as that was seen lately.
    pub fn first_content(&self, now: Instant) -> Option<Duration> {
        self.history.stats.first_content(now)
    }

    /// How many seconds an output token takes, as far as that was seen lately.
    pub fn seconds_per_token(&self, now: Instant) -> Option<f64> {
        self.history.stats.seconds_per_token(now)
    }

    /// The share of its calls that failed lately, from 0 to 1.
    pub fn failing(&self, now: Instant) -> f64 {
        self.history.stats.failing(now)
    }

    /// What its model is known to be unable to do.
    pub(crate) fn lacks(&self) -> Needs {
        self.lacks
    }

    /// For a name that a caller made up, what limits the calls that are made although everything is open.
    pub(crate) fn panic_gate(&self) -> &Gate {
        &self.history.panic
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.history.stats
    }

    /// Begins a call there, which is in flight until what is returned is dropped. `streams` says whether the answer
    /// comes in pieces.
    pub fn begin(&self, streams: bool, now: Instant) -> InFlight {
        InFlight::new(Arc::clone(&self.history.stats), streams, now)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(copies) => copies.fmt(f),
            Self::MadeUp(target) => target.fmt(f),
        }
    }
}
