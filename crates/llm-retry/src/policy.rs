//! The policy that tower's `Retry` asks.

use llm_core::{Error, LlmRequest, LlmResponse, Striped};
use tokio::time::{Instant, Sleep, sleep};
use tower::{BoxError, retry::Policy};
use tracing::debug;

use crate::{
    Verdict,
    shared::Shared,
    verdict::{Facts, judge},
};

/// Decides for tower's `Retry` what is called again, and when.
///
/// [`RetryLayer`](crate::RetryLayer) puts it together with what holds answers back until content. In tower's own
/// `RetryLayer` it works as well ([`RetryLayer::policy`](crate::RetryLayer::policy) makes one), over services that fail
/// with [`Error`] and over those that fail with tower's `BoxError`; there a stream that fails before its first content
/// is a success to tower, and is not retried.
///
/// # Clone
/// tower clones it for each call. Clones share quota and counts; how many retries a call has had is each one's own.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    pub(crate) shared: Striped<Shared>,
    // These are changed in `retry` alone, which tower calls on the clone for one call. `clone_request` is called on
    // the policy that all calls are cloned from.
    retries: u32,
    is_counted: bool,
    // What the call's last attempt at a provider came to.
    failure: Option<Error>,
}

impl RetryPolicy {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Striped::new(shared), retries: 0, is_counted: false, failure: None }
    }

    /// The call has an answer, so it counts for the quota.
    fn succeeded(&mut self, request: &LlmRequest) {
        if !self.is_counted {
            self.is_counted = true;
            self.shared.count_call(&request.target_or_model(), Instant::now);
        }
    }

    fn failed(&mut self, request: &mut LlmRequest, error: &Error) -> Option<Sleep> {
        let now = Instant::now();
        let verdict = self.decide(request, error, now);
        let context = request.context();
        let trail = context.trail();
        let attempt = context.attempt();
        trail.fail(attempt, context.target(), error);
        // Below another retry policy that one has written what it made of this attempt.
        trail.update(attempt.number, |record| _ = record.verdict.get_or_insert(verdict.as_str()));
        self.shared.counts.add(verdict);
        match verdict {
            Verdict::Retry { after } => {
                let delay_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                debug!(attempt = attempt.number, delay_ms, kind = %error.kind(), "retrying");
                self.retries += 1;
                self.failure = Some(error.clone());
                request.context_mut().begin_attempt(llm_core::Again::Retry, after);
                Some(sleep(after))
            }
            Verdict::Stop(reason) => {
                debug!(attempt = attempt.number, reason = reason.as_str(), kind = %error.kind(), "not retrying");
                None
            }
        }
    }

    /// What the caller is told in place of `error`: after a provider has failed, that a layer of ours refused the retry
    /// is no news. When to come back is; of two hints the later one holds, because both have to be waited for.
    fn told_instead(&mut self, error: &Error) -> Option<Error> {
        if !error.class().is_own {
            return None;
        }
        let failure = self.failure.take()?;
        Some(match error.retry_after().max(failure.retry_after()) {
            Some(wait) => failure.with_retry_after(wait),
            None => failure,
        })
    }

    fn decide(&mut self, request: &LlmRequest, error: &Error, now: Instant) -> Verdict {
        let (shared, context, target) = (&*self.shared, request.context(), request.target_or_model());
        // What a layer of ours refused put no load on the target.
        if !self.is_counted && !error.class().is_own {
            self.is_counted = true;
            shared.count_call(&target, || now);
        }
        let facts = Facts {
            retries: self.retries,
            calls_left: context.calls_left(),
            untried: context.untried_candidates(),
            remaining: context.deadline().map(|deadline| deadline.saturating_duration_since(now)),
            is_probe: context.is_probe(),
            random: shared.settings.jitter.draw(&shared.settings.random),
        };
        let rules = shared.settings.rules.of_names(Some(target.provider), target.model);
        match judge(error, rules, &facts) {
            Verdict::Retry { after } => match shared.take_retry(&target, context, error, now) {
                Ok(()) => Verdict::Retry { after },
                Err(reason) => Verdict::Stop(reason),
            },
            stop @ Verdict::Stop(_) => stop,
        }
    }
}

impl Policy<LlmRequest, LlmResponse, Error> for RetryPolicy {
    type Future = Sleep;

    fn retry(&mut self, request: &mut LlmRequest, result: &mut Result<LlmResponse, Error>) -> Option<Sleep> {
        match result {
            Ok(_) => {
                self.succeeded(request);
                None
            }
            Err(error) => {
                let wait = self.failed(request, error);
                if let (None, Some(failure)) = (&wait, self.told_instead(error)) {
                    *error = failure;
                }
                wait
            }
        }
    }

    fn clone_request(&mut self, request: &LlmRequest) -> Option<LlmRequest> {
        Some(request.clone())
    }
}

impl Policy<LlmRequest, LlmResponse, BoxError> for RetryPolicy {
    type Future = Sleep;

    fn retry(&mut self, request: &mut LlmRequest, result: &mut Result<LlmResponse, BoxError>) -> Option<Sleep> {
        match result {
            Ok(_) => {
                self.succeeded(request);
                None
            }
            Err(error) => {
                let known = Error::classify(&**error);
                let wait = self.failed(request, &known);
                if let (None, Some(failure)) = (&wait, self.told_instead(&known)) {
                    *error = failure.into();
                }
                wait
            }
        }
    }

    fn clone_request(&mut self, request: &LlmRequest) -> Option<LlmRequest> {
        Some(request.clone())
    }
}
