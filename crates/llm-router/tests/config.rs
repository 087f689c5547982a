//! Stories of routers that were read from a configuration: what stands there is what calls do.

mod support;

use llm_core::{Caller, ErrorKind, LlmRequest, Random, Served, catalog::Catalog};
use llm_router::{ProviderEntry, RouterConfig, RouterLayer, Targets};
use support::*;

/// Providers `a` with two keys, `b` which is in Europe, and `c`, that all serve `m`; `c` serves `small` too.
fn read(text: &str) -> RouterLayer {
    let targets = Targets::new(Catalog::new().into())
        .provider(ProviderEntry::new("a").models(["m"]).keys(["one", "two"]))
        .provider(ProviderEntry::new("b").models(["m"]).tags(["eu"]))
        .provider(ProviderEntry::new("c").models(["m", "small"]));
    let config: RouterConfig = toml::from_str(text).expect("it is a configuration");
    RouterLayer::new(config.plan(targets, None).expect("it is right")).random(Random::seeded(7))
}

fn healthy() -> Providers {
    Providers::new([("a", vec![]), ("b", vec![]), ("c", vec![])])
}

async fn answered(layer: &RouterLayer, request: LlmRequest) -> String {
    answer(&healthy().under(layer), request).await.expect("all are healthy")
}

fn about(model: &str, intent: &'static str) -> LlmRequest {
    let mut request = ask(model);
    request.context_mut().set_intent(intent);
    request
}

#[tokio::test(start_paused = true)]
async fn callers_ask_for_a_route_by_its_name() {
    let layer = read("[routes.fast]\ntargets = ['c/small', 'b/m']\n[routes.m]\ntargets = 'b/m'");
    assert_eq!(answered(&layer, ask("fast")).await, "c");
    assert_eq!(answered(&layer, ask("m")).await, "b", "a route goes before the model of its name");
    assert_eq!(answered(&read(""), ask("m")).await, "a");
}

#[test]
fn the_handle_tells_the_rules_by_name_or_place() {
    let layer = read("[[rules]]\nname = 'closed'\nwhen = { user = 'joe' }\nrefuse = 'no'\n[[rules]]\nuse = 'b/m'");
    let plan = layer.handle().plan();
    let names: Vec<_> = plan.stated_rules().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["closed", "rules[1]"]);
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_is_called_when_the_targets_have_failed() {
    let layer = read("[routes.fast]\ntargets = ['c/small']\nthen = ['b/m', 'a/m#two']");
    let down = || vec![fail(ErrorKind::Server)];
    let providers = Providers::new([("a", vec![]), ("b", down()), ("c", down())]);
    let response = call(&providers.under(&layer), ask("fast")).await.unwrap();
    assert_eq!(response.head.served, Served::Substitute);
    assert_eq!(response.head.target.unwrap().to_string(), "a/m#two");
    assert_eq!((providers.calls("c"), providers.calls("b")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn weights_share_the_calls() {
    let layer = read(
        "[routes.fast]\nstrategy = 'weighted'\n\
         targets = [{ target = 'a/m#one', weight = 0 }, { target = 'b/m', weight = 3 }, 'c/m']",
    );
    let providers = healthy();
    for _ in 0..400 {
        answer(&providers.under(&layer), ask("fast")).await.unwrap();
    }
    let [a, b, c] = ["a", "b", "c"].map(|name| providers.calls(name));
    assert!(a == 0 && b > 2 * c && c > 50, "{a} {b} {c}");
}

#[tokio::test(start_paused = true)]
async fn the_strategy_of_the_router_holds_for_plain_models_and_for_routes_without_one() {
    let text = "[routes.plain]\ntargets = ['a/m', 'b/m', 'c/m']\n\
                [routes.ordered]\ntargets = ['a/m', 'b/m', 'c/m']\nstrategy = 'ordered'";
    let layer = read(&format!("strategy = 'weighted'\n{text}"));
    for (name, spreads) in [("m", true), ("plain", true), ("ordered", false)] {
        let providers = healthy();
        for _ in 0..100 {
            answer(&providers.under(&layer), ask(name)).await.unwrap();
        }
        let called = ["a", "b", "c"].map(|provider| providers.calls(provider) > 0);
        assert_eq!(called, [true, spreads, spreads], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_sends_its_calls_to_a_route_a_model_or_targets_of_its_own() {
    let layer = read(
        "[routes.fast]\ntargets = 'c/small'\n\
         [[rules]]\nwhen = { intent = 'code' }\nuse = 'fast'\n\
         [[rules]]\nwhen = { intent = 'math' }\nuse = 'b/m'\n\
         [[rules]]\nwhen = { intent = 'other' }\nuse = ['c/m', 'b/m']\n",
    );
    for (intent, provider) in [("code", "c"), ("math", "b"), ("other", "c"), ("none of these", "a")] {
        assert_eq!(answered(&layer, about("m", intent)).await, provider, "{intent}");
    }
    let providers = Providers::new([("a", vec![]), ("b", vec![]), ("c", vec![fail(ErrorKind::Server)])]);
    assert_eq!(answer(&providers.under(&layer), about("m", "other")).await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_rule_requires_tags_of_targets_or_refuses() {
    let layer = read(
        "[[rules]]\nwhen = { tags = 'eu' }\nrequire_tags = 'eu'\n\
         [[rules]]\nwhen = { tenant = 'acme', model = 'm*' }\nrefuse = 'm is not part of your plan'\n",
    );
    let mut european = ask("m");
    european.context_mut().set_tags(["eu"]);
    assert_eq!(answered(&layer, european).await, "b");
    let providers = healthy();
    let mut request = ask("m");
    request.context_mut().set_caller(Caller::tenant("acme"));
    let error = answer(&providers.under(&layer), request).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Forbidden, "m is not part of your plan"));
    assert_eq!(["a", "b", "c"].map(|name| providers.calls(name)), [0; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_a_content_policy_refuses_goes_elsewhere_where_that_is_turned_on() {
    for (is_on, expected) in [(false, Err(ErrorKind::ContentPolicy)), (true, Ok("b".to_owned()))] {
        let layer = read(&format!("content_policy_failover = {is_on}\n[routes.r]\ntargets = ['c/m', 'b/m']"));
        let providers = Providers::new([("a", vec![]), ("b", vec![]), ("c", vec![fail(ErrorKind::ContentPolicy)])]);
        let answered = answer(&providers.under(&layer), ask("r")).await;
        assert_eq!(answered.map_err(|error| error.kind()), expected);
    }
}
