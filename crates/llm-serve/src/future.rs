//! The future of every door.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;

use crate::DoorBody;

/// Resolves to the door's answer. Dropping it drops the call.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(State);

enum State {
    /// Decided without a call.
    Ready(Option<Response<DoorBody>>),
    Call(Pin<Box<dyn Future<Output = Response<DoorBody>> + Send>>),
}

impl ResponseFuture {
    pub(crate) fn ready(response: Response<DoorBody>) -> Self {
        Self(State::Ready(Some(response)))
    }

    pub(crate) fn call(exchange: impl Future<Output = Response<DoorBody>> + Send + 'static) -> Self {
        Self(State::Call(Box::pin(exchange)))
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<DoorBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(response) => Poll::Ready(Ok(response.take().expect("polled after completion"))),
            State::Call(exchange) => exchange.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
