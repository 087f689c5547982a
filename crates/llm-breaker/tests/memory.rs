//! What circuits take up, and what a call allocates. A program of its own, with an allocator that counts.

use std::{alloc::System, hint::black_box};

use futures_util::FutureExt;
use llm_breaker::{BreakerLayer, CircuitRules, CircuitState, Rate};
use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Output, Target};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The most that a circuit takes up with its key, for names of usual length. The docs of `most_circuits` state what it is: a little
/// less.
const BYTES_A_CIRCUIT: usize = 200;
/// The same under `rate`.
const BYTES_A_WINDOW: usize = 400;

fn ask(model: &str) -> LlmRequest {
    let mut request = LlmRequest::chat(model).user("hi").build();
    request.context_mut().set_target(Target::new("openai", model));
    request
}

/// The bytes that stay behind for each circuit after one call of each of so many keys, which all fail.
fn bytes_a_circuit(rules: CircuitRules, keys: usize) -> usize {
    let layer = BreakerLayer::new().rules(rules);
    let down = |_: LlmRequest| std::future::ready(Err::<LlmResponse, _>(Error::new(ErrorKind::Server, "down")));
    let mut service = layer.layer(service_fn(down));
    let region = Region::new(ALLOCATOR);
    for number in 0..keys {
        _ = service.call(ask(&format!("some-model-{number}"))).now_or_never();
    }
    let change = region.change();
    let kept = change.bytes_allocated - change.bytes_deallocated;
    let circuits = layer.handle().len();
    assert_eq!(circuits, 10_000);
    assert!(matches!(layer.handle().overflow_status().state, CircuitState::Open { .. }));
    kept / circuits
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

#[test]
fn a_million_keys_stay_within_the_stated_bytes_and_a_healthy_call_allocates_nothing() {
    let of_score = bytes_a_circuit(CircuitRules::interactive(), 1_000_000);
    println!("a circuit takes up {of_score} bytes");
    assert!(of_score <= BYTES_A_CIRCUIT, "{of_score}");
    let of_rate = bytes_a_circuit(CircuitRules::interactive().trip(Rate::default()), 50_000);
    println!("one under `rate` takes up {of_rate} bytes");
    assert!(of_rate <= BYTES_A_WINDOW, "{of_rate}");

    let fine = |_: LlmRequest| std::future::ready(Ok::<_, Error>(LlmResponse::from(Output::text("fine"))));
    let layer = BreakerLayer::new();
    let request = ask("gpt-4o");
    let bare = allocations(&mut service_fn(fine), &request);
    assert_ne!(bare, 0);
    assert_eq!(allocations(&mut layer.layer(service_fn(fine)), &request), bare);

    // Nor does it while others fail, and its own circuit has something to forget.
    let down = |_: LlmRequest| std::future::ready(Err::<LlmResponse, _>(Error::new(ErrorKind::Server, "down")));
    for model in ["gpt-4o", "o3"] {
        _ = layer.layer(service_fn(down)).call(ask(model)).now_or_never();
    }
    assert_eq!(layer.handle().len(), 2);
    assert_eq!(allocations(&mut layer.layer(service_fn(fine)), &request), bare);
}
