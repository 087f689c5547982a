//! Providers' prompt caches: when they are asked for, and what is told of them.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use llm_cache::prompt::{PromptCacheConfig, PromptCacheCounts, PromptCacheLayer};
use llm_core::{
    CacheTtl, Extra, Json, LlmRequest, LlmResponse, Measures, NanoUsd, Output, Part, Payload, PerTarget, Role, Target,
    Tool, Usage, catalog::Catalog,
};
use llm_test::Probe;
use tower::{Layer, ServiceExt, service_fn};

/// About as many tokens as this.
fn long(tokens: usize) -> String {
    "abcd".repeat(tokens)
}

/// For how long the provider was asked to keep the prompt of a request.
async fn asked(layer: &PromptCacheLayer, request: LlmRequest) -> Option<CacheTtl> {
    let probe = Probe::new();
    let log = probe.log();
    layer.layer(probe).oneshot(request).await.unwrap();
    log.requests()[0].context().prompt_cache()
}

#[tokio::test(start_paused = true)]
async fn long_prompts_are_asked_to_be_kept_and_short_ones_are_not() {
    let ask = |tokens| LlmRequest::chat("m").system(long(tokens)).user("Why?").build();
    let layer = PromptCacheLayer::new();
    assert_eq!(asked(&layer, ask(1_100)).await, Some(CacheTtl::FiveMinutes));
    assert_eq!(asked(&layer, ask(900)).await, None);
    assert_eq!(layer.handle().counts().asked, 1);
    let hour = PromptCacheLayer::new().keep_for(CacheTtl::OneHour).least_tokens(100);
    assert_eq!(asked(&hour, ask(900)).await, Some(CacheTtl::OneHour));
}

#[tokio::test(start_paused = true)]
async fn models_may_take_more_before_they_are_asked() {
    let layer = PromptCacheLayer::new().least_tokens(PerTarget::new(100).model("large", 4_096));
    let ask = |model: &str| {
        let mut request = LlmRequest::chat("smart").user(long(1_000)).build();
        request.context_mut().set_target(Target::new("anthropic", model));
        request
    };
    assert!(asked(&layer, ask("small")).await.is_some());
    assert!(asked(&layer, ask("large")).await.is_none());
    let config: PromptCacheConfig =
        toml::from_str("keep_for = '1h'\nleast_tokens = 10\n[models.large]\nleast_tokens = 5_000").unwrap();
    let layer = PromptCacheLayer::try_from(config).unwrap();
    assert_eq!(asked(&layer, ask("small")).await, Some(CacheTtl::OneHour));
    assert!(asked(&layer, ask("large")).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn callers_that_mark_their_prompts_know_better_and_what_is_no_chat_has_none() {
    let layer = PromptCacheLayer::new().least_tokens(0);
    let chat = || LlmRequest::chat("m").system("Be brief.").user("Why?");
    let mark = || Json::from_text(r#"{"type":"ephemeral"}"#).unwrap();
    let marked_part = Part { cache: Some(CacheTtl::OneHour), ..Part::text("hi") };
    let marked_tool = Tool { cache: Some(CacheTtl::FiveMinutes), ..Tool::function("f", "does", mark()) };
    let marked = [
        chat().message(llm_core::Message::new(Role::User, vec![marked_part])).build(),
        chat().tool(marked_tool).build(),
        chat().with(|chat| chat.extra.insert("cache_control", mark())).build(),
        LlmRequest::embed("e", ["hi"]),
        LlmRequest::new("m", Payload::CountTokens(llm_core::Chat::default())),
    ];
    for (at, request) in marked.into_iter().enumerate() {
        assert_eq!(asked(&layer, request).await, None, "{at}");
    }
    let tool = Tool { extra: Extra::new(), ..Tool::function("f", "does", mark()) };
    assert!(asked(&layer, chat().tool(tool).build()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_and_written_is_told_with_what_it_saved_and_cost() {
    let prices = "[[models]]\nname = 'm'\ninput = 4.0\noutput = 10.0\ncache_read = 0.4\ncache_write = 5.0";
    let layer = PromptCacheLayer::new().catalog(Arc::new(Catalog::from_toml(prices).unwrap()));
    let handle = layer.handle();
    let usages = [
        Usage { cache_write: 1_000, ..Usage::reported(1_200, 10) },
        Usage { cache_read: 1_000, cache_write: 100, ..Usage::reported(1_300, 10) },
        Usage::reported(1_300, 10),
    ];
    for (usage, is_unpaid) in usages.into_iter().map(|usage| (usage, false)).chain([(usages[0], true)]) {
        let model = service_fn(move |_: LlmRequest| async move {
            let mut output = Output::text("Blue.");
            output.set_usage(usage);
            let response = LlmResponse::from(output);
            Ok::<_, llm_core::Error>(if is_unpaid { response.map(llm_core::Body::unpaid) } else { response })
        });
        layer.layer(model).oneshot(LlmRequest::chat("m").user("Why?").build()).await.unwrap();
    }
    let expected = PromptCacheCounts {
        asked: 0,
        read_tokens: 1_000,
        written_tokens: 1_100,
        saved: NanoUsd(1_000 * (4_000 - 400)),
        extra: NanoUsd(1_100 * (5_000 - 4_000)),
    };
    assert_eq!(handle.counts(), expected);
    let mut told = Vec::new();
    handle.measure(&mut |measure| told.push((measure.name, measure.value)));
    assert!(told.contains(&("llm.prompt_cache.read_tokens", 1_000.0)));
    assert!(told.contains(&("llm.prompt_cache.saved_nano_usd", 3_600_000.0)));
}
