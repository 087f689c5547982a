//! A place where a call may go.

use std::{sync::Arc, time::Duration};

use llm_core::{Copies, Target, catalog::Model};
use tokio::time::Instant;

use crate::stats::Stats;

/// A target, what is known of its model, and how it has been doing.
#[derive(Debug)]
pub struct Candidate {
    target: Copies<Target>,
    facts: Option<Model>,
    is_local: bool,
    // Only calls under way hold this besides the candidate, and that is how they are counted.
    stats: Arc<Stats>,
}

impl Candidate {
    /// A target that nothing is known of.
    pub fn new(target: Target) -> Self {
        let copy = || target.names().to_target();
        Self { target: Copies::new(copy), facts: None, is_local: false, stats: Arc::default() }
    }

    /// What is known of its model.
    pub fn facts(mut self, facts: Model) -> Self {
        self.facts = Some(facts);
        self
    }

    /// Marks it as local: sensitive calls may go there.
    pub fn local(mut self) -> Self {
        self.is_local = true;
        self
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        self.target.own()
    }

    /// What is known of its model: price, limits, capabilities, tags.
    pub fn model(&self) -> Option<&Model> {
        self.facts.as_ref()
    }

    /// Whether sensitive calls may go there.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// How many calls are under way there; a stream is until its end.
    pub fn in_flight(&self) -> usize {
        Arc::strong_count(&self.stats) - 1
    }

    /// How long it takes to the first content of a stream, as far as that was seen lately.
    pub fn first_content(&self, now: Instant) -> Option<Duration> {
        self.stats.first_content(now)
    }

    /// How many seconds an output token takes, as far as that was seen lately.
    pub fn seconds_per_token(&self, now: Instant) -> Option<f64> {
        self.stats.seconds_per_token(now)
    }

    /// The share of its calls that failed lately, from 0 to 1.
    pub fn failing(&self, now: Instant) -> f64 {
        self.stats.failing(now)
    }

    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}
