//! What limits do, as stories on paused time. One for each sentence under Behaviour in the module's docs, and more.

mod config;
mod stage;

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use llm_budget::{
    Per,
    limit::{LimitCounts, LimitLayer, LimitRule},
};
use llm_core::{
    AttemptEnd, Body, Caller, Error, ErrorKind, LlmRequest, LlmResponse, Measures, Output, Severity, Target, Usage,
};
use llm_test::{Answer, Frames};
use stage::{Stage, ask, ask_for, ask_up_to, many, millis, model, ok, per_tenant, prompt, some, using};
use tower::{Layer, Service, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn requests_of_a_minute_pass_and_the_next_when_one_has_come_back_to_the_millisecond() {
    let stage = Stage::new([per_tenant().requests_per_minute(some(40))]);
    for _ in 0..40 {
        stage.call().await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(stage.wait(), Some(millis(1_500)));
        tokio::time::advance(millis(1_499)).await;
        assert_eq!(stage.wait(), Some(millis(1)));
        tokio::time::advance(millis(1)).await;
        stage.call().await.unwrap();
    }
    tokio::time::advance(millis(60_000)).await;
    for _ in 0..40 {
        stage.call().await.unwrap();
    }
    assert_eq!(stage.wait(), Some(millis(1_500)), "after a minute of nothing there is a minute's amount, and no more");
}

#[tokio::test(start_paused = true)]
async fn refused_calls_burn_nothing_of_any_limit() {
    let all = LimitRule::new("all", Per::GLOBAL).requests_per_minute(some(100)).tokens_per_minute(many(1_000_000));
    let stage = Stage::new([all.at_once(some(100)), per_tenant().requests_per_minute(some(2)).at_once(some(9))]);
    let whole = |stage: &Stage| {
        let mut all = stage.handle.status(&Caller::tenant("another"), model("m"));
        (all.swap_remove(0), stage.handle.status(&Caller::tenant("acme"), model("m")).swap_remove(1))
    };
    stage.call().await.unwrap();
    stage.call().await.unwrap();
    let before = whole(&stage);
    assert_eq!((before.0.requests_left, before.0.tokens_left), (Some(98), Some(1_000_000 - 30)));
    for _ in 0..1_000 {
        assert_eq!(stage.wait(), Some(millis(30_000)));
    }
    assert_eq!(whole(&stage), before);
    tokio::time::advance(millis(29_999)).await;
    assert_eq!(stage.wait(), Some(millis(1)));
    tokio::time::advance(millis(1)).await;
    stage.call().await.unwrap();
    for number in 0..99 {
        stage.send(ask_for(&number.to_string(), "m"), ok()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_charged_as_expected_and_put_right_by_what_was_used() {
    let stage = Stage::new([per_tenant().tokens_per_minute(many(60_000))]);
    let call = stage.under_way(ask());
    assert_eq!(stage.tokens_left(), 60_000 - 500 - prompt() as i64);
    drop(call);
    let left = 60_000 - prompt() as i64;
    assert_eq!(stage.tokens_left(), left, "of a call that was given up the provider may have read the prompt");

    stage.send(ask(), using(Usage::reported(20, 10))).await.unwrap();
    assert_eq!(stage.tokens_left(), left - 30, "what was expected and not used has come back");
    stage.send(ask(), using(Usage::reported(20_000, 70_000))).await.unwrap();
    let owed = 30_030 + prompt() as i64;
    assert_eq!(stage.tokens_left(), -owed, "what was used beyond it is owed");
    let wait = millis((owed + 500 + prompt() as i64).unsigned_abs());
    assert_eq!(stage.wait(), Some(wait), "a token comes back each millisecond");
    tokio::time::advance(wait - millis(1)).await;
    assert_eq!(stage.wait(), Some(millis(1)));
    tokio::time::advance(millis(1)).await;
    stage.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_expected_is_no_more_than_what_the_call_may_have() {
    let expected = |layer: &LimitLayer, request| {
        let stage = Stage::with(layer.clone());
        let _call = stage.under_way(request);
        60_000 - stage.tokens_left() - prompt() as i64
    };
    let limits = || [per_tenant().tokens_per_minute(many(60_000))];
    assert_eq!(expected(&LimitLayer::new(limits()), ask_up_to(100)), 100);
    assert_eq!(expected(&LimitLayer::new(limits()), ask_up_to(9_000)), 500);
    let mut lowered = ask_up_to(100);
    lowered.context_mut().lower_output_ceiling(70);
    assert_eq!(expected(&LimitLayer::new(limits()), lowered), 70);
    assert_eq!(expected(&LimitLayer::new(limits()).expected_output(9_000), ask()), 9_000);
    assert_eq!(expected(&LimitLayer::new(limits()).expected_output(0), ask()), 0);
}

#[tokio::test(start_paused = true)]
async fn embeddings_have_no_output_and_counting_tokens_uses_none() {
    let stage = Stage::new([per_tenant().tokens_per_minute(many(100))]);
    let with_caller = |mut request: LlmRequest| {
        request.context_mut().set_caller(Caller::tenant("acme"));
        request
    };
    let embed = stage.under_way(with_caller(LlmRequest::embed("e", ["Why is the sky blue?"])));
    let left = stage.tokens_left();
    assert!((85..100).contains(&left), "{left}");
    stage.refused(ask());
    let chat = llm_core::Chat::default();
    let counting = stage.under_way(with_caller(LlmRequest::new("m", llm_core::Payload::CountTokens(chat))));
    assert_eq!(stage.tokens_left(), left);
    drop((embed, counting));
    assert_eq!(stage.tokens_left(), left);
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_a_minutes_tokens_is_let_through_by_a_full_bucket_alone() {
    let stage = Stage::new([per_tenant().tokens_per_minute(many(60))]);
    drop(stage.under_way(ask_up_to(0)));
    assert_eq!(stage.wait(), Some(millis(prompt() * 1_000)));
    tokio::time::advance(millis(prompt() * 1_000)).await;
    let _call = stage.under_way(ask());
    assert_eq!(stage.tokens_left(), 60 - 500 - prompt() as i64);
}

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_took_on_and_answers_out_of_a_cache_use_no_tokens_and_are_calls_all_the_same() {
    let stage = Stage::new([per_tenant().requests_per_minute(some(10)).tokens_per_minute(many(1_000))]);
    let open = Error::new(ErrorKind::CircuitOpen, "open");
    let error = stage.send(ask(), Answer::fail(open)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen);
    assert_eq!((stage.tokens_left(), stage.status().requests_left), (1_000, Some(9)));

    let cache = service_fn(|request: LlmRequest| async move {
        let mut output = Output::text("fine");
        output.set_usage(Usage::reported(300, 400));
        let body = Body::full(output).answering(&request, "m").unpaid();
        Ok::<_, Error>(LlmResponse::new(Default::default(), body))
    });
    stage.layer.layer(cache).oneshot(ask()).await.unwrap();
    assert_eq!((stage.tokens_left(), stage.status().requests_left), (1_000, Some(8)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_half_way_has_used_what_came() {
    let stage = Stage::new([per_tenant().tokens_per_minute(many(1_000))]);
    let answer = Answer::stream(Frames::new().start().words("one two three four five six seven eight").hang());
    let mut body = stage.begin(ask(), answer).await.unwrap().body;
    for _ in 0..5 {
        body.next().await.unwrap().unwrap();
    }
    drop(body);
    let used = 1_000 - stage.tokens_left() - prompt() as i64;
    assert!((3..=6).contains(&used), "four words came, and {used} tokens were charged");
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_are_counted_to_the_ends_of_their_streams_however_they_end() {
    let stage = Stage::new([per_tenant().at_once(some(2))]);
    let first = stage.under_way(ask());
    let text = || Frames::new().start().text("one").text("two");
    for end in [text().finish().last(), text().fail(Error::new(ErrorKind::Server, "down")), text(), text().panic()] {
        let mut body = stage.begin(ask(), Answer::stream(end)).await.unwrap().body;
        body.next().await.unwrap().unwrap();
        assert_eq!((stage.status().in_flight, stage.wait()), (2, None), "nobody knows when one will end");
        let read = async { while let Some(Ok(_)) = body.next().await {} };
        _ = std::panic::AssertUnwindSafe(read).catch_unwind().await;
        drop(body);
        assert_eq!(stage.status().in_flight, 1);
    }
    let answer = stage.begin(ask(), Answer::text("all is well")).await.unwrap();
    assert_eq!(stage.status().in_flight, 1, "a whole answer is over when it comes");
    drop((answer, first));
    for answer in [Answer::fail(Error::new(ErrorKind::Server, "down")), Answer::panic_in_future()] {
        _ = std::panic::AssertUnwindSafe(stage.send(ask(), answer)).catch_unwind().await;
        assert_eq!(stage.status().in_flight, 0);
    }
    let unpolled = stage.layer.layer(llm_test::Probe::new().forgiving()).call(ask());
    assert_eq!(stage.status().in_flight, 1);
    drop(unpolled);
    assert_eq!(stage.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_error_names_the_limit_that_holds_longest_and_is_in_the_trail() {
    let stage = Stage::new([
        LimitRule::new("everybody", Per::GLOBAL).requests_per_minute(some(1)).at_once(some(1)),
        per_tenant().tokens_per_minute(many(1_000)),
    ]);
    let call = stage.under_way(ask());
    let error = stage.refused(ask());
    assert_eq!(error.to_string(), "the limit `everybody` is reached (requests a minute: 1)");
    drop(call);
    tokio::time::advance(millis(60_000)).await;
    stage.send(ask(), using(Usage::reported(8_999, 1))).await.unwrap();
    let mut request = ask();
    request.context_mut().set_target(Target::new("openai", "gpt-4o"));
    let trail = request.context().trail();
    let error = stage.refused(request);
    assert_eq!(error.to_string(), "the limit `per-tenant` is reached (tokens a minute: 1000)");
    let wait = Duration::from_nanos((8_500 + prompt()) * 60_000_000);
    assert_eq!(error.retry_after(), Some(wait));
    assert_eq!(error.target(), Some(&Target::new("openai", "gpt-4o")));
    assert!(!error.is_retryable() && !error.is_provider_fault());
    assert_eq!(trail.attempts()[0].end, Some(AttemptEnd::Failed(ErrorKind::LimitExceeded)));

    let stage = Stage::new([per_tenant().at_once(some(1))]);
    let _call = stage.under_way(ask());
    assert_eq!(stage.refused(ask()).to_string(), "the limit `per-tenant` is reached (calls at once: 1)");
}

#[tokio::test(start_paused = true)]
async fn callers_are_told_apart_by_what_the_limit_says_and_those_without_a_name_are_one() {
    let caller = |[tenant, user, key, workflow, job]: [&str; 5], model: &str| {
        let mut request = LlmRequest::chat(model).user("hi").build();
        let name = |name: &str| (!name.is_empty()).then(|| Arc::from(name));
        let [tenant, user, key, workflow, job] = [tenant, user, key, workflow, job].map(name);
        let caller = Caller { tenant, user, key, workflow, job };
        request.context_mut().set_caller(caller);
        request
    };
    let calls = [
        caller(["a", "u", "k", "w", "j"], "gpt-4o"),
        caller(["b", "u", "k", "w", "j"], "gpt-4o"),
        caller(["a", "v", "k", "w", "j"], "gpt-4o"),
        caller(["a", "u", "l", "w", "j"], "gpt-4o"),
        caller(["a", "u", "k", "x", "j"], "gpt-4o"),
        caller(["a", "u", "k", "w", "k"], "gpt-4o"),
        caller(["a", "u", "k", "w", "j"], "n"),
        caller(["", "u", "k", "w", "j"], "gpt-4o"),
        caller(["", "", "", "", ""], "gpt-4o-2024-08-06"),
    ];
    let pers = [
        (Per::GLOBAL, 1),
        (Per::TENANT, 3),
        (Per::USER, 5),
        (Per::KEY, 5),
        (Per::WORKFLOW, 3),
        (Per::JOB, 6),
        (Per::MODEL, 2),
        (Per::TENANT.and(Per::MODEL), 4),
    ];
    for (per, expected) in pers {
        let stage = Stage::new([LimitRule::new("limit", per).requests_per_minute(some(1))]);
        let mut through = 0;
        for call in &calls {
            through += u32::from(stage.send(call.clone(), ok()).await.is_ok());
        }
        assert_eq!(through, expected, "{per}");
        assert_eq!(stage.handle.list().len() as u32, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_concerns_whom_it_lists_and_nobody_else_is_charged_by_it() {
    let calls = [("a", "gpt-4o"), ("b", "gpt-4o"), ("a", "gpt-4o-mini"), ("a", "o3")];
    let call = |(tenant, model): (&str, &str)| {
        let mut request = ask_for(tenant, model);
        let (user, workflow) = (Some(Arc::from(format!("{tenant}'s user"))), Some(Arc::from("chat")));
        let (key, job) = (Some(Arc::from("ci")), Some(Arc::from("7")));
        let caller = Caller { user, key, workflow, job, ..request.context().caller().clone() };
        request.context_mut().set_caller(caller);
        request
    };
    let rule = || LimitRule::new("limit", Per::GLOBAL).requests_per_minute(some(1)).tokens_per_minute(many(9_000));
    let rules = [
        (rule().tenants(["a", "c"]), vec![0, 2, 3]),
        (rule().users(["b's user"]), vec![1]),
        (rule().keys(["ci"]), vec![0, 1, 2, 3]),
        (rule().keys(["cd"]), vec![]),
        (rule().workflows(["chat"]), vec![0, 1, 2, 3]),
        (rule().jobs(["8"]), vec![]),
        (rule().models(["gpt-4o*"]), vec![0, 1, 2]),
        (rule().tenants(["a"]).models(["o3"]), vec![3]),
    ];
    for (rule, concerned) in rules {
        let stage = Stage::new([LimitRule::new("first", Per::GLOBAL).at_once(some(9)), rule]);
        // The first call that is concerned takes the one request that there is.
        if let Some(first) = concerned.first() {
            stage.send(call(calls[*first]), ok()).await.unwrap();
        }
        for (number, names) in calls.into_iter().enumerate() {
            let refused = stage.send(call(names), ok()).await.is_err();
            assert_eq!(refused, concerned.contains(&number), "{names:?} {concerned:?}");
        }
        assert_eq!(stage.handle.counts()[1].admitted, u64::from(!concerned.is_empty()));
    }
    let unknown = Stage::new([rule().users(["b's user"])]);
    unknown.call().await.unwrap();
    unknown.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_stands_instead_of_another_is_the_one_that_its_calls_are_held_to() {
    let rules = [
        per_tenant().requests_per_minute(some(1)),
        LimitRule::new("acme", Per::TENANT).tenants(["acme"]).requests_per_minute(some(3)).instead_of("per-tenant"),
    ];
    let stage = Stage::new(rules);
    for _ in 0..3 {
        stage.call().await.unwrap();
    }
    assert_eq!(stage.refused(ask()).to_string(), "the limit `acme` is reached (requests a minute: 3)");
    stage.send(ask_for("b", "m"), ok()).await.unwrap();
    assert_eq!(
        stage.refused(ask_for("b", "m")).to_string(),
        "the limit `per-tenant` is reached (requests a minute: 1)"
    );
    assert_eq!(stage.handle.counts()[0].admitted, 1, "of acme's calls nothing is counted there");
}

#[tokio::test(start_paused = true)]
async fn a_model_is_one_by_all_of_its_names_in_the_catalogue_that_was_given() {
    let text = "[[models]]\nname = 'm'\naliases = ['alias']";
    let catalog = Arc::new(llm_core::catalog::Catalog::from_toml(text).unwrap());
    let rules = || {
        let listed = LimitRule::new("listed", Per::GLOBAL).models(["m"]).requests_per_minute(some(2));
        [LimitRule::new("per-model", Per::MODEL).requests_per_minute(some(1)), listed]
    };
    let stage = Stage::with(LimitLayer::new(rules()).catalog(catalog));
    stage.send(ask_for("acme", "alias"), ok()).await.unwrap();
    stage.refused(ask_for("acme", "m"));
    assert_eq!(stage.handle.counts()[1].admitted, 1);
    let stage = Stage::new(rules());
    stage.send(ask_for("acme", "alias"), ok()).await.unwrap();
    stage.send(ask_for("acme", "m"), ok()).await.unwrap();
    assert_eq!(stage.handle.counts()[1].admitted, 1);
}

#[tokio::test(start_paused = true)]
async fn the_model_is_the_targets_once_there_is_one() {
    let stage = Stage::new([LimitRule::new("per-model", Per::MODEL).requests_per_minute(some(1))]);
    let to = |provider: &str| {
        let mut request = ask();
        request.context_mut().set_target(Target::new(provider, "gpt-4o"));
        request
    };
    for request in [to("openai"), to("azure"), ask()] {
        stage.send(request.clone(), ok()).await.unwrap();
        stage.refused(request);
    }
    let models: BTreeSet<_> = stage.handle.list().into_iter().filter_map(|status| status.caller.model).collect();
    assert_eq!(models, ["", "azure", "openai"].map(|provider| Target::new(provider, "gpt-4o")).into());
    let status = stage.handle.status(&Caller::default(), Target::new("azure", "gpt-4o").names());
    assert_eq!(status[0].requests_left, Some(0));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_forgotten_who_has_used_something_and_those_without_room_share_one_amount() {
    let rule = per_tenant().requests_per_minute(some(2)).at_once(some(2));
    let stage = Stage::with(LimitLayer::new([rule]).most_callers(NonZeroUsize::new(3).unwrap()));
    let mut notices = stage.handle.notices();
    let busy = stage.under_way(ask());
    for tenant in ["b", "c"] {
        stage.send(ask_for(tenant, "m"), ok()).await.unwrap();
    }
    // A thousand names that nobody has heard of.
    let mut through = 0;
    for number in 0..1_000 {
        through += u32::from(stage.send(ask_for(&number.to_string(), "m"), ok()).await.is_ok());
    }
    assert_eq!(through, 2, "together they may do what one may do");
    assert_eq!(stage.handle.overflow_status()[0].requests_left, Some(0));
    assert_eq!(stage.handle.counts()[0].crowded, 1_000);
    let notice = notices.next().await.unwrap();
    assert_eq!((&*notice.key, notice.kind, notice.severity), ("per-tenant", "crowded", Severity::Warning));
    assert_eq!(notice.numbers, [("callers", 3.0)]);
    let told = std::iter::from_fn(|| notices.next().now_or_never().flatten()).map(|notice| notice.kind);
    assert_eq!(told.collect::<Vec<_>>(), ["limited"], "each is told once a minute");
    for tenant in ["acme", "b", "c"] {
        let status = stage.handle.status(&Caller::tenant(tenant), model("m"));
        assert_eq!(status[0].requests_left, Some(1), "{tenant} is known");
    }

    // b and c have nothing to remember after a minute. acme has a call under way.
    tokio::time::advance(millis(60_000)).await;
    for tenant in ["d", "e"] {
        stage.send(ask_for(tenant, "m"), ok()).await.unwrap();
    }
    let known: BTreeSet<_> = stage.handle.list().into_iter().map(|status| status.caller.tenant).collect();
    assert_eq!(known, ["acme", "d", "e"].map(|name| Some(Arc::from(name))).into());
    assert_eq!(stage.status().in_flight, 1);
    drop(busy);
    assert_eq!(stage.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn callers_with_names_beyond_all_measure_share_one_amount() {
    let stage = Stage::new([per_tenant().requests_per_minute(some(1))]);
    let long = |letter: &str, length| ask_for(&letter.repeat(length), "m");
    for letter in ["a", "b"] {
        stage.send(long(letter, 500), ok()).await.unwrap();
    }
    stage.send(long("a", 1_000_000), ok()).await.unwrap();
    stage.refused(long("b", 600));
    assert_eq!(stage.handle.counts()[0].callers, 2);
}

#[tokio::test(start_paused = true)]
async fn a_limited_caller_is_told_of_once_a_minute() {
    let stage = Stage::new([per_tenant().requests_per_minute(some(2))]);
    let mut notices = stage.handle.notices();
    for _ in 0..3 {
        for tenant in ["acme", "b"] {
            _ = stage.send(ask_for(tenant, "m"), ok()).await;
            _ = stage.send(ask_for(tenant, "m"), ok()).await;
            stage.refused(ask_for(tenant, "m"));
        }
        tokio::time::advance(millis(20_000)).await;
    }
    for key in ["per-tenant (tenant acme)", "per-tenant (tenant b)"] {
        let notice = notices.next().now_or_never().flatten().unwrap();
        assert_eq!((notice.source, &*notice.key, notice.kind), ("limit", key, "limited"));
        assert_eq!(notice.numbers, [("wait_seconds", 30.0)]);
    }
    assert!(notices.next().now_or_never().is_none());
    tokio::time::advance(millis(1)).await;
    while stage.call().await.is_ok() {}
    assert_eq!(notices.next().await.unwrap().key, "per-tenant (tenant acme)");
}

#[tokio::test(start_paused = true)]
async fn the_handle_counts_and_measures_say_the_same_and_name_no_caller() {
    let rules = [
        LimitRule::new("all", Per::GLOBAL).at_once(some(2)),
        per_tenant().requests_per_minute(some(3)).tokens_per_minute(many(10_000)),
    ];
    let stage = Stage::new(rules);
    let calls = (stage.under_way(ask()), stage.under_way(ask()));
    stage.refused(ask());
    drop(calls.0);
    stage.call().await.unwrap();
    stage.refused(ask());
    stage.send(ask_for("b", "m"), using(Usage::reported(20_000, 1))).await.unwrap();
    stage.refused(ask_for("b", "m"));
    let [all, tenants] = stage.handle.counts().try_into().unwrap();
    let expected = LimitCounts { limit: "all".into(), callers: 1, in_flight: 1, admitted: 4, ..Default::default() };
    assert_eq!(all, LimitCounts { refused_by_at_once: 1, ..expected.clone() });
    let expected = LimitCounts { limit: "per-tenant".into(), callers: 2, ..expected };
    assert_eq!(tenants, LimitCounts { refused_by_requests: 1, refused_by_tokens: 1, ..expected });

    let mut seen = Vec::new();
    stage.handle.measure(&mut |measure| {
        let labels: Vec<_> = measure.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        seen.push(format!("{}{{{}}} {}", measure.name, labels.join(","), measure.value));
    });
    assert_eq!(seen.len(), 14);
    for line in [
        "llm.limit.callers{limit=per-tenant} 2",
        "llm.limit.in_flight{limit=all} 1",
        "llm.limit.admitted{limit=per-tenant} 4",
        "llm.limit.crowded{limit=all} 0",
        "llm.limit.refused{limit=all,by=at_once} 1",
        "llm.limit.refused{limit=per-tenant,by=requests} 1",
        "llm.limit.refused{limit=per-tenant,by=tokens} 1",
    ] {
        assert!(seen.iter().any(|seen| seen == line), "{line} is not among {seen:#?}");
    }
    let shown = stage.handle.status(&Caller::tenant("acme"), model("m"))[1].to_string();
    assert!(shown.starts_with("per-tenant (tenant acme): 1 in flight, 0 requests left, 9"), "{shown}");
    let shown = stage.handle.status(&Caller::tenant("b"), model("m"))[1].to_string();
    assert_eq!(shown, "per-tenant (tenant b): 0 in flight, 2 requests left, 10001 tokens owed");
}

#[tokio::test(start_paused = true)]
async fn counts_are_shared_by_clones_and_by_services_of_one_layer_and_a_setter_begins_anew() {
    let layer = LimitLayer::new([per_tenant().requests_per_minute(some(2))]);
    let stage = Stage::with(layer.clone());
    stage.call().await.unwrap();
    Stage::with(layer.clone()).call().await.unwrap();
    stage.refused(ask());
    let fresh = Stage::with(layer.expected_output(1));
    fresh.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_resumes_knows_who_has_used_what_also_of_calls_that_began_before() {
    let amounts = |rule: LimitRule| rule.requests_per_minute(some(60)).tokens_per_minute(many(60_000));
    let before = Stage::new([amounts(per_tenant()).at_once(some(3)), LimitRule::new("gone", Per::GLOBAL)]);
    before.call().await.unwrap();
    let gate = llm_test::Gate::new();
    let mut late = before.begin(ask(), using(Usage::reported(10_000, 30_000)).gate(&gate));
    assert!((&mut late).now_or_never().is_none());

    let other = amounts(LimitRule::new("per-user", Per::USER));
    let layer = LimitLayer::new([other, amounts(per_tenant()).at_once(some(1))]);
    let after = Stage::with(layer.resuming(&before.handle));
    let status = || after.handle.status(&Caller::tenant("acme"), model("gpt-4o")).swap_remove(1);
    assert_eq!((status().in_flight, status().requests_left), (1, Some(58)));
    assert_eq!(status().tokens_left, Some(60_000 - 15 - 500 - prompt() as i64));
    assert_eq!(after.refused(ask()).to_string(), "the limit `per-tenant` is reached (calls at once: 1)");
    gate.open();
    late.await.unwrap();
    assert_eq!((status().in_flight, status().tokens_left), (0, Some(60_000 - 15 - 40_000)));
    assert_eq!(after.handle.counts()[1].admitted, 2);
    assert_eq!(after.handle.counts()[0].admitted, 0, "a limit of another name begins anew");

    let narrow = LimitLayer::new([amounts(per_tenant())]).most_callers(NonZeroUsize::MIN).resuming(&before.handle);
    let narrow = Stage::with(narrow);
    for tenant in ["acme", "b"] {
        narrow.send(ask_for(tenant, "m"), ok()).await.unwrap();
    }
    assert_eq!((narrow.handle.counts()[0].callers, narrow.handle.counts()[0].crowded), (1, 1), "there is room for one");

    let by_key = Stage::with(LimitLayer::new([LimitRule::new("per-tenant", Per::KEY)]).resuming(&before.handle));
    assert!(by_key.handle.list().is_empty(), "and so does one that tells callers apart by something else");
}

#[tokio::test(start_paused = true)]
async fn what_was_used_stays_used_when_an_amount_changes() {
    let limits = |requests, tokens| [per_tenant().requests_per_minute(some(requests)).tokens_per_minute(many(tokens))];
    let before = Stage::new(limits(100, 10_000));
    for _ in 0..50 {
        before.send(ask(), using(Usage::reported(50, 30))).await.unwrap();
    }
    let left = |stage: &Stage| (stage.status().requests_left, stage.tokens_left());
    assert_eq!(left(&before), (Some(50), 6_000));
    let resuming = |limits, previous: &Stage| Stage::with(LimitLayer::new(limits).resuming(&previous.handle));
    let more = resuming(limits(200, 20_000), &before);
    assert_eq!(left(&more), (Some(150), 16_000));
    let less = resuming(limits(10, 1_000), &more);
    assert_eq!(left(&less), (Some(0), -3_000));
    assert_eq!(
        less.wait(),
        Some(millis(246_000)),
        "41 requests of ten a minute come back, and then it is the turn of one"
    );
    tokio::time::advance(millis(246_000)).await;
    assert_eq!(left(&less), (Some(1), 1_000));
    less.call().await.unwrap();
    let unlimited = resuming([per_tenant()], &less);
    unlimited.call().await.unwrap();
    assert_eq!(left(&resuming(limits(10, 1_000), &unlimited)), (Some(0), 985));
}

#[tokio::test(start_paused = true)]
async fn a_caller_below_its_limits_waits_for_the_inner_service_and_holds_its_place() {
    let stage = Stage::new([per_tenant().at_once(some(1))]);
    let mut stuck = stage.layer.layer(llm_test::Probe::new().never_ready());
    let mut call = stuck.ready().await.unwrap().call(ask()).boxed();
    assert!((&mut call).now_or_never().is_none());
    assert_eq!(stage.wait(), None);
    drop(call);
    stage.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_shown_the_limits_that_it_is_held_to_and_what_is_left_of_them() {
    let rules = [
        per_tenant().requests_per_minute(some(6)).tokens_per_minute(many(60_000)).at_once(some(3)),
        LimitRule::new("others", Per::TENANT).at_once(some(9)).tenants(["zeta"]),
    ];
    let stage = Stage::new(rules);
    stage.send(ask(), ok()).await.unwrap();
    let [status] = &stage.handle.of(&ask())[..] else { panic!("one of the two is of others") };
    assert_eq!((status.requests_per_minute, status.requests_left), (Some(6), Some(5)));
    assert_eq!((status.tokens_per_minute, status.at_once, status.in_flight), (Some(60_000), Some(3), 0));
    assert_eq!(&*status.caller.rule, "per-tenant");
}
