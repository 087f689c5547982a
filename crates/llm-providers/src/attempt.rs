//! What the trail of a call says of an attempt at a provider.

use std::sync::Arc;

use llm_core::{AttemptEnd, ErrorKind, LlmRequest, Observer, Outcome, Target, Trail, Usage};

use crate::layer::Settings;

/// Writes the beginning of an attempt, and when it is over how it ended, what it used and what that cost.
///
/// One that is dropped without having been told an end was never watched: the http client panicked when it was called.
pub(crate) struct AttemptObserver {
    trail: Trail,
    number: u32,
    target: Target,
    settings: Arc<Settings>,
    is_over: bool,
}

impl AttemptObserver {
    pub(crate) fn begin(request: &LlmRequest, target: &Target, settings: Arc<Settings>) -> Self {
        let context = request.context();
        let (trail, attempt) = (context.trail(), context.attempt());
        trail.begin(attempt, Some(target));
        Self { trail, number: attempt.number, target: target.clone(), settings, is_over: false }
    }

    fn settle(&mut self, end: AttemptEnd, usage: Usage) {
        self.is_over = true;
        let price = self.settings.facts(&self.target).and_then(|model| model.price.as_ref());
        self.trail.update(self.number, |record| {
            record.end = Some(end);
            record.usage = Some(usage);
            record.cost = price.map(|price| price.cost(&usage).total());
        });
    }
}

impl Observer for AttemptObserver {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        self.settle(outcome.to_end(), outcome.progress().usage());
    }
}

impl Drop for AttemptObserver {
    fn drop(&mut self) {
        if !self.is_over {
            self.settle(AttemptEnd::Failed(ErrorKind::Internal), Usage::estimated(0, 0));
        }
    }
}
