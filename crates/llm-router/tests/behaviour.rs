//! Stories of a router on paused time: where calls go, where they go next, and what the caller gets.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, poll};
use llm_core::{
    Again, AllowedModels, AttemptEnd, Caller, Error, ErrorKind, HealthState, HoldBack, LlmRequest, Measures, Random,
    Served, Target, catalog::Catalog,
};
use llm_router::{Plan, ProviderEntry, RouterLayer, Rule, Rules, Strategy, Targets, When};
use llm_test::{Answer, Frames, Probe};
use support::*;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

/// The targets `a/m`, `b/m` and `c/m`, one after the other.
fn chain() -> RouterLayer {
    RouterLayer::new(targets(["a", "b", "c"]))
}

#[tokio::test(start_paused = true)]
async fn a_failure_goes_to_the_next_target_within_the_call_and_the_answer_says_so() {
    let providers = Providers::new([("a", vec![fail(ErrorKind::Server)]), ("b", vec![]), ("c", vec![])]);
    let (layer, request) = (chain(), ask("m"));
    let (handle, context) = (layer.handle(), request.context().clone());
    let response = call(&providers.under(&layer), request).await.unwrap();
    assert_eq!(response.head.target, Some(Target::new("b", "m")));
    assert_eq!(response.head.served, Served::Substitute);
    assert_eq!(response.body.collect().await.unwrap().first_text(), "b");
    assert_eq!(["a", "b", "c"].map(|name| providers.calls(name)), [1, 1, 0]);
    assert_eq!((context.calls_left(), handle.counts().failed_over), (1, 1));
    let attempts = context.trail().attempts();
    assert_eq!(attempts[0].end, Some(AttemptEnd::Failed(ErrorKind::Server)));
    assert_eq!(attempts[0].verdict, Some("failed_over"));
    let second = providers.log("b").requests()[0].context().attempt();
    assert_eq!((second.number, second.reason, second.waited), (1, Again::Failover, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_first_choice_is_told_apart_from_a_substitute_and_a_degraded_answer_stays_one() {
    let degraded = Answer::text("x").head(llm_core::Head { served: Served::Degraded, ..Default::default() });
    let providers = Providers::new([("a", vec![Answer::text("a"), fail(ErrorKind::Server)]), ("b", vec![degraded])]);
    let service = providers.under(&RouterLayer::new(targets(["a", "b"])));
    assert_eq!(call(&service, ask("m")).await.unwrap().head.served, Served::FirstChoice);
    assert_eq!(call(&service, ask("m")).await.unwrap().head.served, Served::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_its_first_content_goes_to_the_next_target_and_one_after_it_does_not() {
    let early = Frames::new().start().ping().fail(Error::new(ErrorKind::Overloaded, "busy"));
    let late = Frames::cut("Blue light");
    let providers = Providers::new([("a", vec![Answer::stream(early), Answer::stream(late)]), ("b", vec![])]);
    let service = providers.under(&RouterLayer::new(targets(["a", "b"])));
    assert_eq!(answer(&service, stream("m")).await.unwrap(), "b");
    assert_eq!(answer(&service, stream("m")).await.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!((providers.calls("a"), providers.calls("b")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_held_back_no_longer_than_was_said() {
    let slow = || Answer::stream(Frames::new().start().wait(5 * SECOND).fail(Error::new(ErrorKind::Server, "down")));
    let providers = Providers::new([("a", vec![slow(), slow()]), ("b", vec![])]);
    let hold = HoldBack { wait: Some(SECOND), ..HoldBack::default() };
    let layer = RouterLayer::new(targets(["a", "b"]));
    assert_eq!(answer(&providers.under(&layer), stream("m")).await.unwrap(), "b");
    let held = answer(&providers.under(&layer.hold_back(hold)), stream("m")).await;
    assert_eq!(held.unwrap_err().kind(), ErrorKind::Server, "its head had been handed on");
}

#[tokio::test(start_paused = true)]
async fn three_targets_are_tried_with_the_default_allowance_and_a_fourth_is_not() {
    let down = |name| (name, vec![fail(ErrorKind::Server)]);
    let providers = Providers::new([down("a"), down("b"), ("c", vec![]), ("d", vec![])]);
    let service = providers.under(&RouterLayer::new(targets(["a", "b", "c", "d"])));
    assert_eq!(answer(&service, ask("m")).await.unwrap(), "c");
    let providers = Providers::new([down("a"), down("b"), down("c"), ("d", vec![])]);
    let error = answer(&providers.under(&RouterLayer::new(targets(["a", "b", "c", "d"]))), ask("m")).await.unwrap_err();
    let spent = [("a/m", "failed_over"), ("b/m", "failed_over"), ("c/m", "allowance_spent")];
    assert_eq!(trail(&error), spent.map(|(target, verdict)| (target.to_owned(), Some(verdict))));
    assert_eq!(providers.calls("d"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_layers_below_are_told_how_many_candidates_are_left() {
    let layer = chain().health(Arc::new(Told::new([("c", HealthState::Cooling { remaining: SECOND })])));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by = seen.clone();
    let inner = service_fn(move |request: LlmRequest| {
        seen_by.lock().unwrap().push(request.context().untried_candidates());
        async { Err::<llm_core::LlmResponse, _>(Error::new(ErrorKind::Server, "down")) }
    });
    layer.layer(inner).oneshot(ask("m")).await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), [1, 0]);
    let request = ask("m");
    let context = request.context().clone();
    let providers = Providers::new([("a", vec![fail(ErrorKind::InvalidRequest)]), ("b", vec![]), ("c", vec![])]);
    answer(&providers.under(&chain()), request).await.unwrap_err();
    assert_eq!(context.untried_candidates(), 0, "and nobody above saves a call for anyone");
}

#[tokio::test(start_paused = true)]
async fn the_error_is_that_of_the_last_provider_with_the_shortest_wait_and_the_whole_trail() {
    let waits = |kind, wait: Duration| Answer::fail(Error::new(kind, "failed").with_retry_after(wait));
    let providers = Providers::new([
        ("a", vec![waits(ErrorKind::RateLimited, 3 * SECOND)]),
        ("b", vec![waits(ErrorKind::Overloaded, 9 * SECOND)]),
        ("c", vec![waits(ErrorKind::CircuitOpen, 7 * SECOND)]),
    ]);
    let error = answer(&providers.under(&chain()), ask("m")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Overloaded, Some(3 * SECOND)));
    let told = [("a/m", "failed_over"), ("b/m", "failed_over"), ("c/m", "no_candidate")];
    assert_eq!(trail(&error), told.map(|(target, verdict)| (target.to_owned(), Some(verdict))));

    let open = || vec![fail(ErrorKind::CircuitOpen)];
    let providers = Providers::new([("a", open()), ("b", open()), ("c", open())]);
    let error = answer(&providers.under(&chain()), ask("m")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen, "nobody was reached");

    let throttled = vec![waits(ErrorKind::RateLimited, 3 * SECOND)];
    let providers = Providers::new([("a", throttled), ("b", vec![fail(ErrorKind::InvalidRequest)]), ("c", vec![])]);
    let error = answer(&providers.under(&chain()), ask("m")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::InvalidRequest, None), "no wait mends a request");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_is_not_the_slowness_of_a_target() {
    let one_at_a_time = Probe::answering(Answer::stream(Frames::new().wait(SECOND).text("a").finish())).permits(1);
    let layer = RouterLayer::new(targets(["a"]));
    let service = llm_core::BoxLlmService::new(layer.layer(one_at_a_time));
    let calls = (0..6).map(|_| answer(&service, stream("m")));
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(layer.handle().targets()[0].first_content, Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_ours_is_no_limit_of_the_providers() {
    let providers = Providers::new([("a", vec![fail(ErrorKind::LimitExceeded)]), ("b", vec![]), ("c", vec![])]);
    let error = answer(&providers.under(&chain()), ask("m")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(trail(&error), [("a/m".to_owned(), Some("not_elsewhere"))]);
    assert_eq!((providers.calls("a"), providers.calls("b")), (1, 0));
    let throttled = Providers::new([("a", vec![fail(ErrorKind::RateLimited)]), ("b", vec![]), ("c", vec![])]);
    assert_eq!(answer(&throttled.under(&chain()), ask("m")).await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_content_policy_goes_elsewhere_only_when_that_was_asked_for() {
    for is_on in [false, true] {
        let providers = Providers::new([("a", vec![fail(ErrorKind::ContentPolicy)]), ("b", vec![])]);
        let layer = RouterLayer::new(Plan::new(targets(["a", "b"])).content_policy_failover(is_on));
        let result = answer(&providers.under(&layer), ask("m")).await;
        assert_eq!(
            result.map_err(|error| error.kind()),
            if is_on { Ok("b".into()) } else { Err(ErrorKind::ContentPolicy) }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_for_a_caller_who_has_stopped_waiting() {
    let providers = Providers::new([("a", vec![fail(ErrorKind::Server).after(2 * SECOND)]), ("b", vec![])]);
    let mut request = ask("m");
    request.context_mut().set_deadline(Instant::now() + SECOND);
    let error = answer(&providers.under(&RouterLayer::new(targets(["a", "b"]))), request).await.unwrap_err();
    assert_eq!(trail(&error), [("a/m".to_owned(), Some("deadline"))]);
    assert_eq!(providers.calls("b"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sensitive_call_stays_in_the_house_whatever_fails() {
    let names = ["away", "home", "away-too", "home-too"];
    let down = || vec![fail(ErrorKind::Server)];
    let providers = Providers::new([("away", down()), ("home", down()), ("away-too", down()), ("home-too", vec![])]);
    let service = providers.under(&RouterLayer::new(targets(names)));
    assert_eq!(answer(&service, sensitive(ask("m"))).await.unwrap(), "home-too");
    assert_eq!(names.map(|name| providers.calls(name)), [0, 1, 0, 1]);
    let nobody = providers.under(&RouterLayer::new(targets(["away"])));
    let error = answer(&nobody, sensitive(ask("m"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute);
    assert!(error.trail().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_chosen_is_called_alone_and_only_if_the_call_may_go_there() {
    let providers = Providers::new([("a", vec![]), ("b", vec![fail(ErrorKind::Server)]), ("c", vec![])]);
    let health = Told::new([("b", HealthState::Open { remaining: SECOND })]);
    let service = providers.under(&chain().health(Arc::new(health)));
    let chosen = |target| {
        let mut request = ask("m");
        request.context_mut().set_target(target);
        request
    };
    let error = answer(&service, chosen(Target::new("b", "m"))).await.unwrap_err();
    assert_eq!((error.kind(), providers.calls("b"), providers.calls("a")), (ErrorKind::Server, 1, 0));
    assert_eq!(answer(&service, chosen(Target::new("a", "whatever"))).await.unwrap(), "a");
    let refused = answer(&service, sensitive(chosen(Target::new("a", "m")))).await.unwrap_err();
    assert_eq!((refused.kind(), providers.calls("a")), (ErrorKind::NoRoute, 1));
    let mut request = chosen(Target::new("a", "m"));
    request.context_mut().set_allowed_models(AllowedModels::new(["b/*"]));
    assert_eq!(answer(&service, request).await.unwrap_err().kind(), ErrorKind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn who_may_use_one_provider_does_not_reach_another_that_serves_names_like_its_own() {
    let resells = ProviderEntry::new("resells").models(["*", "a/listed"]);
    let prefixed = ProviderEntry::new("p").models(["p/*"]);
    let providers = Providers::new([("a", vec![]), ("resells", vec![]), ("p", vec![])]);
    let service = providers.under(&RouterLayer::new(targets(["a"]).provider(resells).provider(prefixed)));
    let asked_for = async |name: &'static str, allowed: &'static str| {
        let mut request = ask(name);
        request.context_mut().set_allowed_models(AllowedModels::new([allowed]));
        answer(&service, request).await.map_err(|error| error.kind())
    };
    assert_eq!(asked_for("a/m", "a/*").await.unwrap(), "a");
    assert_eq!(asked_for("p/own", "p/*").await.unwrap(), "p", "its own models may be named so");
    for allowed in ["a/*", "a/dear*", "a/dear"] {
        assert_eq!(asked_for("a/dear", allowed).await.unwrap_err(), ErrorKind::Forbidden, "{allowed}");
    }
    for (name, allowed) in [
        ("a/dear", "resells/*"),
        ("a/dear", "resells/a/*"),
        ("a/dear", "*"),
        ("a/listed", "a/listed"),
        ("z/dear", "z/*"),
    ] {
        assert_eq!(asked_for(name, allowed).await.unwrap(), "resells", "{name} {allowed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_was_chosen_bears_the_tags_that_a_rule_requires() {
    let targets = targets(["a"]).provider(ProviderEntry::new("eu").models(["m"]).tags(["eu"]));
    let rules = Rules::new([Rule::new(When::new().tenant(["european"])).require_tags(["eu"])]);
    let providers = Providers::new([("a", vec![]), ("eu", vec![])]);
    let service = providers.under(&RouterLayer::new(Plan::new(targets).rules(rules).unwrap()));
    let chosen = async |provider| {
        let mut request = ask("m");
        request.context_mut().set_caller(Caller::tenant("european"));
        request.context_mut().set_target(Target::new(provider, "m"));
        answer(&service, request).await.map_err(|error| error.kind())
    };
    assert_eq!(chosen("eu").await.unwrap(), "eu");
    assert_eq!((chosen("a").await.unwrap_err(), providers.calls("a")), (ErrorKind::NoRoute, 0));
}

#[test]
fn beside_a_target_is_another_key_or_else_another_provider_where_the_call_may_go() {
    let keys = |name: &str| ProviderEntry::new(name).models(["m", "x-*"]).keys(["1", "2", "3"]);
    let all = targets(["b", "home"]).provider(keys("a").tags(["eu"])).provider(ProviderEntry::new("d").models(["n"]));
    let two = all.route(["b/m", "home/m"]).unwrap().then(all.route(["d/n"]).unwrap());
    let last = all.route([("b/m", 1.0), ("home/m", 0.0)]).unwrap().strategy(Strategy::Weighted);
    let plan = Plan::new(all.clone()).route("two", two).route("last", last).route("one", all.route(["a/m#1"]).unwrap());
    let rules = Rules::new([Rule::new(When::new().tags(["private"])).require_tags(["eu"])]);
    let handle = RouterLayer::new(plan.rules(rules).unwrap()).handle();
    let beside = |target: Target, request: &LlmRequest| {
        let mut attempt = request.clone();
        attempt.context_mut().set_target(target.clone());
        handle.beside(&target, &attempt).map(|target| target.to_string())
    };
    let key = |key: &str| Target::new("a", "m").with_key(key);
    let (b, d) = (Target::new("b", "m"), Target::new("d", "n"));
    let (private, mut allowed) = (tagged(ask("m"), "private"), ask("m"));
    allowed.context_mut().set_allowed_models(AllowedModels::new(["b/*", "d/*"]));
    for (request, target, expected) in [
        (ask("m"), key("1"), Some("a/m#2")),
        (ask("m"), key("3"), Some("a/m#1")),
        (ask("m"), b.clone(), Some("home/m")),
        (ask("a/m"), key("2"), Some("a/m#3")),
        (ask("b/m"), b.clone(), None),
        (ask("x-1"), Target::new("b", "x-1"), Some("home/x-1")),
        (ask("two"), b.clone(), Some("home/m")),
        (ask("two"), d.clone(), None),
        (ask("last"), b.clone(), None),
        (ask("one"), key("1"), None),
        (private.clone(), key("1"), Some("a/m#2")),
        (allowed, b.clone(), None),
        (sensitive(ask("m")), Target::new("home", "m"), None),
        // Chosen elsewhere.
        (private, b, None),
        (ask("m"), d, None),
        (ask("nothing"), key("1"), None),
    ] {
        assert_eq!(beside(target.clone(), &request).as_deref(), expected, "{} at {target}", request.model());
    }
}

#[tokio::test(start_paused = true)]
async fn names_mean_routes_then_models_then_patterns() {
    let targets = targets(["a", "b"]);
    let plan = Plan::new(targets.clone()).route("smart", targets.route(["b/m"]).unwrap());
    let plan = plan.route("x-ray", targets.route(["b/m"]).unwrap());
    let providers = Providers::new([("a", vec![]), ("b", vec![])]);
    let service = providers.under(&RouterLayer::new(plan));
    for (name, who) in [("smart", "b"), ("m", "a"), ("b/m", "b"), ("x-1", "a"), ("b/x-1", "b"), ("x-ray", "b")] {
        assert_eq!(answer(&service, ask(name)).await.unwrap(), who, "{name}");
    }
    let asked_for = providers.log("b").requests();
    let asked_for: Vec<_> = asked_for.iter().map(|request| request.context().target().unwrap().to_string()).collect();
    assert_eq!(asked_for, ["b/m", "b/m", "b/x-1", "b/m"]);
    assert_eq!(answer(&service, ask("mystery")).await.unwrap_err().kind(), ErrorKind::UnknownModel);
}

#[tokio::test(start_paused = true)]
async fn rules_send_calls_elsewhere_refuse_them_and_require_tags() {
    let in_the_eu = ProviderEntry::new("eu").models(["m"]).tags(["eu"]);
    let targets = targets(["a", "b"]).provider(in_the_eu);
    let own = targets.route(["eu/m"]).unwrap();
    let tenant = |name| When::new().tenant([name]);
    let rules = Rules::new([
        Rule::new(tenant("broke")).refuse("pay first"),
        Rule::new(tenant("coder")).to("b/m"),
        Rule::new(tenant("own")).to_own(own),
        Rule::new(tenant("european")).require_tags(["eu"]),
        Rule::new(tenant("martian")).require_tags(["mars"]),
    ]);
    let layer = RouterLayer::new(Plan::new(targets).rules(rules).unwrap());
    let handle = layer.handle();
    let service = Providers::new([("a", vec![]), ("b", vec![]), ("eu", vec![])]).under(&layer);
    let asked_by = async |tenant: &'static str| {
        let mut request = ask("m");
        request.context_mut().set_caller(Caller::tenant(tenant));
        answer(&service, request).await.map_err(|error| (error.kind(), error.message().to_owned()))
    };
    assert_eq!(asked_by("anybody").await.unwrap(), "a");
    assert_eq!(asked_by("coder").await.unwrap(), "b");
    assert_eq!(asked_by("own").await.unwrap(), "eu");
    assert_eq!(asked_by("european").await.unwrap(), "eu");
    assert_eq!(asked_by("broke").await.unwrap_err(), (ErrorKind::Forbidden, "pay first".to_owned()));
    assert_eq!(asked_by("martian").await.unwrap_err().0, ErrorKind::NoRoute);
    assert_eq!(handle.counts().refused, 1);
}

/// It may be called `penalty-box`.
#[tokio::test(start_paused = true)]
async fn no_caller_is_told_which_route_a_rule_has_sent_it_to() {
    let all = targets(["a", "b"]);
    let rules = Rules::new([
        Rule::new(When::new().tags(["barred"])).to("internal").require_tags(["none"]),
        Rule::new(When::new()).to("internal"),
    ]);
    let plan = Plan::new(all.clone()).route("internal", all.route(["a/m", "b/m"]).unwrap()).rules(rules).unwrap();
    let cooling = HealthState::Cooling { remaining: SECOND };
    let layer = RouterLayer::new(plan).health(Arc::new(Told::new([("a", cooling), ("b", cooling)])));
    let service = Providers::new([("a", vec![]), ("b", vec![])]).under(&layer);
    for (request, kind) in [(tagged(ask("m"), "barred"), ErrorKind::NoRoute), (ask("m"), ErrorKind::CircuitOpen)] {
        let error = answer(&service, request).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains("`m`") && !error.message().contains("internal"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_names_only_what_is_there() {
    let rules = |name: &str| Rules::new([Rule::new(When::new()).to(name)]);
    let plan = || Plan::new(targets(["a"]));
    assert!(plan().rules(rules("m")).is_ok() && plan().rules(rules("x-1")).is_ok());
    let error = plan().rules(rules("fast")).unwrap_err();
    assert_eq!(error.to_string(), "rules[0].use: there is no route `fast`, and nobody serves a model of this name");
}

#[tokio::test(start_paused = true)]
async fn targets_that_are_open_or_cooling_are_passed_over() {
    let health =
        Told::new([("a", HealthState::Open { remaining: SECOND }), ("b", HealthState::Cooling { remaining: SECOND })]);
    let providers = Providers::new([("a", vec![]), ("b", vec![]), ("c", vec![])]);
    let service = providers.under(&chain().health(Arc::new(health.clone())));
    let response = call(&service, ask("m")).await.unwrap();
    assert_eq!(response.head.served, Served::Substitute);
    assert_eq!(response.head.target, Some(Target::new("c", "m")));
    health.set("a", HealthState::Probing);
    assert_eq!(answer(&service, ask("m")).await.unwrap(), "a", "its time has come to be tried");
}

#[tokio::test(start_paused = true)]
async fn when_everything_is_open_one_call_in_five_seconds_tries_the_first_to_reopen() {
    let open = |seconds| HealthState::Open { remaining: seconds * SECOND };
    let health = Told::new([("a", open(9)), ("b", open(4)), ("c", HealthState::Cooling { remaining: SECOND })]);
    let providers = Providers::new([("a", vec![]), ("b", vec![]), ("c", vec![])]);
    let layer = chain().health(Arc::new(health));
    let (handle, mut notices) = (layer.handle(), layer.handle().notices());
    let service = providers.under(&layer);
    for _ in 0..2 {
        assert_eq!(answer(&service, ask("m")).await.unwrap(), "b");
        for _ in 0..3 {
            let error = answer(&service, ask("m")).await.unwrap_err();
            assert_eq!((error.kind(), error.retry_after()), (ErrorKind::CircuitOpen, Some(SECOND)));
            assert_eq!(error.message(), "all 3 targets of `m` that would do are open or cooling", "and not which");
        }
        tokio::time::advance(4 * SECOND).await;
        assert_eq!(answer(&service, ask("m")).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
        tokio::time::advance(SECOND).await;
    }
    assert!(providers.log("b").requests().iter().all(|request| request.context().is_probe()));
    assert_eq!(["a", "b", "c"].map(|name| providers.calls(name)), [0, 2, 0]);
    assert_eq!((handle.counts().panic_probes, handle.counts().no_candidate), (2, 8));
    let notice = notices.next().await.unwrap();
    assert_eq!((notice.source, notice.kind, &*notice.key), ("router", "panic_probe", "m: b/m"));
}

#[tokio::test(start_paused = true)]
async fn names_that_callers_make_up_are_tried_once_in_five_seconds_together() {
    let open = |seconds| HealthState::Open { remaining: seconds * SECOND };
    let health = Arc::new(Told::new([("a", open(9)), ("b", open(4))]));
    let providers = Providers::new([("a", vec![]), ("b", vec![])]);
    let service = providers.under(&RouterLayer::new(targets(["a", "b"])).health(health));
    for [tried, refused] in [["x-1", "x-2"], ["x-3", "x-1"]] {
        assert_eq!(answer(&service, ask(tried)).await.unwrap(), "b");
        assert_eq!(answer(&service, ask(refused)).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
        tokio::time::advance(5 * SECOND).await;
    }
    assert_eq!(["a", "b"].map(|name| providers.calls(name)), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_only_target_that_is_open_is_left_alone_until_its_time() {
    let health = Told::new([("a", HealthState::Open { remaining: SECOND })]);
    let providers = Providers::new([("a", vec![])]);
    let service = providers.under(&RouterLayer::new(targets(["a"])).health(Arc::new(health)));
    let error = answer(&service, ask("m")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::CircuitOpen, Some(SECOND)));
    assert_eq!(providers.calls("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_one_target_has_no_words_for_another_may_have_once_it_is_well() {
    let open = HealthState::Open { remaining: 7 * SECOND };
    for [wordless, ill] in [["a", "b"], ["b", "a"]] {
        let providers = Providers::new([(wordless, vec![fail(ErrorKind::Untranslatable)]), (ill, vec![])]);
        let health = Arc::new(Told::new([(ill, open)]));
        let service = providers.under(&RouterLayer::new(targets(["a", "b"])).health(health));
        let error = answer(&service, ask("m")).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::CircuitOpen, Some(7 * SECOND)));
        assert_eq!(error.target().map(Target::provider), Some(ill));
        assert_eq!(trail(&error), [(format!("{wordless}/m"), Some("no_candidate"))]);
    }
    let providers = Providers::new([("a", vec![fail(ErrorKind::Untranslatable)])]);
    let error = answer(&providers.under(&RouterLayer::new(targets(["a"]))), ask("m")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Untranslatable, None));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_ends_the_call() {
    let health =
        Told::new([("a", HealthState::Open { remaining: SECOND }), ("b", HealthState::Open { remaining: SECOND })]);
    let providers = Providers::new([("a", vec![fail(ErrorKind::Server)]), ("b", vec![])]);
    let service = providers.under(&RouterLayer::new(targets(["a", "b"])).health(Arc::new(health)));
    assert_eq!(answer(&service, ask("m")).await.unwrap_err().kind(), ErrorKind::Server);
    assert_eq!(providers.calls("b"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_never_gets_ready_delays_nobody_else_and_an_idle_clone_holds_nothing() {
    let dead = Probe::new().never_ready();
    let alive = Probe::answering(Answer::text("b")).permits(1);
    let providers = Providers::of([("a", dead), ("b", alive)]);
    let layer = RouterLayer::new(targets(["a", "b"]));
    let (handle, service) = (layer.handle(), providers.under(&layer));
    let mut waiting = std::pin::pin!(call(&service, ask("a/m")));
    assert!(poll!(waiting.as_mut()).is_pending());
    let mut idle = service.clone();
    idle.ready().await.unwrap();
    for _ in 0..3 {
        assert_eq!(answer(&service, ask("b/m")).await.unwrap(), "b");
    }
    assert_eq!((providers.log("b").permits(), providers.log("b").readied(), in_flight(&handle)), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn another_key_of_the_same_target_is_called_with_its_name() {
    let two_keys = ProviderEntry::new("a").models(["m"]).keys(["first", "second"]);
    let targets = support::targets([]).provider(two_keys).provider(ProviderEntry::new("b").models(["m"]));
    let providers = Providers::new([("a", vec![fail(ErrorKind::QuotaExhausted)]), ("b", vec![])]);
    let service = providers.under(&RouterLayer::new(targets));
    assert_eq!(answer(&service, ask("m")).await.unwrap(), "a");
    let requests = providers.log("a").requests();
    let keys: Vec<_> = requests.iter().map(|request| request.context().target().unwrap().key().unwrap()).collect();
    assert!(distinct(&keys) && keys.len() == 2, "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_replaced_for_the_next_calls_and_targets_keep_their_history() {
    let providers = Providers::new([
        ("a", vec![fail(ErrorKind::Server), Answer::text("late").after(SECOND), Answer::text("still a")]),
        ("b", vec![]),
    ]);
    let layer = RouterLayer::new(targets(["a"]));
    let (handle, service) = (layer.handle(), providers.under(&layer));
    answer(&service, ask("m")).await.unwrap_err();
    let mut under_way = std::pin::pin!(answer(&service, ask("m")));
    assert!(poll!(under_way.as_mut()).is_pending());
    let status = |name: &str| handle.targets().into_iter().find(|status| status.target.to_string() == name).unwrap();
    let before = status("a/m");
    assert!(before.failing > 0.0 && before.in_flight == 1, "{before:?}");

    handle.replace(targets(["b", "a"]));
    assert_eq!(status("a/m"), before, "in another plan as well");
    assert_eq!(answer(&service, ask("m")).await.unwrap(), "b");
    assert_eq!(under_way.await.unwrap(), "late", "it ends by what it began with");
    assert_eq!(status("a/m").in_flight, 0);

    handle.replace(targets(["b"]));
    assert!(handle.targets().iter().all(|status| status.target.provider() == "b"));
    handle.replace(targets(["a"]));
    assert_eq!(status("a/m").failing, 0.0, "what no plan needs is forgotten");
    assert_eq!(answer(&service, ask("m")).await.unwrap(), "still a");
}

#[test]
fn no_call_goes_by_half_of_a_plan() {
    // In each plan the rule sends calls to the one route that there is.
    let plan = |name: &'static str| {
        let targets = targets([name]);
        let rules = Rules::new([Rule::new(When::new()).to(name)]);
        Plan::new(targets.clone()).route(name, targets.route(["m"]).unwrap()).rules(rules).unwrap()
    };
    let layer = RouterLayer::new(plan("a"));
    let (handle, service) = (layer.handle(), Providers::new([("a", vec![]), ("b", vec![])]).under(&layer));
    std::thread::scope(|scope| {
        let calling = scope.spawn(move || {
            for _ in 0..2_000 {
                let answered = answer(&service, ask("anything")).now_or_never().expect("nobody waits");
                answered.expect("the plan is whole");
            }
        });
        let mut names = ["b", "a"].into_iter().cycle();
        while !calling.is_finished() {
            handle.replace(plan(names.next().expect("there is always another")));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn weights_and_orders_change_at_run_time_and_hold_what_they_say() {
    let targets = targets(["a", "b"]);
    let weighted = targets.route([("a/m", 1.0), ("b/m", 0.0)]).unwrap().strategy(Strategy::Weighted);
    let plan =
        Plan::new(targets.clone()).route("weighted", weighted).route("ordered", targets.route(["a/m", "b/m"]).unwrap());
    let layer = RouterLayer::new(plan).random(Random::seeded(3));
    let providers = Providers::new([("a", vec![]), ("b", vec![])]);
    let (handle, service) = (layer.handle(), providers.under(&layer));
    let calls_to_a = async |route: &'static str| {
        let before = providers.calls("a");
        for _ in 0..100 {
            answer(&service, ask(route)).await.unwrap();
        }
        providers.calls("a") - before
    };
    assert_eq!(calls_to_a("weighted").await, 100);
    handle.set_weight("weighted", "b/m", 1.0).unwrap();
    let shared = calls_to_a("weighted").await;
    assert!((30..70).contains(&shared), "{shared}");
    handle.set_weight("weighted", "a/m", 0.0).unwrap();
    assert_eq!(calls_to_a("weighted").await, 0);
    handle.set_order("weighted", &["b/m", "a/m"]).unwrap();
    assert_eq!(calls_to_a("weighted").await, 0, "weights stay with their targets");

    assert_eq!(calls_to_a("ordered").await, 100);
    handle.set_order("ordered", &["b/m", "a/m"]).unwrap();
    assert_eq!(calls_to_a("ordered").await, 0);

    let refused = |result: Result<(), llm_core::ConfigError>| result.unwrap_err().to_string();
    assert_eq!(refused(handle.set_weight("slow", "a/m", 1.0)), "route: there is no route `slow`");
    assert_eq!(refused(handle.set_weight("weighted", "c/m", 1.0)), "target: the route `weighted` has no target `c/m`");
    assert_eq!(
        refused(handle.set_weight("weighted", "a/m", -1.0)),
        "weight: it must be a number from zero to a billion"
    );
    let ordered = "weight: the targets of `ordered` come one after the other, whatever their weights";
    assert_eq!(refused(handle.set_weight("ordered", "a/m", 1.0)), ordered);
    assert_eq!(refused(handle.set_order("ordered", &["c/m"])), "targets[0]: nobody serves `c/m`");
    assert_eq!(calls_to_a("ordered").await, 0, "what is refused changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_plans_strategy_holds_for_models_and_for_routes_that_state_none() {
    let targets = targets(["a", "b"]);
    let plan = Plan::new(targets.clone()).strategy(Strategy::Weighted);
    let plan = plan.route("plain", targets.route(["a/m", "b/m"]).unwrap());
    let plan = plan.route("own", targets.route(["a/m", "b/m"]).unwrap().strategy(Strategy::Ordered));
    let providers = Providers::new([("a", vec![]), ("b", vec![])]);
    let service = providers.under(&RouterLayer::new(plan).random(Random::seeded(5)));
    let mut went_to_a = Vec::new();
    for name in ["m", "x-1", "plain", "own"] {
        let before = providers.calls("a");
        for _ in 0..100 {
            answer(&service, ask(name)).await.unwrap();
        }
        went_to_a.push(providers.calls("a") - before);
    }
    assert!(went_to_a[..3].iter().all(|calls| (30..70).contains(calls)) && went_to_a[3] == 100, "{went_to_a:?}");
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_is_tried_in_its_order_after_the_route() {
    let down = || vec![fail(ErrorKind::Server)];
    let providers = Providers::new([("a", down()), ("b", down()), ("c", vec![]), ("d", vec![])]);
    let targets = targets(["a", "b", "c", "d"]);
    let then = targets.route(["c/m", "d/m"]).unwrap();
    let route = targets.route(["a/m", "b/m"]).unwrap().strategy(Strategy::LeastLoaded).then(then);
    let service = providers.under(&RouterLayer::new(Plan::new(targets).route("r", route)));
    let response = call(&service, ask("r")).await.unwrap();
    assert_eq!((response.head.target.unwrap().provider(), response.head.served), ("c", Served::Substitute));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_named_twice_is_called_once() {
    let providers = Providers::new([("a", vec![fail(ErrorKind::Server); 2]), ("b", vec![fail(ErrorKind::Server)])]);
    let targets = targets(["a", "b"]);
    let route = targets.route(["a/m", "m"]).unwrap().then(targets.route(["a/m"]).unwrap());
    let layer = RouterLayer::new(Plan::new(targets).route("r", route));
    answer(&providers.under(&layer), ask("r")).await.unwrap_err();
    assert_eq!((providers.calls("a"), providers.calls("b")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_goes_to_a_cheaper_target_and_a_long_prompt_to_a_larger_window() {
    let catalog = Catalog::from_toml(
        "[[models]]\nname = 'dear'\ninput = 9\noutput = 9\ncontext_window = 1_000
        [[models]]\nname = 'dearer'\ninput = 10\noutput = 10\ncontext_window = 500
        [[models]]\nname = 'unknown'
        [[models]]\nname = 'cheap'\ninput = 1\noutput = 1\ncontext_window = 2_000",
    );
    let names = ["dear", "dearer", "unknown", "cheap"];
    let targets = Targets::new(Arc::new(catalog.unwrap())).provider(ProviderEntry::new("a").models(names));
    let layer = RouterLayer::new(Plan::new(targets.clone()).route("r", targets.route(names).unwrap()));
    for kind in [ErrorKind::BudgetExceeded, ErrorKind::ContextLength] {
        let providers = Providers::new([("a", vec![fail(kind)])]);
        let answered = call(&providers.under(&layer), ask("r")).await.unwrap();
        assert_eq!(answered.head.target.unwrap().model(), "cheap", "{kind}");
        assert_eq!(providers.calls("a"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_of_calls_is_what_choices_go_by() {
    let frames = Frames::new()
        .start()
        .wait(2 * SECOND)
        .text("Blue ")
        .wait(SECOND)
        .text("light.")
        .usage(llm_core::Usage::reported(10, 100));
    let answers = |answer: Answer| vec![answer; 8];
    let slow = answers(Answer::stream(frames.finish().last()));
    let providers = Providers::new([
        ("a", slow),
        ("b", answers(fail(ErrorKind::RateLimited))),
        ("c", answers(fail(ErrorKind::InvalidRequest))),
    ]);
    let layer = chain();
    let (handle, service) = (layer.handle(), providers.under(&layer));
    for _ in 0..8 {
        answer(&service, stream("a/m")).await.unwrap();
        answer(&service, ask("b/m")).await.unwrap_err();
        answer(&service, ask("c/m")).await.unwrap_err();
    }
    let targets = handle.targets();
    let [a, b, c] =
        ["a/m", "b/m", "c/m"].map(|name| targets.iter().find(|status| status.target.to_string() == name).unwrap());
    let first_content = a.first_content.unwrap();
    assert!(first_content.abs_diff(2 * SECOND) < Duration::from_millis(20), "{first_content:?}");
    assert!((a.seconds_per_token.unwrap() - 0.01).abs() < 0.001, "{a:?}");
    assert!(
        a.failing == 0.0 && b.failing > 0.5 && c.failing == 0.0,
        "a limit makes a bad choice, a bad request does not"
    );

    let mut seen = Vec::new();
    handle.measure(&mut |measure| seen.push((measure.name, measure.labels.len(), measure.value)));
    assert!(
        seen.contains(&("llm.router.in_flight", 3, 0.0)) && seen.contains(&("llm.router.no_candidate", 0, 8.0)),
        "{seen:?}"
    );
    assert!(seen.iter().any(|(name, _, value)| *name == "llm.router.first_content" && *value > 1.9));
}

#[tokio::test(start_paused = true)]
async fn names_that_callers_make_up_are_counted_by_their_pattern_and_nothing_grows_with_them() {
    let providers = Providers::new([("a", vec![Answer::stream(Frames::new().start().text("Blue").hang()); 50])]);
    let layer = RouterLayer::new(targets(["a"]));
    let (handle, service) = (layer.handle(), providers.under(&layer));
    let known = handle.targets().len();
    let mut open = Vec::new();
    for number in 0..50 {
        open.push(call(&service, stream(&format!("x-{number}"))).await.unwrap());
    }
    assert_eq!(handle.targets().len(), known);
    let of_pattern = |handle: &llm_router::RouterHandle| {
        let targets = handle.targets();
        targets.iter().find(|status| status.target.model() == "x-*").unwrap().in_flight
    };
    assert_eq!(of_pattern(&handle), 50);
    drop(open);
    assert_eq!(of_pattern(&handle), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_flight_to_its_end() {
    let providers = Providers::new([("a", vec![])]);
    let layer = RouterLayer::new(targets(["a"]));
    let (handle, service) = (layer.handle(), providers.under(&layer));
    let mut body = call(&service, stream("m")).await.unwrap().body;
    assert_eq!(in_flight(&handle), 1);
    while let Some(frame) = body.next().await {
        frame.unwrap();
    }
    assert_eq!(in_flight(&handle), 0);
    let hanging = Providers::new([("a", vec![Answer::hang()])]);
    let hanging = hanging.under(&layer);
    let mut waiting = call(&hanging, ask("m")).boxed();
    assert!(poll!(waiting.as_mut()).is_pending());
    assert_eq!(in_flight(&handle), 1);
    drop(waiting);
    assert_eq!(in_flight(&handle), 0);
}
