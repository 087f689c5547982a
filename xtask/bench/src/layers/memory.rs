//! What the layers remember of each target: bytes, for few targets and for many.

use std::{
    future::{Ready, ready},
    num::NonZeroUsize,
    pin::pin,
    task::{Context, Poll, Waker},
};

use llm_breaker::BreakerLayer;
use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Output, Target};
use llm_retry::{HedgeLayer, RetryLayer};
use tower::{Layer, Service};

use super::calls::PROVIDER;
use crate::{
    effort::Effort,
    kept::{self, Fill},
    operation::Allocated,
    report::Report,
    table::Table,
};

/// Layers that remember targets.
const LAYERS: [(&str, Fill); 3] = [
    ("llm-breaker, a failure each", |targets| {
        let layer = BreakerLayer::new().most_circuits(targets);
        call_each(layer.layer(Echo::Failing), targets);
        Box::new(layer)
    }),
    ("llm-retry, a retry each", |targets| {
        let layer = RetryLayer::new().targets(targets);
        call_each(layer.layer(Echo::Failing), targets);
        Box::new(layer)
    }),
    ("llm-retry's hedge, an answer each", |targets| {
        let layer = HedgeLayer::new().targets(targets);
        call_each(layer.layer(Echo::Answering), targets);
        Box::new(layer)
    }),
];

/// Answers, or fails as a provider does that has trouble.
#[derive(Clone, Copy, Debug)]
enum Echo {
    Answering,
    Failing,
}

impl Service<LlmRequest> for Echo {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Ready<Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: LlmRequest) -> Self::Future {
        ready(match self {
            Self::Answering => Ok(Output::text("blue").into()),
            Self::Failing => Err(Error::new(ErrorKind::Server, "down")),
        })
    }
}

/// Calls each of many targets once. Who would wait for a retry is dropped.
fn call_each<S: Service<LlmRequest>>(mut service: S, targets: NonZeroUsize) {
    let mut cx = Context::from_waker(Waker::noop());
    for number in 0..targets.get() {
        let mut request = LlmRequest::chat("any").user("Which colour?").build();
        request.context_mut().set_target(Target::new(PROVIDER, format!("model-{number:07}")));
        assert!(service.poll_ready(&mut cx).is_ready(), "the echo is ready");
        // What comes of it is not what this is about.
        let _ = pin!(service.call(request)).poll(&mut cx);
    }
}

/// What is counted, by the program that counts.
pub fn fills() -> impl Iterator<Item = Fill> {
    LAYERS.into_iter().map(|(_, fill)| fill)
}

/// Bytes for each target, from the program that counts.
pub(super) fn table(effort: Effort, counted: &[Allocated], report: &mut Report) -> Table {
    let mut table = kept::table("Layers: bytes for each target that is remembered", "layer", "targets", effort);
    kept::rows(&mut table, LAYERS.iter().map(|(name, _)| *name), counted, super::LAYERS, effort, report);
    table
}
