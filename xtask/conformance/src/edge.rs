//! What stands for a provider's edge: it writes each attempt into the trail, and is otherwise not there.

use std::task::{Context, Poll};

use llm_core::{BoxLlmService, Error, LlmRequest, LlmResponse, Observer, Outcome, Price, Trail, Watch, watch};
use tower::Service;

/// The inner service, whose calls stand in the trail with what they used and what that cost.
#[derive(Clone, Debug)]
pub struct Edge {
    inner: BoxLlmService,
    price: Price,
}

impl Edge {
    /// Around what stands for the provider's model.
    pub fn new(inner: BoxLlmService, price: Price) -> Self {
        Self { inner, price }
    }
}

impl Service<LlmRequest> for Edge {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Watch<<BoxLlmService as Service<LlmRequest>>::Future, Entry>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let context = request.context();
        let (trail, attempt) = (context.trail(), context.attempt());
        trail.begin(attempt, Some(&request.target_or_model().to_target()));
        let entry = Entry { trail, number: attempt.number, price: self.price.clone() };
        watch(&request.clone(), self.inner.call(request), entry)
    }
}

/// An attempt under way, which is written down when it is over.
#[derive(Debug)]
pub struct Entry {
    trail: Trail,
    number: u32,
    price: Price,
}

impl Observer for Entry {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let usage = outcome.progress().usage();
        self.trail.update(self.number, |record| {
            record.end = Some(outcome.to_end());
            record.usage = Some(usage);
            record.cost = Some(self.price.cost(&usage).total());
        });
    }
}
