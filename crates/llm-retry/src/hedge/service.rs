//! The service, and the one function that makes a call.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, select};
use llm_core::{Commit, Error, LlmRequest, LlmResponse, Striped, Target};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};
use tracing::debug;

use super::{HedgeEvent, shared::Shared};

/// Starts a second attempt beside a late one. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct Hedge<S> {
    inner: Commit<S>,
    shared: Striped<Shared>,
}

impl<S> Hedge<S> {
    pub(super) fn new(inner: Commit<S>, shared: Striped<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S> Service<LlmRequest> for Hedge<S>
where
    S: Service<LlmRequest, Response = LlmResponse, Future: Send> + Clone + Send + 'static,
    S::Error: Into<Error> + Send,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let call = Call::begin(self.shared.clone(), request.clone());
        let first = Box::pin(self.inner.call(request));
        // Calling used the readiness up, so this one is not ready, and is readied only if it is needed.
        let not_ready = self.inner.clone();
        Box::pin(hedged(first, not_ready, call))
    }
}

/// A call under way: what it was asked, and since when. How long its first attempt took is recorded once.
struct Call {
    shared: Striped<Shared>,
    request: LlmRequest,
    begun: Instant,
    // After how long the first attempt is late, if there is any telling.
    delay: Option<Duration>,
    // Or it is known that there is nothing to record.
    is_recorded: bool,
}

impl Call {
    fn begin(shared: Striped<Shared>, request: LlmRequest) -> Self {
        let begun = Instant::now();
        // A second attempt that begins when the caller has stopped waiting helps nobody.
        let deadline = request.context().deadline();
        let in_time = |delay: &Duration| deadline.is_none_or(|deadline| begun + *delay < deadline);
        let delay = shared.begin(&request, begun).filter(in_time);
        Self { shared, request, begun, delay, is_recorded: false }
    }

    /// The first attempt has come to this.
    fn first_ended(&mut self, result: &Result<LlmResponse, Error>) {
        match result {
            // Kept or made up below this layer, and so no sample of how long the target takes.
            Ok(response) if response.body.is_unpaid() => self.is_recorded = true,
            Ok(_) => self.record(),
            Err(_) => {}
        }
    }

    fn record(&mut self) {
        self.is_recorded = true;
        let now = Instant::now();
        self.shared.record(&self.request, now.saturating_duration_since(self.begun), now);
    }

    fn second(&self, waited: Duration) -> Option<LlmRequest> {
        match self.shared.second(&self.request, waited, Instant::now()) {
            Ok(second) => {
                let (attempt, delay_ms) = (second.context().attempt().number, waited.as_millis() as u64);
                debug!(attempt, delay_ms, target = %second.target_or_model(), "hedging");
                self.count(HedgeEvent::Started);
                Some(second)
            }
            Err(reason) => {
                debug!(reason = reason.as_str(), "not hedging");
                self.count(reason);
                None
            }
        }
    }

    fn count(&self, event: HedgeEvent) {
        self.shared.counts.add(event);
    }
}

impl Drop for Call {
    /// A first attempt that has lost, failed or been given up has told how long it takes only if it was late by then: a
    /// percentile wants to know on which side of it a sample lies. Left out, the slowest would be missing, and the
    /// percentile would sink. Second attempts tell nothing: of those only the fast ones are seen to the end.
    fn drop(&mut self) {
        if !self.is_recorded && self.delay.is_some_and(|delay| self.begun.elapsed() >= delay) {
            self.record();
        }
    }
}

type First<S> = Pin<Box<<Commit<S> as Service<LlmRequest>>::Future>>;

async fn hedged<S>(first: First<S>, not_ready: Commit<S>, mut call: Call) -> Result<LlmResponse, Error>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
{
    let Some(delay) = call.delay else {
        let result = first.await;
        call.first_ended(&result);
        return result;
    };
    let first = match select(first, pin!(sleep(delay))).await {
        Either::Left((result, _)) => {
            call.first_ended(&result);
            return result;
        }
        Either::Right(((), first)) => first,
    };
    let Some(request) = call.second(delay) else {
        let result = first.await;
        call.first_ended(&result);
        return result;
    };
    let target = request.context().target().cloned();
    let second = Box::pin(not_ready.oneshot(request));

    // Whoever loses is dropped before the winner is handed on.
    let (event, result) = match select(first, second).await {
        Either::Left((Ok(response), second)) => {
            drop(second);
            call.record();
            (HedgeEvent::Lost, Ok(response))
        }
        Either::Right((Ok(response), first)) => {
            drop(first);
            (HedgeEvent::Won, Ok(answered_by(target, response)))
        }
        Either::Left((Err(failure), second)) => match second.await {
            Ok(response) => (HedgeEvent::Won, Ok(answered_by(target, response))),
            Err(later) => (HedgeEvent::Failed, Err(later.rather_than(failure))),
        },
        Either::Right((Err(failure), first)) => match first.await {
            Ok(response) => {
                call.record();
                (HedgeEvent::Lost, Ok(response))
            }
            Err(later) => (HedgeEvent::Failed, Err(later.rather_than(failure))),
        },
    };
    call.count(event);
    result
}

/// The second attempt's answer, with the target that gave it where nobody below has said so.
fn answered_by(target: Option<Target>, mut response: LlmResponse) -> LlmResponse {
    if response.head.target.is_none() {
        response.head.target = target;
    }
    response
}
