//! Each layer stands in its place, goes by its table, and is gone when it is left out.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use llm_core::{Again, AllowedModels, Error, ErrorKind, Health, HealthState, LlmRequest, Measures, Phase};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig, SimKey, SimServer};
use llm_stack::{Stack, StackConfig};
use tokio::time::Instant;
use tower::ServiceExt;

fn stack(config: &str) -> Stack {
    Stack::try_from(toml::from_str::<StackConfig>(config).unwrap()).unwrap()
}

/// Simulated models, and these layers before them.
fn simulated(layers: &str) -> Stack {
    stack(&format!(
        "{layers}\n[simulated]\nmodels = [\n\
         {{ name = \"works\" }},\n\
         {{ name = \"fails\", faults = [{{ fault = \"status 503\" }}] }},\n\
         {{ name = \"hangs\", faults = [{{ fault = \"hang\" }}] }},\n\
         {{ name = \"third-time\", faults = [{{ every = 3, fault = \"delay 0s\" }}, {{ fault = \"status 500\" }}] }},\n]\n"
    ))
}

async fn call_with(stack: &Stack, request: LlmRequest) -> Result<String, Error> {
    Ok(stack.service().oneshot(request).await?.body.collect().await?.first_text())
}

async fn call(stack: &Stack, model: &str) -> Result<String, Error> {
    call_with(stack, LlmRequest::chat(model).user("hi").build()).await
}

