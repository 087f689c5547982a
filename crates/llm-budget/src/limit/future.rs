//! The future of [`Limit`](super::Limit).

use std::{
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use llm_core::{Error, LlmRequest, LlmResponse, Watch};
use pin_project_lite::pin_project;
use tower::{Service, util::Oneshot};

use super::call::InFlight;

pin_project! {
    /// A call on its way, or the error that a limit is reached.
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
        Called { #[pin] future: Watch<Oneshot<S, LlmRequest>, InFlight> },
        Refused { #[pin] future: Ready<Result<LlmResponse, Error>> },
    }
}

impl<S: Service<LlmRequest>> ResponseFuture<S> {
    pub(crate) fn called(future: Watch<Oneshot<S, LlmRequest>, InFlight>) -> Self {
        Self { state: State::Called { future } }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self { state: State::Refused { future: ready(Err(error)) } }
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
            StateProjection::Refused { future } => future.poll(cx),
        }
    }
}

impl<S: Service<LlmRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
