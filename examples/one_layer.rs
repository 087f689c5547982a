//! One layer alone, over a service of your own: retries for a model that is overloaded at first.
//!
//! `cargo run -p examples --example one_layer`
//!
//! A model service is any tower service from `LlmRequest` to `LlmResponse`; here it is a function. No layer needs another
//! one, a provider of ours, or http.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use llm_core::{Error, ErrorKind, LlmRequest, LlmResponse, Output};
use llm_retry::RetryLayer;
use tower::{ServiceBuilder, ServiceExt, service_fn};

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Your own service: it fails twice, and the first time it says when to come back.
async fn model(request: LlmRequest) -> Result<LlmResponse, Error> {
    match CALLS.fetch_add(1, Relaxed) {
        0 => Err(Error::new(ErrorKind::Overloaded, "too busy").with_retry_after(Duration::from_millis(300))),
        1 => Err(Error::new(ErrorKind::Server, "out of order")),
        _ => Ok(LlmResponse::from(Output::text(format!("{} says: blue.", request.model())))),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let retry = RetryLayer::new();
    let handle = retry.handle();
    let service = ServiceBuilder::new().layer(retry).service(service_fn(model));

    let request = LlmRequest::chat("my-model").user("Which colour has the sky?").build();
    let trail = request.context().trail();
    let answer = service.oneshot(request).await?.body.collect().await?;
    println!("{}", answer.first_text());

    // The call's trail tells what the layer decided, and the layer's handle what it did in all.
    for attempt in trail.attempts() {
        println!("attempt {}: {:?}, {}", attempt.number + 1, attempt.end, attempt.verdict.unwrap_or("not judged"));
    }
    println!("{} calls, {} retries", CALLS.load(Relaxed), handle.retries());
    Ok(())
}
