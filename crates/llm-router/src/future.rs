//! The future of [`Dispatch`](crate::Dispatch).

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use llm_core::{BoxLlmService, Error, LlmRequest, LlmResponse};
use pin_project_lite::pin_project;
use tower::util::Oneshot;

pin_project! {
    /// A call on its way to its provider, or the error that it has none.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        Called { #[pin] future: Oneshot<BoxLlmService, LlmRequest> },
        Rejected { #[pin] future: Ready<Result<LlmResponse, Error>> },
    }
}

impl ResponseFuture {
    pub(crate) fn called(future: Oneshot<BoxLlmService, LlmRequest>) -> Self {
        Self { state: State::Called { future } }
    }

    pub(crate) fn rejected(error: Error) -> Self {
        Self { state: State::Rejected { future: ready(Err(error)) } }
    }
}

impl Future for ResponseFuture {
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { future } => future.poll(cx),
            StateProjection::Rejected { future } => future.poll(cx),
        }
    }
}

impl std::fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