/// How many attempts a call of `model` makes, and after how long it is over.
async fn attempts(stack: &Stack, model: &str) -> (usize, Duration) {
    let request = LlmRequest::chat(model).user("hi").build();
    let (trail, begun) = (request.context().trail(), Instant::now());
    let _ = call_with(stack, request).await;
    (trail.attempts().len(), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_unless_retry_is_left_out() {
    assert!(!call(&simulated(""), "third-time").await.unwrap().is_empty());
    assert_eq!(call(&simulated("retry = false"), "third-time").await.unwrap_err().kind(), ErrorKind::Server);
    let (count, took) = attempts(&simulated("[retry]\njitter = \"none\"\nthrottled_base = \"3s\""), "fails").await;
    assert_eq!((count, took.as_secs()), (3, 3 + 6));
    let (count, _) = attempts(&simulated("[retry.models.fails]\nmost_retries = 1"), "fails").await;
    assert_eq!(count, 2);
    let (count, _) = attempts(&simulated("[retry.providers.simulated]\nmost_retries = 1"), "fails").await;
    assert_eq!(count, 2, "the target is known to the layer");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_keeps_failing_is_left_alone_unless_the_breaker_is_left_out() {
    let trips_after = async |layers: &str| {
        let stack = simulated(&format!("retry = false\n{layers}"));
        for call_number in 0..20 {
            let error = call(&stack, "fails").await.unwrap_err();
            if error.kind() == ErrorKind::CircuitOpen {
                let target = error.target().unwrap();
                assert_eq!(target.to_string(), "simulated/fails");
                assert!(matches!(stack.handles().of(target), HealthState::Open { .. }));
                assert!(call(&stack, "works").await.is_ok(), "another model has another circuit");
                return Some(call_number);
            }
        }
        None
    };
    assert_eq!(trips_after("").await, Some(8));
    assert_eq!(trips_after("[breaker]\ntrip = { rule = \"consecutive\", failures = 3 }").await, Some(3));
    assert_eq!(trips_after("[breaker.models.fails]\ntrip = \"consecutive\"").await, Some(5));
    assert_eq!(trips_after("breaker = false").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_makes_up_names_stops_nobody_else() {
    let missing = "{ name = \"x-*\", faults = [{ fault = \"status 404\" }] }";
    let stack = stack(&format!("retry = false\n[simulated]\nmodels = [{missing}]\n"));
    for made_up in ["x-1", "x-*", "simulated/x-*", "x-**", "x-#", "x-"] {
        for _ in 0..2 {
            assert_eq!(call(&stack, made_up).await.unwrap_err().kind(), ErrorKind::ModelNotFound, "{made_up}");
        }
    }
    assert!(stack.handles().breaker.as_ref().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_given_up_unless_the_timeout_is_left_out() {
    let took = async |layers: &str| {
        let stack = simulated(&format!("retry = false\n{layers}"));
        let begun = Instant::now();
        let called = tokio::time::timeout(Duration::from_secs(3_600), call(&stack, "hangs")).await;
        let Ok(answer) = called else { return None };
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout(Phase::Total));
        Some(begun.elapsed().as_secs())
    };
    assert_eq!(took("").await, Some(120));
    assert_eq!(took("[timeout]\nwhole_answer = \"7s\"").await, Some(7));
    assert_eq!(took("[timeout.models.hangs]\nwhole_answer = \"9s\"").await, Some(9));
    assert_eq!(took("timeout = false").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_a_model_is_known_to_be_decides_how_long_it_may_think() {
    let stack = stack(
        "retry = false\n[simulated]\nmodels = [\n\
         { name = \"thinks\", capabilities = [\"reasoning\"], faults = [{ fault = \"hang after 0\" }] },\n\
         { name = \"talks\", faults = [{ fault = \"hang after 0\" }] },\n]\n",
    );
    for (model, seconds) in [("thinks", 120), ("talks", 30)] {
        let begun = Instant::now();
        let request = LlmRequest::chat(model).user("hi").stream().build();
        let error = call_with(&stack, request).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (ErrorKind::Timeout(Phase::FirstContent), seconds));
    }
}

/// A provider with two keys. The first call of one of its models never gets an answer, and no call of the other does.
async fn two_keys() -> SimServer {
    let hang = || FaultRule::new("hang".parse().unwrap());
    let models = [ModelConfig::instant("m").fault(hang().calls(1..=1)), ModelConfig::instant("n").fault(hang())];
    let keys = vec![SimKey::new("first", "sk-first"), SimKey::new("second", "sk-second")];
    Sim::try_from(SimConfig { keys, ..SimConfig::new(models) }).unwrap().serve("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn a_late_call_is_hedged_at_the_other_key_where_that_is_turned_on() {
    let server = two_keys().await;
    let config = |hedge: &str| {
        format!(
            "{hedge}\n[[providers]]\nname = \"vllm\"\nbase_url = \"{}\"\nmodels = [\"m\", \"n\"]\n\
             keys = [{{ name = \"first\", key = \"sk-first\" }}, {{ name = \"second\", key = \"sk-second\" }}]\n",
            server.base_url()
        )
    };
    // The bucket begins empty: each call pays for a hedge of its own.
    let hedging = stack(&config("[hedge]\nfixed = \"50ms\"\npercent = 100"));
    let request = LlmRequest::chat("m").user("hi").build();
    let trail = request.context().trail();
    assert!(!call_with(&hedging, request).await.unwrap().is_empty());
    let attempts = trail.attempts();
    let went: Vec<_> = attempts.iter().map(|attempt| (attempt.reason, attempt.target.clone().unwrap())).collect();
    assert_eq!((went[0].0, went[1].0), (Again::First, Again::Hedge));
    let mut keys = [went[0].1.key(), went[1].1.key()];
    keys.sort();
    assert_eq!(keys, [Some("first"), Some("second")]);
    assert!(hedging.handles().hedge.is_some());

    let plain = stack(&config("[timeout]\nwhole_answer = \"200ms\"\n[retry]\nmost_retries = 1\nbase = \"1ms\""));
    assert!(plain.handles().hedge.is_none());
    assert_eq!(call(&plain, "n").await.unwrap_err().kind(), ErrorKind::Timeout(Phase::Total));
}

#[tokio::test]
async fn a_hedge_goes_nowhere_where_its_call_may_not_go() {
    let server = two_keys().await;
    let provider = |name: &str, tag: &str, key: &str| {
        format!(
            "[[providers]]\nname = \"{name}\"\ntags = [\"{tag}\"]\nbase_url = \"{}\"\nmodels = [\"n\"]\n\
             keys = [{{ name = \"only\", key = \"{key}\" }}]\n",
            server.base_url()
        )
    };
    let stack = stack(&format!(
        "retry = false\n[timeout]\nwhole_answer = \"100ms\"\n[hedge]\nfixed = \"10ms\"\npercent = 100\n\
         [[router.rules]]\nwhen = {{ tags = \"private\" }}\nrequire_tags = \"eu\"\n{}{}",
        provider("here", "eu", "sk-first"),
        provider("there", "us", "sk-second")
    ));
    let went = async |request: LlmRequest| {
        let trail = request.context().trail();
        request.context().set_allowance(1);
        assert_eq!(call_with(&stack, request).await.unwrap_err().kind(), ErrorKind::Timeout(Phase::Total));
        trail.attempts().iter().map(|attempt| attempt.target.clone().unwrap().to_string()).collect::<Vec<_>>()
    };
    let ask = |model: &str| LlmRequest::chat(model).user("hi").build();
    let (mut private, mut limited) = (ask("n"), ask("n"));
    private.context_mut().set_tags(["private"]);
    limited.context_mut().set_allowed_models(AllowedModels::new(["here/n"]));
    for request in [private, limited, ask("here/n")] {
        assert_eq!(went(request).await, ["here/n"; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn handles_are_those_of_the_layers_that_serve() {
    let stack = simulated("[retry]\njitter = \"none\"\n[hedge]\nfixed = \"10s\"");
    let _ = call(&stack, "fails").await;
    let mut figures = Vec::new();
    stack.handles().measure(&mut |measure| {
        let is_named =
            |name: &str, label: &str| measure.name == name && measure.labels.iter().any(|(_, is)| is == label);
        if is_named("llm.retry.decisions", "retried") {
            figures.push(measure.value);
        }
    });
    assert_eq!(figures, [2.0]);
    assert_eq!(stack.handles().breaker.as_ref().unwrap().list().len(), 1);
    let none = simulated("retry = false\nbreaker = false\ntimeout = false");
    let handles = none.handles();
    assert!(handles.retry.is_none() && handles.breaker.is_none() && handles.timeout.is_none());
    none.handles().measure(&mut |measure| assert!(measure.name.starts_with("llm.router."), "{measure:?}"));
}

#[test]
fn what_is_wrong_in_a_layers_table_is_named_with_its_place() {
    let simulated = "[simulated]\nmodels = [{ name = \"m\" }]\n";
    for (layers, place) in [
        ("[timeout]\nidle = \"0s\"", "timeout.idle: "),
        ("[timeout.models.m]\nhead = \"0s\"", "timeout.models.m.head: "),
        ("[retry]\nmost_retries = 0", "retry.most_retries: "),
        ("[retry.providers.simulated]\nbase = \"0s\"", "retry.providers.simulated.base: "),
        ("[breaker]\nprobes = 0", "breaker."),
        ("[breaker]\ntrip = { rule = \"rate\", share = 1.5 }", "breaker.trip."),
        ("[hedge]\nfixed = \"0s\"", "hedge.fixed: "),
    ] {
        let config: StackConfig = toml::from_str(&format!("{layers}\n{simulated}")).unwrap();
        let error = Stack::try_from(config).unwrap_err().to_string();
        assert!(error.starts_with(place), "{layers}: {error}");
    }
    for layers in
        ["[retry]\nretries = 3", "[breaker]\nthreshold = 3", "[timeout]\nconnect = \"1s\"", "[hedge]\np95 = true"]
    {
        assert!(toml::from_str::<StackConfig>(layers).is_err(), "{layers}");
    }
}
