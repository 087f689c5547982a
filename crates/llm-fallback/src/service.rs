//! The service, and the one function that falls back.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use llm_core::{
    Again, AttemptEnd, AttemptRecord, Body, BoxLlmService, Commit, Error, Head, HoldBack, LlmRequest, LlmResponse,
    Output, Payload, Served, Striped, Trail, Usage,
};
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use tracing::debug;

use crate::{
    FallbackEvent,
    answer::{Kind, fits},
    layer::Shared,
};

/// The verdict in the trail on the attempt whose failure was answered by a fallback.
const FELL_BACK: &str = "fell_back";

/// A service whose failures are answered. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct Fallback<S> {
    inner: Commit<S>,
    shared: Striped<Shared>,
}

impl<S> Fallback<S> {
    pub(crate) fn new(inner: Commit<S>, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S> Service<LlmRequest> for Fallback<S>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send> + Clone + Send + 'static,
    S::Error: Into<Error> + Send,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let (inner, shared) = (self.inner.clone(), self.shared.clone());
        Box::pin(async move {
            let kept = request.clone();
            match inner.oneshot(request).await {
                Ok(response) => Ok(response),
                // Whoever wants a kept answer only wants no other.
                Err(failure) if kept.context().cache().only_if_cached => Err(failure),
                // In a box of its own, so that calls which go well have no room for it.
                Err(failure) => Box::pin(fall_back(shared, kept, failure)).await,
            }
        })
    }
}

/// The answer of the first case that has one, or else the failure.
async fn fall_back(shared: Striped<Shared>, request: LlmRequest, failure: Error) -> Result<LlmResponse, Error> {
    let kind = failure.kind();
    let trail = request.context().trail();
    let failed = last_failed(&trail);
    let (mut has_case, mut later) = (false, None);
    for (place, case) in shared.cases.iter().enumerate() {
        if !case.when.holds(&request, kind) {
            continue;
        }
        has_case = true;
        let answered = match &case.answer.0 {
            Kind::Message(text) => message(text, &request).map(|answer| (FallbackEvent::Message, answer)),
            Kind::Function(function) => {
                let output = function.answer(&request, &failure).filter(|output| fits(output, request.payload()));
                output.map(|output| (FallbackEvent::Function, own_answer(output, &request)))
            }
            Kind::Service { service, is_local } if may_ask(&request, *is_local, &failure) => {
                mark(&trail, failed);
                match ask(service.clone(), &request, shared.hold_back).await {
                    Ok(response) => Some((FallbackEvent::Service, response)),
                    Err(error) => {
                        debug!(error.kind = %error.kind(), case = place, "the fallback failed as well");
                        later = Some(error);
                        None
                    }
                }
            }
            Kind::Service { .. } => None,
        };
        if let Some((event, mut response)) = answered {
            mark(&trail, failed);
            shared.record.note(kind, event, Instant::now());
            debug!(error.kind = %kind, case = place, answer = event.as_str(), "fell back");
            response.head.served = Served::Degraded;
            return Ok(response);
        }
    }
    if has_case {
        shared.record.note(kind, FallbackEvent::Unanswered, Instant::now());
    }
    Err(match later {
        None => failure,
        Some(later) => failure.rather_than(later).with_trail(trail),
    })
}

/// Whether another service may be asked about a call that failed so.
fn may_ask(request: &LlmRequest, is_local: bool, failure: &Error) -> bool {
    let context = request.context();
    let is_in_time = context.deadline().is_none_or(|deadline| Instant::now() < deadline);
    let may_go = is_local || !context.sensitivity().is_sensitive();
    is_in_time && may_go && context.may_call_again(Again::Fallback, Some(failure))
}

async fn ask(service: BoxLlmService, request: &LlmRequest, hold_back: HoldBack) -> Result<LlmResponse, Error> {
    let mut request = request.clone();
    request.context_mut().begin_attempt(Again::Fallback, Duration::ZERO);
    // Until its first content, its failure is no answer either.
    Commit::new(service, hold_back).oneshot(request).await
}

fn message(text: &str, request: &LlmRequest) -> Option<LlmResponse> {
    match request.payload() {
        Payload::Chat(_) => Some(own_answer(Output::text(text), request)),
        Payload::Embed(_) | Payload::CountTokens(_) => None,
    }
}

/// An answer that no model gave. It used nothing, and nobody is paid for it.
fn own_answer(mut output: Output, request: &LlmRequest) -> LlmResponse {
    if output.usage().is_none() {
        output.set_usage(Usage::reported(0, 0));
    }
    LlmResponse::new(Head::default(), Body::full(output).answering(request, request.model()).unpaid())
}

fn last_failed(trail: &Trail) -> Option<u32> {
    let attempts = trail.attempts();
    let failed = |attempt: &&AttemptRecord| matches!(attempt.end, Some(AttemptEnd::Failed(_)));
    attempts.iter().rfind(failed).map(|attempt| attempt.number)
}

fn mark(trail: &Trail, attempt: Option<u32>) {
    if let Some(attempt) = attempt {
        trail.update(attempt, |record| record.verdict = Some(FELL_BACK));
    }
}
