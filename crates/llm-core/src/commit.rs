//! Holding an answer back until its first content, so that a failure before it can still be answered by another try.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::{Attempt, Body, Error, Head, LlmRequest, LlmResponse, Target, Trail};

/// How long an answer may be held back while waiting for its first content. At either bound it is handed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldBack {
    /// The most bytes of frames without content to keep, each with what it takes up itself. Defaults to 64 KiB, far
    /// more than any provider sends.
    pub bytes: usize,
    /// The longest to wait. Off by default: the limit on the first content belongs to a timeout layer.
    pub wait: Option<Duration>,
}

impl Default for HoldBack {
    fn default() -> Self {
        Self { bytes: 64 * 1024, wait: None }
    }
}

impl HoldBack {
    /// Waits for a response and the first content of its body, as [`Body::until_content`] does.
    pub fn until_content<F, E>(self, response: F) -> Held<F>
    where
        F: Future<Output = Result<LlmResponse, E>>,
        E: Into<Error>,
    {
        Held { state: Holding::Call { future: response, hold: self } }
    }
}

impl Body {
    /// Waits for the first content, holding back the frames before it.
    ///
    /// A whole answer, and one that was waited for before, is handed on at once. A finish reason counts as content:
    /// the answer is empty, and that is the answer.
    ///
    /// # Errors
    /// Whatever the stream fails with before its first content; the body is gone then.
    pub fn until_content(self, hold: HoldBack) -> UntilContent {
        UntilContent { body: Some(self), hold, held_bytes: 0, timer: None }
    }
}

/// The future of [`Body::until_content`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct UntilContent {
    body: Option<Body>,
    hold: HoldBack,
    held_bytes: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Future for UntilContent {
    type Output = Result<Body, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let body = this.body.as_mut().expect("polled after completion");
        while this.held_bytes <= this.hold.bytes {
            match body.poll_hold(cx) {
                Poll::Ready(Some(Ok(bytes))) => this.held_bytes += bytes,
                Poll::Ready(Some(Err(error))) => {
                    this.body = None;
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(None) => break,
                Poll::Pending => {
                    let Some(wait) = this.hold.wait else { return Poll::Pending };
                    let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(wait)));
                    ready!(timer.as_mut().poll(cx));
                    break;
                }
            }
        }
        body.commit();
        Poll::Ready(Ok(this.body.take().expect("it was there above")))
    }
}

pin_project! {
    /// The future of [`HoldBack::until_content`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Held<F> {
        #[pin]
        state: Holding<F>,
    }
}

pin_project! {
    #[project = HoldingProjection]
    #[derive(Debug)]
    enum Holding<F> {
        Call { #[pin] future: F, hold: HoldBack },
        Hold { head: Option<Head>, body: UntilContent },
    }
}

impl<F, E> Future for Held<F>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                HoldingProjection::Call { future, hold } => match ready!(future.poll(cx)) {
                    // There is nothing to wait for, and responses are large to move about.
                    Ok(response) if response.body.is_full() => return Poll::Ready(Ok(response)),
                    Ok(LlmResponse { head, body }) => {
                        let body = body.until_content(*hold);
                        this.state.set(Holding::Hold { head: Some(head), body });
                    }
                    Err(error) => return Poll::Ready(Err(error.into())),
                },
                HoldingProjection::Hold { head, body } => {
                    let body = ready!(Pin::new(body).poll(cx));
                    return Poll::Ready(
                        body.map(|body| LlmResponse::new(head.take().expect("polled after completion"), body)),
                    );
                }
            }
        }
    }
}

/// A service whose answers have been held until their first content.
///
/// Layers that may call again put it around what they call, so that every failure before content reaches them as an
/// ordinary `Err`. It also notes failed attempts in the call's trail, and turns the inner error into an [`Error`].
#[derive(Clone, Debug)]
pub struct Commit<S> {
    inner: S,
    hold: HoldBack,
}

impl<S> Commit<S> {
    /// Holds the answers of `inner` within `hold`.
    pub fn new(inner: S, hold: HoldBack) -> Self {
        Self { inner, hold }
    }
}

impl<S> Service<LlmRequest> for Commit<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = CommitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let context = request.context();
        let entry = Entry { trail: context.trail(), attempt: context.attempt(), target: context.target().cloned() };
        CommitFuture { held: self.hold.until_content(self.inner.call(request)), entry }
    }
}

#[derive(Debug)]
struct Entry {
    trail: Trail,
    attempt: Attempt,
    target: Option<Target>,
}

pin_project! {
    /// The future of [`Commit`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct CommitFuture<F> {
        #[pin]
        held: Held<F>,
        entry: Entry,
    }
}

impl<F, E> Future for CommitFuture<F>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.held.poll(cx));
        if let Err(error) = &result {
            this.entry.trail.fail(this.entry.attempt, this.entry.target.as_ref(), error);
        }
        Poll::Ready(result)
    }
}
