//! What a budget does, as stories on paused time. One for each sentence under Behaviour in the crate docs, and more.

#![allow(clippy::unwrap_used)]

mod ceilings;
mod histories;
mod operators;
mod place;
mod slow;
mod stage;
mod streams;
mod written;

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use llm_budget::{Cap, CapRule, Per, Window};
use llm_core::{AttemptEnd, CacheTtl, Caller, Error, ErrorKind, LlmRequest, NanoUsd, Part, Payload, Target, Usage};
use llm_test::{Answer, Gate, Probe};
use stage::{Stage, TOKEN, answer, ask, ask_for, frames, mills, per_tenant, streamed, used, whole, words};
use tower::{Layer, ServiceExt};

#[tokio::test(start_paused = true)]
async fn what_a_call_may_cost_is_set_aside_and_what_it_cost_is_spent() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let gate = Gate::new();
    let mut call = Box::pin(stage.send(ask(), answer(1_200).gate(&gate)));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!((stage.spent(), stage.reserved()), (mills(0), mills(150)));
    gate.open();
    call.await.unwrap();
    assert_eq!((stage.spent(), stage.reserved()), (mills(60), mills(0)));
}

#[tokio::test(start_paused = true)]
async fn of_a_crowd_no_more_are_let_through_than_the_cap_pays_for_and_one_by_one_exactly_thirty_one() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let service = stage.layer.layer(Probe::answering(answer(1_200).after(Duration::from_secs(1))));
    let crowd = join_all((0..150).map(|_| service.clone().oneshot(ask()))).await;
    let first = crowd.iter().filter(|answered| answered.is_ok()).count();
    assert_eq!(first, 13, "thirteen times 0.15 fit");
    let mut succeeded = first;
    for _ in 0..100 {
        succeeded += usize::from(service.clone().oneshot(ask()).await.is_ok());
        assert!(stage.spent() <= mills(2_000));
    }
    assert_eq!(succeeded, 31);
    assert_eq!((stage.spent(), stage.reserved()), (mills(31 * 60), mills(0)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_budget_how_much_is_left_and_how_long_to_wait_and_is_in_the_trail() {
    let stage = Stage::new([per_tenant(mills(200))]);
    stage.send(ask(), answer(2_000)).await.unwrap();
    let request = ask();
    let trail = request.context().trail();
    let probe = Probe::new().never_ready();
    let log = probe.log();
    let error = stage.layer.layer(probe).oneshot(request).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
    assert_eq!(error.message(), "the budget `per-tenant` has $0.10 left, and $0.15 would be needed");
    assert_eq!(error.target(), Some(&Target::new("openai", "m")));
    assert_eq!(trail.attempts()[0].end, Some(AttemptEnd::Failed(ErrorKind::BudgetExceeded)));
    assert_eq!(log.calls(), 0);
    let wait = error.retry_after().unwrap();
    tokio::time::sleep(wait - Duration::from_millis(2)).await;
    stage.send(ask(), answer(1)).await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(3)).await;
    stage.send(ask(), answer(1)).await.unwrap();
    assert_eq!(stage.handle.counts().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_held_to_every_rule_that_concerns_it_and_others_are_not() {
    let all = CapRule::new("all", Per::GLOBAL, Cap::new(mills(400), Window::DAY));
    let big = CapRule::new("big", Per::MODEL, Cap::new(mills(160), Window::DAY)).models(["openai/m"]).tenants(["acme"]);
    let stage = Stage::new([all, per_tenant(mills(300)), big]);
    stage.send(ask(), answer(400)).await.unwrap();
    let refused = stage.send(ask(), answer(200)).await.unwrap_err();
    assert!(refused.message().starts_with("the budget `big` has less than $0.15 left"), "{refused}");
    let error = stage.send(ask_for("alias", "acme", 3_001), answer(1)).await.unwrap_err();
    assert!(error.message().contains("`big`"), "a model is the same by all of its names: {error}");
    stage.send(ask_for("m", "other", 3_000), answer(3_000)).await.unwrap();
    stage.send(ask_for("m", "other", 3_000), answer(2_800)).await.unwrap();
    let error = stage.send(ask_for("m", "third", 3_000), answer(1)).await.unwrap_err();
    assert!(error.message().starts_with("the budget `all` has less than $0.15 left"), "{error}");
    assert!(!format!("{error:?}").contains("acme") && !error.message().contains("other"));
}

#[tokio::test(start_paused = true)]
async fn a_call_sets_aside_and_spends_the_same_in_each_of_its_accounts() {
    let rule = |name: &str, per| CapRule::new(name, per, Cap::new(mills(2_000), Window::DAY));
    let stage = Stage::new([rule("all", Per::GLOBAL), rule("tenant", Per::TENANT), rule("model", Per::MODEL)]);
    let balances = || {
        let accounts = stage.handle.accounts().into_iter();
        accounts.map(|status| (status.balances[0].reserved, status.balances[0].spent)).collect::<Vec<_>>()
    };
    let gate = Gate::new();
    let mut call = Box::pin(stage.send(ask(), answer(1_200).gate(&gate)));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(balances(), [(mills(150), mills(0)); 3]);
    gate.open();
    call.await.unwrap();
    assert_eq!(balances(), [(mills(0), mills(60)); 3]);
}

#[tokio::test(start_paused = true)]
async fn everybody_has_two_dollars_and_acme_has_twenty() {
    let acme = CapRule::new("acme", Per::TENANT, Cap::new(mills(20_000), Window::DAY)).tenants(["acme"]);
    let stage = Stage::new([per_tenant(mills(2_000)), acme.instead_of("per-tenant")]);
    let mut spent = [0, 0];
    for (at, tenant) in ["acme", "other"].into_iter().enumerate() {
        while stage.send(ask_for("m", tenant, 3_000), answer(3_000)).await.is_ok() {
            spent[at] += 150;
        }
    }
    assert_eq!(spent, [19_950, 1_950]);
    let names: Vec<_> = stage.handle.accounts().iter().map(|status| status.key.to_string()).collect();
    assert_eq!(names, ["acme (tenant acme)", "per-tenant (tenant other)"]);
    let of_acme = stage.handle.accounts_of(&Caller::tenant("acme"));
    assert_eq!(of_acme.iter().map(|status| &*status.key.rule).collect::<Vec<_>>(), ["acme"]);
}

#[tokio::test(start_paused = true)]
async fn every_api_key_of_a_tenant_may_have_its_own_account() {
    let stage = Stage::new([CapRule::new("per-key", Per::KEY, Cap::new(mills(150), Window::DAY))]);
    let with_key = |tenant: &str, key: &str| {
        let mut request = ask_for("m", tenant, 3_000);
        request.context_mut().set_caller(Caller { key: Some(key.into()), ..Caller::tenant(tenant) });
        request
    };
    for (tenant, key) in [("acme", "ci"), ("acme", "laptop"), ("other", "ci")] {
        stage.send(with_key(tenant, key), answer(1)).await.unwrap();
        stage.send(with_key(tenant, key), answer(1)).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_burns_nothing_in_the_accounts_that_would_have_let_it_pass() {
    let all = CapRule::new("all", Per::GLOBAL, Cap::new(mills(1_000), Window::DAY));
    let stage = Stage::new([all, per_tenant(mills(100))]);
    stage.send(ask(), answer(1)).await.unwrap_err();
    assert!(stage.handle.accounts().iter().all(|status| status.balances[0].spent == NanoUsd::ZERO));
    assert!(stage.handle.accounts().iter().all(|status| status.reserved() == NanoUsd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn calls_without_a_tenant_share_the_account_of_nobody() {
    let stage = Stage::new([per_tenant(mills(150))]);
    let nobody = || {
        let mut request = ask();
        request.context_mut().set_caller(Caller::default());
        request
    };
    stage.send(nobody(), answer(1)).await.unwrap();
    stage.send(nobody(), answer(1)).await.unwrap_err();
    stage.send(ask(), answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_fails_costs_what_was_used() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    stage.send(ask(), Answer::fail(Error::new(ErrorKind::Server, "down"))).await.unwrap_err();
    assert_eq!(stage.spent(), mills(0));
    let billed = Error::new(ErrorKind::Interrupted, "cut").with_usage(Usage::reported(5, 200));
    stage.send(ask(), Answer::fail(billed)).await.unwrap_err();
    assert_eq!((stage.spent(), stage.reserved()), (mills(10), mills(0)));
}

#[tokio::test(start_paused = true)]
async fn nobody_pays_for_a_call_that_was_dropped_before_the_service_was_ready_for_it() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    for request in [ask(), streamed(3_000)] {
        let mut call = Box::pin(stage.layer.layer(Probe::new().never_ready()).oneshot(request));
        assert!(call.as_mut().now_or_never().is_none());
        assert_ne!(stage.reserved(), mills(0));
        drop(call);
        assert_eq!((stage.spent(), stage.reserved()), (mills(0), mills(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_before_its_head_costs_its_prompt_and_a_panic_nothing() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let ask = || ask_for("cached", "acme", 100);
    assert!(stage.send(ask(), Answer::hang()).now_or_never().is_none());
    assert_eq!((stage.spent(), stage.reserved()), (NanoUsd(9 * 10_000), mills(0)));
    let [spend] = &stage.handle.models()[..] else { panic!("one model was called") };
    assert_eq!((spend.estimated, spend.reported), (NanoUsd(9 * 10_000), mills(0)));
    for panics in [Answer::panic_in_call(), Answer::panic_in_future()] {
        let call = std::panic::AssertUnwindSafe(stage.send(ask(), panics)).catch_unwind();
        assert!(call.await.is_err());
        assert_eq!((stage.spent(), stage.reserved()), (NanoUsd(9 * 10_000), mills(0)));
    }
}

#[tokio::test(start_paused = true)]
async fn cached_tokens_cost_what_the_provider_charges_for_them() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let usage = Usage { cache_read: 600, cache_write: 200, ..Usage::reported(1_000, 10) };
    stage.send(ask_for("cached", "acme", 100), used(usage)).await.unwrap();
    assert_eq!(stage.spent(), NanoUsd(200 * 10_000 + 600 * 1_000 + 200 * 12_500 + 10 * TOKEN));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_is_set_aside_at_the_price_of_writing_it_to_a_cache_be_it_asked_for_or_not() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let held = |cache, asked: Option<CacheTtl>| {
        let mut request = ask_for("cached", "acme", 100);
        if let Payload::Chat(chat) = request.payload_mut() {
            chat.messages[0].parts = vec![Part { cache, ..Part::text("why ".repeat(1_000)) }];
        }
        asked.into_iter().for_each(|ttl| request.context_mut().set_prompt_cache(ttl));
        let gate = Gate::new();
        let mut call = Box::pin(stage.send(request, answer(1).gate(&gate)));
        assert!(call.as_mut().now_or_never().is_none());
        stage.reserved().0 - 100 * TOKEN
    };
    let (five, hour) = (Some(CacheTtl::FiveMinutes), Some(CacheTtl::OneHour));
    let (fresh, marked, asked) = (held(None, None), held(five, None), held(None, five));
    assert_eq!((marked, asked, fresh % 12_500), (fresh, fresh, 0));
    assert_eq!(held(None, hour), held(hour, None), "whoever asks for it");
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_refused_with_a_sentence_that_says_how_to_price_it() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    for model in ["unpriced", "unheard-of"] {
        let error = stage.send(ask_for(model, "acme", 1), answer(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BudgetExceeded);
        let sentence = format!(
            "the price of `openai/{model}` is not known, and the budget `per-tenant` needs it: state its `input` and \
             `output` price in a [[models]] entry of the catalogue"
        );
        assert_eq!(error.message(), sentence);
    }
    assert_eq!(stage.handle.counts().unpriced, 2);
    let soft = Stage::new([per_tenant(mills(1)).soft(), per_tenant(mills(1)).models(["m"]).soft()]);
    soft.send(ask_for("unpriced", "acme", 1), answer(1)).await.unwrap();
    let unconcerned = Stage::new([per_tenant(mills(1)).models(["m"])]);
    unconcerned.send(ask_for("unpriced", "acme", 1), answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn counting_tokens_costs_nothing_and_no_paid_answer_costs_nothing() {
    let stage = Stage::new([per_tenant(mills(150))]);
    let mut count = ask_for("unpriced", "acme", 1);
    let Payload::Chat(chat) = count.payload().clone() else { panic!("it is a chat") };
    *count.payload_mut() = Payload::CountTokens(chat);
    stage.send(count, answer(1)).await.unwrap();
    assert!(stage.handle.accounts().is_empty());

    let cache = tower::service_fn(|_: LlmRequest| async {
        let response = llm_core::LlmResponse::from(llm_core::Output::text("from the cache"));
        Ok::<_, Error>(response.map(llm_core::Body::unpaid))
    });
    stage.layer.layer(cache).oneshot(ask()).await.unwrap();
    assert_eq!((stage.spent(), stage.reserved()), (mills(0), mills(0)));
}

#[tokio::test(start_paused = true)]
async fn the_first_day_is_over_at_midnight_and_what_runs_then_is_spent_on_the_second() {
    let stage = Stage::worst_case([per_tenant(mills(150))]);
    let gate = Gate::new();
    let frames = words(10).gate(&gate).usage(Usage::reported(1, 1_000)).finish().last();
    let response = stage.send(streamed(3_000), Answer::stream(frames)).await.unwrap();
    stage.send(ask(), answer(1)).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    let error = stage.send(ask(), answer(1)).await.unwrap_err();
    assert_eq!(error.retry_after(), None, "when the call under way is over is not known");
    gate.open();
    response.body.collect().await.unwrap();
    assert_eq!((stage.spent(), stage.reserved()), (mills(50), mills(0)));
    stage.send(ask_for("m", "acme", 2_000), answer(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn estimates_are_corrected_by_what_is_reported() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    for _ in 0..300 {
        stage.send(ask_for("cached", "acme", 1), used(Usage::reported(18, 1))).await.unwrap();
    }
    let [spend] = &stage.handle.models()[..] else { panic!("one model was called") };
    assert_eq!(spend.model, Target::new("openai", "cached"));
    assert!((spend.correction - 2.0).abs() < 0.01 && spend.estimate_error < 0.02, "{spend:?}");
    let before = stage.spent();
    assert!(stage.send(ask_for("cached", "acme", 1), Answer::hang()).now_or_never().is_none());
    assert_eq!(stage.spent().saturating_sub(before), NanoUsd(9 * 10_000), "what core estimates is what is charged");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_reports_nothing_is_charged_by_estimate_and_marked() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let response = stage.send(ask(), Answer::whole(llm_core::Output::text("one two three"))).await.unwrap();
    assert!(response.body.is_full());
    let [spend] = &stage.handle.models()[..] else { panic!("one model was called") };
    assert_eq!((spend.estimated, spend.reported), (NanoUsd(4 * TOKEN), mills(0)));
}

#[tokio::test(start_paused = true)]
async fn whole_streams_are_settled_by_their_report() {
    let stage = Stage::worst_case([per_tenant(mills(2_000))]);
    let response = stage.send(streamed(3_000), Answer::stream(whole(100))).await.unwrap();
    assert_eq!(stage.reserved(), mills(150));
    let frames = frames(response.body).await;
    assert_eq!(frames.len(), 104);
    assert_eq!((stage.spent(), stage.reserved()), (mills(5), mills(0)));
}

#[tokio::test(start_paused = true)]
async fn how_much_is_left_of_what_others_share_is_not_told() {
    let all = CapRule::new("all", Per::GLOBAL, Cap::new(mills(40), Window::DAY));
    let stage = Stage::new([all]);
    let error = stage.send(ask_for("m", "acme", 3_000), answer(1)).await.unwrap_err();
    assert_eq!(error.message(), "the budget `all` has less than $0.15 left, which would be needed");
}
