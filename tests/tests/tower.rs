//! tower's own layers stand in the middle of a stack, and what they refuse has a kind.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use llm_core::{BoxLlmService, Error, ErrorKind, LlmRequest, LlmResponse, Output, Phase};
use llm_router::Dispatch;
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, service_fn};

fn sim() -> Sim {
    let fails = ModelConfig::instant("fails").fault(FaultRule::new("status 429 retry-after=7".parse().unwrap()));
    let hangs = ModelConfig::instant("hangs").fault(FaultRule::new("hang".parse().unwrap()));
    Sim::try_from(SimConfig::new([ModelConfig::instant("works"), fails, hangs])).unwrap()
}

fn ask(model: &str) -> LlmRequest {
    LlmRequest::chat(model).user("hi").build()
}

/// Anything of tower's over a simulated provider, below a dispatch of ours.
fn stack<L>(layer: L) -> Dispatch
where
    L: Layer<Sim>,
    L::Service: Service<LlmRequest, Response = LlmResponse, Error = BoxError> + Clone + Send + Sync + 'static,
    <L::Service as Service<LlmRequest>>::Future: Send,
{
    Dispatch::new().provider("sim", layer.layer(sim()), ["*"])
}

#[tokio::test(start_paused = true)]
async fn an_error_keeps_its_kind_and_advice_behind_towers_buffer() {
    let stack = stack(BufferLayer::new(8));
    assert!(!text(stack.clone(), "works").await.unwrap().is_empty());
    let error = text(stack, "fails").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn towers_timeout_is_a_timeout_of_the_head() {
    let stack = stack(ServiceBuilder::new().timeout(Duration::from_secs(3)));
    let begun = tokio::time::Instant::now();
    assert_eq!(text(stack, "hangs").await.unwrap_err().kind(), ErrorKind::Timeout(Phase::Head));
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn towers_load_shed_is_a_limit_of_ours() {
    let limited = ServiceBuilder::new().load_shed().concurrency_limit(1);
    let stack = stack(limited);
    let hanging = tokio::spawn(stack.clone().oneshot(ask("hangs")));
    tokio::task::yield_now().await;
    assert_eq!(text(stack, "works").await.unwrap_err().kind(), ErrorKind::LimitExceeded);
    hanging.abort();
}

#[tokio::test]
async fn a_stack_built_at_run_time_has_one_type() {
    let answer = service_fn(|_: LlmRequest| async { Ok::<_, Error>(LlmResponse::from(Output::text("here"))) });
    let stacks: Vec<BoxLlmService> = vec![BoxLlmService::new(answer), BoxLlmService::new(Dispatch::new())];
    assert_eq!(stacks[0].clone().oneshot(ask("m")).await.unwrap().body.collect().await.unwrap().first_text(), "here");
    assert_eq!(stacks[1].clone().oneshot(ask("m")).await.unwrap_err().kind(), ErrorKind::UnknownModel);
}

async fn text(stack: Dispatch, model: &str) -> Result<String, Error> {
    Ok(stack.oneshot(ask(model)).await?.body.collect().await?.first_text())
}
