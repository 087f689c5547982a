//! Watching a call from its admission to its outcome.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    Error, LlmRequest, LlmResponse, Observer, Outcome, Progress,
    outcome::{Billed, Prompt},
};

/// Watches `future`, which answers `request`, and then the body of its response, until the call is over.
///
/// The observer is told of every way a call can end: the inner future fails, panics or is dropped before the head,
/// or the body ends as bodies do. So a layer's whole bookkeeping of one call is one value that goes in here.
///
/// A call that is over before its head counts its estimated prompt, if a provider may have worked on it: one that was
/// given up or cut off does, one that was refused does not.
pub fn watch<F, E, O>(request: &LlmRequest, future: F, observer: O) -> Watch<F, O>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
    O: Observer,
{
    let model = request.context().target().map_or(request.model(), |target| target.model());
    Watch::new(Some(Prompt::new(request, model)), future, observer)
}

/// Watches `future` as [`watch`] does, for an observer that asks how a call ends and not what it used.
///
/// Nothing is kept of the request, so a call that is over before its head has the [usage](Progress::usage) that its error
/// tells of, or none.
pub fn watch_end<F, E, O>(future: F, observer: O) -> Watch<F, O>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
    O: Observer,
{
    Watch::new(None, future, observer)
}

pin_project! {
    /// The future of [`watch`] and [`watch_end`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Watch<F, O>
    where
        O: Observer,
    {
        #[pin]
        future: F,
        guard: Guard<O>,
    }
}

impl<F, O: Observer> Watch<F, O> {
    fn new(prompt: Option<Prompt>, future: F, observer: O) -> Self {
        Self { future, guard: Guard { watched: Some((observer, prompt)), polling: false } }
    }
}

#[derive(Debug)]
struct Guard<O: Observer> {
    watched: Option<(O, Option<Prompt>)>,
    // Still set while dropping: the inner future panicked.
    polling: bool,
}

impl<O: Observer> Guard<O> {
    fn end(&mut self, error: Option<&Error>) {
        let Some((mut observer, prompt)) = self.watched.take() else { return };
        let mut progress = Progress::of_prompt(prompt);
        match error {
            Some(error) => {
                progress.fail_at(Instant::now(), error);
                observer.on_end(&Outcome::Failed(&progress, error));
            }
            None => {
                progress.end_at(Instant::now(), Billed::SoFar);
                observer.on_end(&Outcome::Abandoned(&progress));
            }
        }
    }
}

impl<O: Observer> Drop for Guard<O> {
    fn drop(&mut self) {
        if self.polling {
            self.end(Some(&Error::internal("the inner service panicked")));
        } else {
            self.end(None);
        }
    }
}

impl<F, E, O> Future for Watch<F, O>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
    O: Observer,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.guard.polling = true;
        let polled = this.future.poll(cx);
        this.guard.polling = false;
        Poll::Ready(match ready!(polled) {
            Ok(mut response) => {
                if let Some((observer, _)) = this.guard.watched.take() {
                    // In its place, because responses are large to move about.
                    response.body = response.body.observe(observer);
                }
                Ok(response)
            }
            Err(error) => {
                let error = error.into();
                this.guard.end(Some(&error));
                Err(error)
            }
        })
    }
}
