//! `Dispatch` keeps the laws of all layers, with the inner service as its only provider.

use llm_core::BoxLlmService;
use llm_router::Dispatch;
use llm_test::{Subject, contract};
use tower::layer::layer_fn;

fn dispatch() -> Subject {
    // The name that the laws give the provider of their targets.
    // They call it with sensitive requests too.
    let over =
        |models: &'static [&str]| move |inner| Dispatch::new().provider("provider", inner, models).local("provider");
    let serves_nothing = move || layer_fn(over(&[]));
    Subject::stack("Dispatch", move |inner| BoxLlmService::new(over(&["*"])(inner)))
        .always_ready()
        .rejecting(serves_nothing)
        .shows("an empty dispatch", Dispatch::new())
}

contract!(dispatch);
