//! The future of [`Budget`](crate::Budget).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use llm_core::{Error, LlmRequest, LlmResponse, Watch, watch};
use pin_project_lite::pin_project;
use tower::{Service, util::Oneshot};

use crate::{
    bid::{Admission, Admitted, Waiting},
    call::InFlight,
    metered::Meter,
};

pin_project! {
    /// A call on its way or waiting for its ledger, or the error that there is no money for it.
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
        Admitted { admitted: Option<Admitted>, inner: S },
        Called { #[pin] future: Watch<S::Future, InFlight>, meter: Option<Arc<Meter>> },
        Free { #[pin] future: Oneshot<S, LlmRequest> },
        Waiting { future: Waiting, inner: Option<S> },
        Refused { error: Option<Error> },
    }
}

impl<S: Service<LlmRequest, Response = LlmResponse>> State<S>
where
    S::Error: Into<Error>,
{
    fn called(admitted: Admitted, inner: &mut S) -> Self {
        let Admitted { request, call, meter } = admitted;
        Self::Called { future: watch(&request.clone(), inner.call(request), call), meter }
    }
}

impl<S: Service<LlmRequest, Response = LlmResponse>> ResponseFuture<S>
where
    S::Error: Into<Error>,
{
    pub(crate) fn new(admission: Admission, inner: S) -> Self {
        let state = match admission {
            Admission::Free(request) => State::Free { future: Oneshot::new(inner, request) },
            Admission::Admitted(admitted) => State::Admitted { admitted: Some(admitted), inner },
            Admission::Waiting(future) => State::Waiting { future, inner: Some(inner) },
            Admission::Refused(error) => State::Refused { error: Some(error) },
        };
        Self { state }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                // Until it is called nothing is paid for: what is dropped meanwhile gives its money back.
                StateProjection::Admitted { admitted, inner } => {
                    ready!(inner.poll_ready(cx)).map_err(Into::into)?;
                    State::called(admitted.take().expect(POLLED_AGAIN), inner)
                }
                StateProjection::Called { future, meter } => {
                    let response = ready!(future.poll(cx))?;
                    let meter = meter.take();
                    return Poll::Ready(Ok(response.map(|body| match meter {
                        Some(meter) => meter.limit(body),
                        None => body,
                    })));
                }
                StateProjection::Free { future } => return future.poll(cx).map_err(Into::into),
                StateProjection::Waiting { future, inner } => {
                    let admitted = Some(ready!(future.as_mut().poll(cx))?);
                    State::Admitted { admitted, inner: inner.take().expect(POLLED_AGAIN) }
                }
                StateProjection::Refused { error } => return Poll::Ready(Err(error.take().expect(POLLED_AGAIN))),
            };
            this.state.set(next);
        }
    }
}

const POLLED_AGAIN: &str = "nobody polls a future that is over";

impl<S: Service<LlmRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
