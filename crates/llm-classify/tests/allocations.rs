//! Judging a request costs no allocation. Alone in its program, because the count is the whole program's.

use std::alloc::System;

use llm_classify::{Classifier, ClassifyLayer, Detector, Guess, Patterns};
use llm_core::{Context, Error, LlmRequest, LlmResponse};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Debug)]
struct Question;

impl Classifier for Question {
    fn intents(&self) -> &[&'static str] {
        &["question"]
    }

    fn classify(&self, _: &LlmRequest) -> Option<Guess> {
        Some(Guess { intent: "question", confidence: 1.0 })
    }
}

/// Refuses nothing and answers nothing, for nothing.
#[derive(Clone)]
struct Ends;

impl Service<LlmRequest> for Ends {
    type Response = LlmResponse;
    type Error = Error;
    type Future = std::future::Pending<Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        assert_eq!(request.context().intent(), Some("question"));
        std::future::pending()
    }
}

#[test]
fn judging_allocates_nothing() {
    let texts = [
        "Why is the sky blue? ".repeat(50),
        "4111 1111 1111 1112, +1 23 45, a@b, sk-x, ".repeat(50),
        "jane@example.com".into(),
    ];
    let patterns = Patterns::all();
    let mut service = ClassifyLayer::new().classifier(Question).detector(patterns.clone()).layer(Ends);
    for text in texts {
        let request = LlmRequest::chat("m").user(text.as_str()).build();
        // What is counted by kind is made room for by the first call.
        drop(service.call(request.clone().with_context(Context::default())));
        let mut round = || {
            let requests: Vec<LlmRequest> =
                (0..100).map(|_| request.clone().with_context(Context::default())).collect();
            let region = Region::new(ALLOCATOR);
            for request in requests {
                let _ = patterns.find(&text);
                drop(service.call(request));
            }
            region.change().allocations
        };
        // Of several rounds the fewest, because the test harness may allocate meanwhile.
        assert_eq!((0..5).map(|_| round()).min(), Some(0));
    }
}
