//! What callers take up, and what a call allocates. A program of its own, with an allocator that counts.

use std::{
    alloc::System,
    hint::black_box,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
};

use futures_util::FutureExt;
use llm_budget::{
    Per,
    limit::{LimitLayer, LimitRule},
};
use llm_core::{Caller, Error, LlmRequest, LlmResponse, Output};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The most that a caller takes up in a limit, for names of usual length. The docs of `most_callers` state it.
const BYTES_A_CALLER: usize = 210;

fn fine(_: LlmRequest) -> std::future::Ready<Result<LlmResponse, Error>> {
    std::future::ready(Ok(LlmResponse::from(Output::text("fine"))))
}

fn rule(name: &str, per: Per) -> LimitRule {
    let some = NonZeroU32::new(1_000_000).expect("it is not zero");
    let many = NonZeroU64::new(1_000_000_000).expect("it is not zero");
    LimitRule::new(name, per).requests_per_minute(some).tokens_per_minute(many).at_once(some)
}

fn ask(user: &str) -> LlmRequest {
    let mut request = LlmRequest::chat("gpt-4o").user("hi").build();
    let caller = Caller { user: Some(user.into()), ..Caller::tenant("some-tenant") };
    request.context_mut().set_caller(caller);
    request
}

/// The bytes that stay behind for each of so many callers, of whom all have called.
fn bytes_a_caller(callers: usize) -> usize {
    // Time stands still, so that nobody has nothing to remember.
    let layer = LimitLayer::new([rule("per-user", Per::USER)]);
    let layer = layer.most_callers(NonZeroUsize::new(callers).expect("it is not zero"));
    let mut service = layer.layer(service_fn(fine));
    let region = Region::new(ALLOCATOR);
    for number in 0..callers {
        _ = service.call(ask(&format!("some-user-{number}"))).now_or_never();
    }
    let change = region.change();
    assert_eq!(layer.handle().counts()[0].callers, callers);
    (change.bytes_allocated - change.bytes_deallocated) / callers
}

/// How often a call allocates.
fn allocations(service: &mut impl Service<LlmRequest, Response = LlmResponse>, request: &LlmRequest) -> usize {
    const CALLS: usize = 100;
    let requests: Vec<_> = (0..CALLS).map(|_| request.clone()).collect();
    let region = Region::new(ALLOCATOR);
    for request in requests {
        let answer = service.call(request).now_or_never().expect("it does not wait");
        black_box(&answer);
    }
    region.change().allocations / CALLS
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_callers_stay_within_the_stated_bytes_and_a_call_allocates_nothing() {
    let bytes = bytes_a_caller(100_000);
    println!("a caller takes up {bytes} bytes");
    assert!(bytes <= BYTES_A_CALLER, "{bytes}");

    let request = ask("some-user");
    let bare = allocations(&mut service_fn(fine), &request);
    assert_ne!(bare, 0);
    let layer =
        LimitLayer::new([rule("all", Per::GLOBAL), rule("per-tenant", Per::TENANT), rule("per-user", Per::USER)]);
    let mut service = layer.layer(service_fn(fine));
    _ = service.call(request.clone()).now_or_never();
    assert_eq!(allocations(&mut service, &request), bare);
}
