//! The future of [`Cache`](crate::Cache).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use llm_core::{Error, LlmRequest, LlmResponse};
use pin_project_lite::pin_project;
use tower::{Service, util::Oneshot};

pin_project! {
    /// A kept answer, a call on its way, or one that has nothing to do with the cache.
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
    enum State<S>
    where
        S: Service<LlmRequest>,
    {
        Known { answer: Option<Result<LlmResponse, Error>> },
        UnderWay { future: BoxFuture<'static, Result<LlmResponse, Error>> },
        PassedBy { #[pin] future: Oneshot<S, LlmRequest> },
    }
}

impl<S: Service<LlmRequest>> ResponseFuture<S> {
    pub(crate) fn known(answer: Result<LlmResponse, Error>) -> Self {
        Self { state: State::Known { answer: Some(answer) } }
    }

    pub(crate) fn under_way(future: BoxFuture<'static, Result<LlmResponse, Error>>) -> Self {
        Self { state: State::UnderWay { future } }
    }

    pub(crate) fn passed_by(future: Oneshot<S, LlmRequest>) -> Self {
        Self { state: State::PassedBy { future } }
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
            StateProjection::Known { answer } => Poll::Ready(answer.take().expect("polled after completion")),
            StateProjection::UnderWay { future } => future.as_mut().poll(cx),
            StateProjection::PassedBy { future } => future.poll(cx).map_err(Into::into),
        }
    }
}

impl<S: Service<LlmRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
