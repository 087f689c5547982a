//! What a call through the layer allocates beyond what the inner call does: nothing, and one thing for a stream.

use std::{alloc::System, future::Ready};

use futures_util::{FutureExt, StreamExt, stream};
use llm_core::{Body, Error, ErrorKind, Frame, Head, LlmRequest, LlmResponse, Output};
use llm_timeout::TimeoutLayer;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn answer(request: LlmRequest) -> Ready<Result<LlmResponse, Error>> {
    let body = if request.is_stream() {
        Body::stream(stream::iter([Ok(Frame::text("Blue.")), Ok(Frame::default().last())]))
    } else if request.model() == "failing" {
        return std::future::ready(Err(Error::new(ErrorKind::Server, "the scripted failure")));
    } else {
        Body::full(Output::text("Blue."))
    };
    std::future::ready(Ok(LlmResponse::new(Head::default(), body)))
}

/// The allocations of a call to its end; of several calls the fewest, because the test harness may allocate meanwhile.
fn allocations<S: Service<LlmRequest, Response = LlmResponse>>(mut service: S, request: &LlmRequest) -> usize {
    let call = |service: &mut S| {
        let request = request.clone();
        let region = Region::new(ALLOCATOR);
        let answered = service.call(request).now_or_never().expect("it is ready at once");
        if let Ok(mut response) = answered {
            while response.body.next().now_or_never().expect("each frame is there").is_some() {}
        }
        region.change().allocations
    };
    (0..10).map(|_| call(&mut service)).min().expect("there were ten")
}

#[test]
fn a_whole_answer_and_a_failure_allocate_nothing_and_a_stream_one_thing() {
    let whole = LlmRequest::chat("m").user("Why is the sky blue?").build();
    let failing = LlmRequest::chat("failing").user("Why is the sky blue?").build();
    let streamed = LlmRequest::chat("m").user("Why is the sky blue?").stream().build();
    for (request, added) in [(whole, 0), (failing, 0), (streamed, 1)] {
        let inner = allocations(service_fn(answer), &request);
        assert!(inner > 0, "something was counted");
        let through = allocations(TimeoutLayer::new().layer(service_fn(answer)), &request);
        assert_eq!(through - inner, added, "{request:?}");
    }
}
