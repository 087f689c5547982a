//! Kept answers among the other layers, and for clients of every kind.

#![allow(clippy::unwrap_used)]

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use llm_breaker::BreakerLayer;
use llm_budget::limit::LimitRule;
use llm_budget::{BudgetLayer, Cap, CapRule, LimitLayer, Per, Window};
use llm_cache::{CacheLayer, Refused, prompt::PromptCacheLayer};
use llm_core::{
    BoxLlmService, CacheStatus, Caller, ChatOutput, Error, ErrorKind, Json, LlmRequest, LlmResponse, NanoUsd, Output,
    Part, PartContent, Served, Target, Tool, catalog::Catalog,
};
use llm_providers::{Client, ProviderDialect, ProviderLayer};
use llm_router::{Dispatch, Plan, ProviderEntry, RouterLayer, Targets};
use llm_serve::Door;
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig, SimServer};
use tower::{Layer, ServiceBuilder, ServiceExt};

const DIALECTS: [ProviderDialect; 2] = [ProviderDialect::OpenAi, ProviderDialect::Anthropic];

fn provider_layer(dialect: ProviderDialect, base_url: &str) -> ProviderLayer {
    let base_url = base_url.parse().unwrap();
    match dialect {
        ProviderDialect::OpenAi => ProviderLayer::openai("sim", base_url),
        ProviderDialect::Anthropic => ProviderLayer::anthropic("sim", base_url),
    }
}

async fn serve(models: impl IntoIterator<Item = ModelConfig>) -> SimServer {
    Sim::try_from(SimConfig::new(models)).unwrap().serve("127.0.0.1:0").await.unwrap()
}

fn question(text: &str) -> LlmRequest {
    LlmRequest::chat("m").user(text).temperature(0.0).max_output_tokens(100).build()
}

/// A question of a client's, with a tool or without.
fn asked(with_tool: bool, is_stream: bool) -> LlmRequest {
    let mut chat = LlmRequest::chat("m").system("Be brief.").user("Why is the sky blue?");
    chat = chat.temperature(0.0).max_output_tokens(100);
    if with_tool {
        let schema = r#"{"type":"object","properties":{"at":{"type":"string"}},"required":["at"]}"#;
        chat = chat.tool(Tool::function("look", "Looks at something.", Json::from_text(schema).unwrap()));
    }
    if is_stream { chat.stream().build() } else { chat.build() }
}

/// What is said, without what a dialect has no words for.
fn said(output: Output) -> ChatOutput {
    let Output::Chat(mut chat) = output else { unreachable!() };
    chat.extra = Default::default();
    chat.dialect = None;
    chat.start.created = None;
    for choice in &mut chat.choices {
        choice.extra = Default::default();
        choice.parts.iter_mut().for_each(|part| part.extra = Default::default());
    }
    chat
}

/// Each client, of either dialect, for a whole answer or a stream, is answered by what any other one was: over real
/// sockets below, and with each client's own bytes.
#[tokio::test]
async fn every_client_is_answered_by_what_any_other_was() {
    let kinds = || DIALECTS.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]);
    for dialect in DIALECTS {
        for with_tool in [false, true] {
            for first in kinds() {
                let sim = serve([ModelConfig::instant("m")]).await;
                let provider = provider_layer(dialect, &sim.base_url()).layer(Client::default());
                let cache = CacheLayer::new();
                let handle = cache.handle();
                let door = Door::new(cache.layer(provider), vec![]);
                let mut answers = Vec::new();
                for (client, is_stream) in [first].into_iter().chain(kinds()) {
                    let client = provider_layer(client, "http://127.0.0.1/v1").layer(door.clone());
                    let response = client.oneshot(asked(with_tool, is_stream)).await.unwrap();
                    answers.push(said(response.body.collect().await.unwrap()));
                }
                let case = format!("{dialect:?}, tool: {with_tool}, first: {first:?}");
                assert_eq!((sim.log().len(), handle.counts().hits), (1, 4), "{case}");
                let first = &answers[0];
                assert!(first.choices[0].finish.is_some() && first.usage.is_some(), "{case}");
                let is_call = |part: &Part| matches!(part.content, PartContent::ToolCall(_));
                assert_eq!(first.choices[0].parts.iter().any(is_call), with_tool, "{case}");
                for answer in &answers {
                    assert_eq!(answer.choices, first.choices, "{case}");
                    assert_eq!(answer.usage.map(|usage| usage.output), first.usage.map(|usage| usage.output), "{case}");
                }
            }
        }
    }
}

fn sim(models: impl IntoIterator<Item = ModelConfig>) -> Sim {
    Sim::try_from(SimConfig::new(models)).unwrap()
}

async fn ask(service: &BoxLlmService, request: LlmRequest) -> Result<(CacheStatus, String), Error> {
    let LlmResponse { head, body } = service.clone().oneshot(request).await?;
    Ok((head.cache, body.collect().await?.first_text()))
}

