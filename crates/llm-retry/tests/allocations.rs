//! A call that goes well costs no allocation. Alone in its program, because the count is the whole program's.

use std::{
    alloc::System,
    future::{Ready, ready},
};

use llm_core::{Error, LlmRequest, LlmResponse, Output, Target};
use llm_retry::RetryLayer;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn echo(_: LlmRequest) -> Ready<Result<LlmResponse, Error>> {
    ready(Ok(Output::text("").into()))
}

async fn allocations<S>(mut service: S, request: &LlmRequest) -> usize
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error>,
{
    let mut call = async || {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.expect("it is always ready");
        drop(service.call(request.clone()).await.expect("it always answers"));
    };
    // What is made once for a target is made by the first call.
    call().await;
    // Of several rounds the fewest, because the test harness may allocate meanwhile.
    let mut fewest = usize::MAX;
    for _ in 0..5 {
        let region = Region::new(ALLOCATOR);
        for _ in 0..100 {
            call().await;
        }
        fewest = fewest.min(region.change().allocations);
    }
    fewest
}

#[tokio::test]
async fn a_call_that_goes_well_allocates_nothing_more() {
    let mut request = LlmRequest::chat("gpt-4o").user("Why?").build();
    request.context_mut().set_target(Target::new("openai", "gpt-4o").with_key("second"));
    let bare = allocations(service_fn(echo), &request).await;
    assert!(bare >= 100, "the answer itself is one");
    assert_eq!(allocations(RetryLayer::new().layer(service_fn(echo)), &request).await, bare);
}
