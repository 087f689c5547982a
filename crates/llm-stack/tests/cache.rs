//! The caches stand in their places, go by their tables, and a stack goes on where another was.

#![allow(clippy::unwrap_used)]

use llm_core::{CacheStatus, Error, ErrorKind, LlmRequest, Measures};
use llm_stack::{Stack, StackConfig};
use llm_wire::anthropic::Betas;
use tower::ServiceExt;

fn config(layers: &str) -> StackConfig {
    let simulated = "[simulated]\nmodels = [{ name = \"m\", input = 3.0, output = 15.0, output_tokens = 10 }, { name = \"fails\", \
                     input = 3.0, output = 15.0, output_tokens = 10, faults = [{ calls = \"2..\", fault = \"status 503\" }] }]\n";
    toml::from_str(&format!("retry = false\n{layers}\n{simulated}")).unwrap()
}

fn stack(layers: &str) -> Stack {
    Stack::try_from(config(layers)).unwrap()
}

fn ask(model: &str) -> LlmRequest {
    LlmRequest::chat(model).user("hi").temperature(0.0).max_output_tokens(50).build()
}

/// What the cache had to do with an answer, and its text.
async fn call(stack: &Stack, request: LlmRequest) -> Result<(CacheStatus, String), Error> {
    let response = stack.service().oneshot(request).await?;
    Ok((response.head.cache, response.body.collect().await?.first_text()))
}

fn is_hit((status, _): &(CacheStatus, String)) -> bool {
    matches!(status, CacheStatus::Hit { .. })
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_is_answered_unless_the_cache_is_left_out() {
    let cached = stack("[cache]");
    let first = call(&cached, ask("m")).await.unwrap();
    let second = call(&cached, ask("m")).await.unwrap();
    assert_eq!((first.0, is_hit(&second)), (CacheStatus::Miss, true));
    assert_eq!(first.1, second.1);
    assert_eq!(cached.handles().cache.as_ref().unwrap().counts().hits, 1);
    let plain = stack("");
    for _ in 0..2 {
        assert_eq!(call(&plain, ask("m")).await.unwrap().0, CacheStatus::None);
    }
    assert!(plain.handles().cache.is_none());
    let ruled = stack("[[cache.rules]]\nmodels = \"m\"\nuse_for = \"never\"");
    assert_eq!(call(&ruled, ask("m")).await.unwrap().0, CacheStatus::None);
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_counted_by_limits_and_needs_nothing_below() {
    let layers = "[cache]\nttl = \"1m\"\n[[limit.rules]]\nname = \"all\"\nrequests_per_minute = 3\n\
                  [[budget.caps]]\nname = \"all\"\namounts = { usd = \"0.0009\", window = \"day\" }\n";
    let stack = stack(layers);
    call(&stack, ask("m")).await.unwrap();
    let other = LlmRequest::chat("m").user("bye").temperature(0.0).max_output_tokens(50).build();
    assert_eq!(call(&stack, other).await.unwrap_err().kind(), ErrorKind::BudgetExceeded, "that was all the money");
    assert!(is_hit(&call(&stack, ask("m")).await.unwrap()));
    assert_eq!(call(&stack, ask("m")).await.unwrap_err().kind(), ErrorKind::LimitExceeded);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_stands_in_for_a_target_that_fails_or_whose_circuit_is_open() {
    let stack = stack("[cache]\nttl = \"0s\"\n[breaker]\ntrip = { rule = \"consecutive\", failures = 1 }");
    let fresh = call(&stack, ask("fails")).await.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    for _ in 0..3 {
        let stale = call(&stack, ask("fails")).await.unwrap();
        assert!(matches!(stale.0, CacheStatus::Stale { .. }), "{stale:?}");
        assert_eq!(stale.1, fresh.1);
    }
}

#[tokio::test(start_paused = true)]
async fn features_that_a_caller_turns_on_make_it_another_question() {
    let stack = stack("[cache]");
    let with_beta = || {
        let mut headers = http::HeaderMap::new();
        headers.insert("anthropic-beta", "context-1m-2025-08-07".parse().unwrap());
        let mut request = ask("m");
        request.extensions_mut().insert(Betas::from_headers(&headers).unwrap().unwrap());
        request
    };
    for (request, hits) in [(ask("m"), false), (with_beta(), false), (with_beta(), true), (ask("m"), true)] {
        assert_eq!(is_hit(&call(&stack, request).await.unwrap()), hits);
    }
}

#[tokio::test(start_paused = true)]
async fn providers_are_asked_to_keep_long_prompts_if_that_is_turned_on() {
    let long = || LlmRequest::chat("m").user("Why is the sky blue? ".repeat(400)).max_output_tokens(50).build();
    let asked = async |stack: &Stack| {
        call(stack, long()).await.unwrap();
        let mut asked = None;
        stack.handles().measure(&mut |measure| {
            if measure.name == "llm.prompt_cache.asked" {
                asked = Some(measure.value);
            }
        });
        asked
    };
    assert_eq!(asked(&stack("[prompt_cache]")).await, Some(1.0));
    assert_eq!(asked(&stack("[prompt_cache]\nleast_tokens = 100000")).await, Some(0.0));
    assert_eq!(asked(&stack("")).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_takes_the_place_of_another_has_its_answers() {
    let before = stack("[cache]");
    let first = call(&before, ask("m")).await.unwrap();
    let after = Stack::resuming(config("[cache]\nttl = \"2h\""), &before).unwrap();
    let second = call(&after, ask("m")).await.unwrap();
    assert!(is_hit(&second));
    assert_eq!(first.1, second.1);
    let refusing = "[cache]\n[[router.rules]]\nwhen = { model = \"m\" }\nrefuse = \"not any more\"\n";
    let refusing = Stack::resuming(config(refusing), &after).unwrap();
    assert_eq!(call(&refusing, ask("m")).await.unwrap_err().message(), "not any more", "other rules, other answers");
}

#[test]
fn what_is_wrong_in_their_tables_is_named_with_its_place() {
    for (layers, place) in [
        ("[cache]\ncapacity = 0", "cache.capacity: "),
        ("[cache]\nentry_limit = 0", "cache.entry_limit: "),
        ("[[cache.rules]]\nmodels = \"m\"", "cache.rules[0].use_for: "),
        ("[prompt_cache]\nkeep_for = \"7m\"", "prompt_cache.keep_for: "),
    ] {
        let error = Stack::try_from(config(layers)).unwrap_err().to_string();
        assert!(error.starts_with(place), "{layers}: {error}");
    }
}