fn is_hit(answer: Result<(CacheStatus, String), Error>) -> bool {
    matches!(answer, Ok((CacheStatus::Hit { .. }, _)))
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_given_while_the_circuit_below_is_open() {
    let breaker = BreakerLayer::new();
    let circuits = breaker.handle();
    let layers = ServiceBuilder::new().layer(CacheLayer::new()).layer(breaker);
    let service = BoxLlmService::new(layers.service(sim([ModelConfig::instant("m")])));
    let (_, text) = ask(&service, question("Why?")).await.unwrap();
    assert!(circuits.force_open(&Target::new("", "m")));
    assert!(is_hit(ask(&service, question("Why?")).await));
    assert_eq!(ask(&service, question("How?")).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
    let age = Duration::from_secs(10 * 3_600);
    tokio::time::advance(age).await;
    assert_eq!(ask(&service, question("Why?")).await.unwrap(), (CacheStatus::Stale { age }, text));
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_spends_nothing_above_or_below_and_counts_for_limits() {
    let prices = "[[models]]\nname = 'm'\ninput = 1000.0\noutput = 1000.0";
    let catalog = Arc::new(Catalog::from_toml(prices).unwrap());
    let cap = |name: &'static str| {
        let cap = CapRule::new(name, Per::TENANT, Cap::new(NanoUsd(1_000_000_000_000), Window::Lifetime));
        BudgetLayer::new([cap]).catalog(Arc::clone(&catalog))
    };
    let (above, below) = (cap("above"), cap("below"));
    let (spent_above, spent_below) = (above.handle(), below.handle());
    let requests = LimitRule::new("requests", Per::TENANT).requests_per_minute(NonZeroU32::new(3).unwrap());
    let layers = ServiceBuilder::new()
        .layer(LimitLayer::new([requests]))
        .layer(above)
        .layer(CacheLayer::new().catalog(Arc::clone(&catalog)))
        .layer(below);
    let service = BoxLlmService::new(layers.service(sim([ModelConfig::instant("m")])));
    let request = || {
        let mut request = question("Why?");
        request.context_mut().set_caller(Caller::tenant("acme"));
        request
    };
    let spent = || [&spent_above, &spent_below].map(|handle| handle.accounts()[0].balances[0].spent);
    ask(&service, request()).await.unwrap();
    let first = spent();
    assert!(first[0].0 > 0 && first[0] == first[1]);
    for _ in 0..2 {
        assert!(is_hit(ask(&service, request()).await));
    }
    assert_eq!(spent(), first);
    assert_eq!(ask(&service, request()).await.unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_substitutes_answer_is_not_kept() {
    let fails_once = FaultRule::new("status 503".parse().unwrap()).calls(..=1);
    let (mut targets, mut dispatch) = (Targets::new(Arc::new(Catalog::new())), Dispatch::new());
    for (name, model) in [("first", ModelConfig::instant("m").fault(fails_once)), ("second", ModelConfig::instant("m"))]
    {
        targets = targets.provider(ProviderEntry::new(name).models(["m"]));
        dispatch = dispatch.provider(name, sim([model]), ["m"]);
    }
    let cache = CacheLayer::new();
    let handle = cache.handle();
    let route = targets.route(["first/m"]).unwrap().then(targets.route(["second/m"]).unwrap());
    let router = RouterLayer::new(Plan::new(targets).route("smart", route));
    let service = ServiceBuilder::new().layer(cache).layer(router).service(dispatch);
    let mut smart = question("Why?");
    smart.set_model("smart");
    let mut served = Vec::new();
    for _ in 0..3 {
        let response = service.clone().oneshot(smart.clone()).await.unwrap();
        served.push((response.head.served, matches!(response.head.cache, CacheStatus::Hit { .. })));
        response.body.collect().await.unwrap();
    }
    let first = Served::FirstChoice;
    assert_eq!(served, [(Served::Substitute, false), (first, false), (first, true)]);
    assert_eq!(handle.refused(Refused::Substitute), 1);
}

/// The provider reads at its second call what it wrote at the first, of a conversation that its caller has not marked.
#[tokio::test]
async fn a_long_prompt_is_kept_by_the_provider_whatever_dialect_it_came_in() {
    let sim = serve([ModelConfig::instant("m")]).await;
    let prices = "[[models]]\nname = 'm'\ninput = 4.0\noutput = 10.0\ncache_read = 0.4\ncache_write = 5.0";
    let layer = PromptCacheLayer::new().catalog(Arc::new(Catalog::from_toml(prices).unwrap()));
    let handle = layer.handle();
    let provider = provider_layer(ProviderDialect::Anthropic, &sim.base_url()).layer(Client::default());
    let door = Door::new(layer.layer(provider), vec![]);
    let handbook = "Every question about the sky has an answer, and most have two. ".repeat(300);
    let mut used = Vec::new();
    for (number, client) in
        [ProviderDialect::Anthropic, ProviderDialect::OpenAi, ProviderDialect::Anthropic].into_iter().enumerate()
    {
        let client = provider_layer(client, "http://127.0.0.1/v1").layer(door.clone());
        let chat = LlmRequest::chat("m").system(handbook.clone()).user(format!("Question {number}: why?"));
        let response = client.oneshot(chat.max_output_tokens(50).build()).await.unwrap();
        let usage = *response.body.collect().await.unwrap().usage().unwrap();
        used.push((usage.cache_write > 1_024, usage.cache_read > 1_024));
    }
    assert_eq!(used[0], (true, false));
    assert!(used[1..].iter().all(|(_, reads)| *reads), "{used:?}");
    let counts = handle.counts();
    assert_eq!(counts.asked, 3);
    assert!(counts.saved > counts.extra && counts.read_tokens > counts.written_tokens, "{counts:?}");
}
