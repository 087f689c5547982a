//! What the trail of a call says of an attempt at a provider.

use std::sync::Arc;

use llm_core::{
    Error, ErrorKind, LlmRequest, Observer, Outcome, Payload, Phase, Target, TokenFamily, Trail, Usage, estimate_prompt,
};

use crate::layer::Settings;

/// Writes the beginning of an attempt, and when it is over how it ended, what it used and what that cost.
pub(crate) struct AttemptObserver {
    trail: Trail,
    number: u32,
    target: Target,
    payload: Arc<Payload>,
    settings: Arc<Settings>,
}

impl AttemptObserver {
    pub(crate) fn begin(request: &LlmRequest, target: &Target, settings: Arc<Settings>) -> Self {
        let context = request.context();
        let (trail, attempt) = (context.trail(), context.attempt());
        trail.begin(attempt, Some(target));
        Self { trail, number: attempt.number, target: target.clone(), payload: request.shared_payload(), settings }
    }

    fn usage(&self, outcome: &Outcome<'_>) -> Usage {
        let told = outcome.error().and_then(Error::usage).copied();
        let usage = told.unwrap_or_else(|| outcome.progress().usage());
        if usage.is_zero() && may_be_billed(outcome) {
            let family = TokenFamily::of(self.target.model());
            return Usage::estimated(estimate_prompt(&self.payload, family).likely, 0);
        }
        usage
    }
}

impl Observer for AttemptObserver {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let usage = self.usage(outcome);
        let catalog = self.settings.catalog.as_deref();
        let model = catalog.and_then(|catalog| catalog.get(Some(&self.settings.name), self.target.model()));
        let price = model.and_then(|model| model.price.as_ref());
        self.trail.update(self.number, |record| {
            record.end = Some(outcome.to_end());
            record.usage = Some(usage);
            record.cost = price.map(|price| price.cost(&usage).total());
        });
    }
}

/// Whether the provider may have worked on a prompt of which nothing came back. What it refuses it does not bill.
fn may_be_billed(outcome: &Outcome<'_>) -> bool {
    let error = match outcome {
        Outcome::Abandoned(_) => return true,
        Outcome::Complete(_) => return false,
        Outcome::Failed(_, error) => error,
    };
    match error.kind() {
        ErrorKind::Interrupted
        | ErrorKind::Undecodable
        | ErrorKind::DeadlineExceeded
        | ErrorKind::Cancelled
        | ErrorKind::Timeout(Phase::Head | Phase::FirstContent | Phase::Idle | Phase::Total) => true,
        ErrorKind::InvalidRequest
        | ErrorKind::TooLarge
        | ErrorKind::UnknownModel
        | ErrorKind::ModelNotFound
        | ErrorKind::ContextLength
        | ErrorKind::ContentPolicy
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::ProviderCredentials
        | ErrorKind::QuotaExhausted
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Timeout(Phase::Connect)
        | ErrorKind::CircuitOpen
        | ErrorKind::BudgetExceeded
        | ErrorKind::LimitExceeded
        | ErrorKind::NoRoute
        | ErrorKind::Internal => false,
    }
}
