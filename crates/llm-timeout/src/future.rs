//! The future of [`Timeout`](crate::Timeout).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use llm_core::{Error, LlmResponse, Stage};
use pin_project_lite::pin_project;

use crate::{body, call::Call, timer::Timer};

pin_project! {
    /// A call whose head must come in time, or the error of one that was too late from the start.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
        #[pin]
        timer: Timer,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Called { #[pin] future: F, call: Option<Call> },
        Refused { error: Option<Error> },
        Over,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn called(future: F, call: Call) -> Self {
        Self { state: State::Called { future, call: Some(call) }, timer: Timer::default() }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) }, timer: Timer::default() }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.state.as_mut().project() {
            StateProjection::Called { future, call } => {
                if let Poll::Ready(answered) = future.poll(cx) {
                    let answered = match answered {
                        Ok(response) => Ok(response.map(|body| body::limit(body, call))),
                        Err(error) => Err(error.into()),
                    };
                    this.state.set(State::Over);
                    return Poll::Ready(answered);
                }
                let Some(due) = call.as_ref().expect(POLLED_AGAIN).terms.head() else { return Poll::Pending };
                ready!(this.timer.poll_until(due.at, cx));
                let call = call.take().expect(POLLED_AGAIN);
                // The call to the provider is cancelled first, and then told of.
                this.state.set(State::Over);
                Poll::Ready(Err(call.expire(due.expiry, Stage::BeforeContent)))
            }
            StateProjection::Refused { error } => Poll::Ready(Err(error.take().expect(POLLED_AGAIN))),
            StateProjection::Over => panic!("{POLLED_AGAIN}"),
        }
    }
}

const POLLED_AGAIN: &str = "nobody polls a future that is over";

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
