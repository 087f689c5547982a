//! How many calls are open, and how those that are over have ended.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::task::{Context, Poll};

use llm_core::{Error, LlmRequest, LlmResponse, Observer, Outcome, Watch, watch};
use serde::Serialize;
use tower::{Layer, Service};

/// Counts calls by how they end. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    begun: AtomicU64,
    complete: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) open: u64,
    pub(crate) complete: u64,
    pub(crate) failed: u64,
    pub(crate) abandoned: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

impl Stats {
    pub(crate) fn counts(&self) -> Counts {
        let counters = &*self.0;
        // Ends are read before beginnings, so that the difference is never negative.
        let (complete, failed, abandoned) =
            (counters.complete.load(Relaxed), counters.failed.load(Relaxed), counters.abandoned.load(Relaxed));
        Counts {
            open: counters.begun.load(Relaxed).saturating_sub(complete + failed + abandoned),
            complete,
            failed,
            abandoned,
            input_tokens: counters.input_tokens.load(Relaxed),
            output_tokens: counters.output_tokens.load(Relaxed),
        }
    }
}

/// One call, from its beginning to its outcome.
#[derive(Debug)]
pub(crate) struct Counted(Stats);

impl Observer for Counted {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let counters = &*self.0.0;
        let ended = match outcome {
            Outcome::Complete(_) => &counters.complete,
            Outcome::Failed(..) => &counters.failed,
            Outcome::Abandoned(_) => &counters.abandoned,
        };
        let usage = outcome.progress().usage();
        counters.input_tokens.fetch_add(usage.input, Relaxed);
        counters.output_tokens.fetch_add(usage.output, Relaxed);
        ended.fetch_add(1, Relaxed);
    }
}

impl<S> Layer<S> for Stats {
    type Service = CountCalls<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountCalls { inner, stats: self.clone() }
    }
}

/// The service of [`Stats`].
#[derive(Clone, Debug)]
pub(crate) struct CountCalls<S> {
    inner: S,
    stats: Stats,
}

impl<S> Service<LlmRequest> for CountCalls<S>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = Watch<S::Future, Counted>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        self.stats.0.begun.fetch_add(1, Relaxed);
        watch(&request.clone(), self.inner.call(request), Counted(self.stats.clone()))
    }
}
