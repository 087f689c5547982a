//! How many callers wait for the first content of their answer, and how long those had to who have it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use llm_core::{Error, LlmRequest, LlmResponse, Observer, Outcome, Progress, Watch, watch_end};
use tokio::time::Instant;
use tower::{Layer, Service};

/// Measures how long callers wait. Clones, all services of one layer value and their handles share the figures.
#[derive(Clone, Debug, Default)]
pub struct FirstContentLayer {
    figures: Arc<Figures>,
}

impl FirstContentLayer {
    /// A layer with figures of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was measured.
    pub fn handle(&self) -> FirstContentHandle {
        FirstContentHandle { figures: Arc::clone(&self.figures) }
    }
}

impl<S> Layer<S> for FirstContentLayer {
    type Service = FirstContent<S>;

    fn layer(&self, inner: S) -> FirstContent<S> {
        FirstContent { inner, figures: Arc::clone(&self.figures) }
    }
}

/// The service of [`FirstContentLayer`].
#[derive(Clone, Debug)]
pub struct FirstContent<S> {
    inner: S,
    figures: Arc<Figures>,
}

impl<S> Service<LlmRequest> for FirstContent<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = Watch<S::Future, Wait>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        // The instance that was readied is the one that is called; no clone is.
        watch_end(self.inner.call(request), Wait::begin(&self.figures))
    }
}

/// One call that waits. It is one value from the call to the end of its stream, wherever that goes.
#[derive(Debug)]
pub struct Wait {
    figures: Arc<Figures>,
    begun: Instant,
    is_over: bool,
}

impl Wait {
    fn begin(figures: &Arc<Figures>) -> Self {
        figures.waiting.fetch_add(1, Relaxed);
        Self { figures: Arc::clone(figures), begun: Instant::now(), is_over: false }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.figures.waiting.fetch_sub(1, Relaxed);
        }
    }
}

impl Observer for Wait {
    fn on_content(&mut self, _: &Progress) {
        let waited = self.begun.elapsed().as_millis() as u64;
        self.figures.answers.fetch_add(1, Relaxed);
        self.figures.waited_ms.fetch_add(waited, Relaxed);
        self.end();
    }

    // Without content: the call failed, nobody waits any more, or the answer is empty.
    fn on_end(&mut self, _: &Outcome<'_>) {
        self.end();
    }
}

#[derive(Debug, Default)]
struct Figures {
    waiting: AtomicU64,
    answers: AtomicU64,
    waited_ms: AtomicU64,
}

/// What a [`FirstContentLayer`] has measured.
#[derive(Clone, Debug)]
pub struct FirstContentHandle {
    figures: Arc<Figures>,
}

impl FirstContentHandle {
    /// How many calls wait for content now.
    pub fn waiting(&self) -> u64 {
        self.figures.waiting.load(Relaxed)
    }

    /// How many calls have had content.
    pub fn answers(&self) -> u64 {
        self.figures.answers.load(Relaxed)
    }

    /// How long those waited on average; nothing before the first one.
    pub fn mean(&self) -> Option<Duration> {
        let waited = self.figures.waited_ms.load(Relaxed);
        waited.checked_div(self.answers()).map(Duration::from_millis)
    }
}
