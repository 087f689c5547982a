//! A call that goes well costs one allocation, its future. Alone in its program, because the count is the whole
//! program's.

use std::{
    alloc::System,
    future::{Ready, ready},
    sync::Arc,
};

use llm_core::{Error, LlmRequest, LlmResponse, Output, catalog::Catalog};
use llm_router::{Plan, ProviderEntry, RouterLayer, Rule, Rules, Strategy, Targets, When};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn echo(_: LlmRequest) -> Ready<Result<LlmResponse, Error>> {
    ready(Ok(Output::text("").into()))
}

async fn allocations<S>(mut service: S, model: &str) -> usize
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error>,
{
    let request = LlmRequest::chat(model).user("Why?").build();
    let mut call = async || {
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.expect("it is always ready");
        drop(service.call(request.clone()).await.expect("it always answers"));
    };
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

fn router() -> RouterLayer {
    let targets = Targets::new(Arc::new(Catalog::builtin().clone()))
        .provider(ProviderEntry::new("openai").models(["gpt-4o", "gpt-4o-mini"]).keys(["first", "second"]))
        .provider(ProviderEntry::new("azure").models(["gpt-4o"]))
        .provider(ProviderEntry::new("ollama").models(["llama3"]).local());
    let three = ["azure/gpt-4o", "openai/gpt-4o#first", "ollama/llama3"];
    let least_loaded = targets.route(three).expect("all are there").strategy(Strategy::LeastLoaded);
    let ordered = targets.route(three).expect("all are there");
    let rules = Rules::new([Rule::new(When::new().workflow(["extraction"])).to("ordered")]);
    let plan = Plan::new(targets).route("least-loaded", least_loaded).route("ordered", ordered);
    RouterLayer::new(plan.rules(rules).expect("its route is there"))
}

#[tokio::test]
async fn a_call_that_goes_well_allocates_its_future_and_nothing_more() {
    let layer = router();
    for model in ["ollama/llama3", "gpt-4o", "gpt-4o-mini", "least-loaded", "ordered"] {
        let bare = allocations(service_fn(echo), model).await;
        assert!(bare >= 100, "the answer itself is one");
        assert_eq!(allocations(layer.layer(service_fn(echo)), model).await, bare + 100, "{model}");
    }
}
