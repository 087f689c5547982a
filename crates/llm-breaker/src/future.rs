//! The future of [`Breaker`](crate::Breaker).

use std::{
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use llm_core::{Error, LlmRequest, LlmResponse, Watch};
use pin_project_lite::pin_project;
use tower::{Service, util::Oneshot};

use crate::{call::InFlight, slow::Timed};

pin_project! {
    /// A call on its way, or the error that its circuit is open.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S>
    where
        S: Service<LlmRequest>,
    {
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[allow(clippy::large_enum_variant, reason = "the large one is what nearly every call is")]
    enum State<S>
    where
        S: Service<LlmRequest>,
    {
        Called { #[pin] future: Watch<Timed<Oneshot<S, LlmRequest>>, InFlight> },
        Rejected { #[pin] future: Ready<Result<LlmResponse, Error>> },
    }
}

impl<S: Service<LlmRequest>> ResponseFuture<S> {
    pub(crate) fn called(future: Watch<Timed<Oneshot<S, LlmRequest>>, InFlight>) -> Self {
        Self { state: State::Called { future } }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self { state: State::Rejected { future: ready(Err(error)) } }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { future } => future.poll(cx),
            StateProjection::Rejected { future } => future.poll(cx),
        }
    }
}

impl<S: Service<LlmRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
