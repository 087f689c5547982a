//! What the layers remember of each target: bytes, for few targets and for many.

use std::{
    any::Any,
    future::{Ready, ready},
    num::NonZeroUsize,
    pin::pin,
    task::{Context, Poll, Waker},
};

use llm_breaker::BreakerLayer;
use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Output, Target};
use llm_retry::{HedgeLayer, RetryLayer};
use stats_alloc::{Region, StatsAlloc};
use tokio::runtime::Builder;
use tower::{Layer, Service};

use super::calls::PROVIDER;
use crate::{Failure, effort::Effort, operation::Allocated, table::Table};

/// Makes a layer that remembers so many targets.
type Fill = fn(NonZeroUsize) -> Box<dyn Any>;

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

/// How many targets are remembered.
fn sizes(effort: Effort) -> [NonZeroUsize; 2] {
    let size = |quick, full| NonZeroUsize::new(effort.pick(quick, full)).expect("it is not zero");
    [size(100, 10_000), size(1_000, 1_000_000)]
}

/// Prints what every layer has allocated and not given back for so many targets: allocations and bytes, a line for each
/// layer and number of targets.
pub fn print<A: std::alloc::GlobalAlloc>(effort: Effort, allocator: &'static StatsAlloc<A>) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    for (_, fill) in LAYERS {
        for targets in sizes(effort) {
            let region = Region::new(allocator);
            let layer = fill(targets);
            let change = region.change();
            // What was made larger counts as allocated.
            let bytes = change.bytes_allocated - change.bytes_deallocated;
            println!("{} {bytes}", change.allocations - change.deallocations);
            drop(layer);
        }
    }
    Ok(())
}

/// Bytes for each target, from the program that counts.
pub(super) fn table(effort: Effort, counted: &[Allocated]) -> Table {
    let [few, many] = sizes(effort);
    let columns = ["layer", &format!("{few} targets"), &format!("{many} targets")];
    let mut table = Table::new("Layers: bytes for each target that is remembered", columns);
    for ((name, _), counted) in LAYERS.iter().zip(counted.chunks(2)) {
        let each =
            |counted: &Allocated, targets: NonZeroUsize| format!("{:.0}", counted.bytes as f64 / targets.get() as f64);
        table.row(vec![(*name).to_owned(), each(&counted[0], few), each(&counted[1], many)]);
    }
    table
}
