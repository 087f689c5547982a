//! Unusual places: above whatever calls again, or answers without a provider.

use futures_util::StreamExt;
use llm_budget::{BudgetLayer, Covers};
use llm_core::{
    Again, AttemptEnd, Body, Context, Error, ErrorKind, Head, LlmRequest, LlmResponse, NanoUsd, Output, Payload,
    Target, Usage,
};
use std::time::Duration;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::stage::{Stage, TOKEN, ask, mills, per_tenant, streamed, whole, words};

/// What an edge writes of an attempt.
fn attempt(context: &Context, model: &str, end: AttemptEnd, usage: Usage, cost: Option<u64>) {
    context.trail().begin(context.attempt(), Some(&Target::new("openai", model)));
    context.trail().update(context.attempt().number, |record| {
        record.end = Some(end);
        record.usage = Some(usage);
        record.cost = cost.map(NanoUsd);
    });
}

fn untargeted() -> LlmRequest {
    let mut request = LlmRequest::chat("m").user("Why?").max_output_tokens(3_000).build();
    request.context_mut().set_caller(ask().context().caller().clone());
    request
}

fn answering(output: u64) -> LlmResponse {
    let mut text = Output::text("because");
    text.set_usage(Usage::reported(10, output));
    LlmResponse::from(text)
}

/// Fails twice, once after a provider has worked, and then answers from another model.
fn retrying() -> impl Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone {
    service_fn(|mut request: LlmRequest| async move {
        let context = request.context_mut();
        let failed = AttemptEnd::Failed(ErrorKind::Interrupted);
        attempt(context, "m", failed, Usage::estimated(5, 100), Some(100 * TOKEN));
        context.begin_attempt(Again::Retry, Duration::ZERO);
        let refused = Error::new(ErrorKind::CircuitOpen, "open");
        context.trail().fail(context.attempt(), None, &refused);
        context.begin_attempt(Again::Failover, Duration::ZERO);
        attempt(context, "cached", AttemptEnd::Complete, Usage::reported(10, 20), None);
        Ok(answering(20))
    })
}

#[tokio::test(start_paused = true)]
async fn without_a_target_all_attempts_of_the_trail_are_settled() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let request = untargeted();
    // What was paid before the call came here is somebody else's.
    let mut before = request.context().clone();
    before.begin_attempt(Again::Retry, Duration::ZERO);
    attempt(&before, "m", AttemptEnd::Complete, Usage::reported(1, 1), Some(7));
    stage.layer.layer(retrying()).oneshot(request).await.unwrap();
    // A cost that no edge has worked out is worked out at the price of the attempt's own target.
    assert_eq!(stage.spent(), NanoUsd(100 * TOKEN + 10 * 10_000 + 20 * TOKEN));
    assert_eq!(stage.reserved(), mills(0));
}

#[tokio::test(start_paused = true)]
async fn with_a_target_it_is_an_attempt_unless_told_otherwise() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    stage.layer.layer(retrying()).oneshot(ask()).await.unwrap();
    assert_eq!(stage.spent(), NanoUsd(20 * TOKEN));
    let stage = Stage::of(BudgetLayer::new([per_tenant(mills(2_000))]), |layer| layer.covers(Covers::Call));
    stage.layer.layer(retrying()).oneshot(ask()).await.unwrap();
    assert_eq!(stage.spent(), NanoUsd(100 * TOKEN + 10 * 10_000 + 20 * TOKEN));
    let stage = Stage::of(BudgetLayer::new([per_tenant(mills(2_000))]), |layer| layer.covers(Covers::Attempt));
    stage.layer.layer(retrying()).oneshot(untargeted()).await.unwrap();
    assert_eq!(stage.spent(), NanoUsd(20 * TOKEN));
}

#[tokio::test(start_paused = true)]
async fn an_unpaid_answer_costs_what_was_paid_before_it() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let fallback = service_fn(|request: LlmRequest| async move {
        let failed = AttemptEnd::Failed(ErrorKind::Interrupted);
        attempt(request.context(), "m", failed, Usage::estimated(5, 100), Some(100 * TOKEN));
        Ok::<_, Error>(answering(20).map(Body::unpaid))
    });
    stage.layer.layer(fallback).oneshot(untargeted()).await.unwrap();
    assert_eq!(stage.spent(), NanoUsd(100 * TOKEN));
    let hit = service_fn(|_: LlmRequest| async move { Ok::<_, Error>(answering(20).map(Body::unpaid)) });
    stage.layer.layer(hit).oneshot(untargeted()).await.unwrap();
    assert_eq!(stage.spent(), NanoUsd(100 * TOKEN));
}

/// The edge writes what the attempt came to when it is told that nobody wants it, which must be before the budget is.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_given_up_after_a_failover_costs_what_came() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let wrapped = service_fn(|mut request: LlmRequest| async move {
        let context = request.context_mut();
        let failed = AttemptEnd::Failed(ErrorKind::RateLimited);
        attempt(context, "m", failed, Usage::estimated(0, 0), Some(0));
        context.begin_attempt(Again::Failover, Duration::ZERO);
        context.trail().begin(context.attempt(), Some(&Target::new("openai", "m")));
        let body = words(5).into_body().answering(&request, "m");
        let (trail, number) = (request.context().trail(), request.context().attempt().number);
        let body = body.on_end(move |outcome| {
            trail.update(number, |record| record.usage = Some(outcome.progress().usage()));
        });
        Ok::<_, Error>(LlmResponse::new(Head::default(), body.wrap(|body| body)))
    });
    let mut request = untargeted();
    if let Payload::Chat(chat) = request.payload_mut() {
        chat.stream = true;
    }
    let mut body = stage.layer.layer(wrapped).oneshot(request).await.unwrap().body;
    for _ in 0..4 {
        body.next().await.unwrap().unwrap();
    }
    drop(body);
    assert_eq!((stage.spent(), stage.reserved()), (NanoUsd(4 * TOKEN), mills(0)), "three words, by estimate");
}

#[tokio::test(start_paused = true)]
async fn where_no_edge_writes_the_trail_the_calls_own_usage_counts() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let bare = service_fn(|request: LlmRequest| async move {
        let failed = Error::new(ErrorKind::Server, "down");
        request.context().trail().fail(request.context().attempt(), None, &failed);
        Ok::<_, Error>(answering(20))
    });
    stage.layer.layer(bare).oneshot(untargeted()).await.unwrap();
    assert_eq!(stage.spent(), NanoUsd(20 * TOKEN));
}

#[tokio::test(start_paused = true)]
async fn who_calls_twice_without_a_word_about_attempts_pays_twice() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let service = stage.layer.layer(service_fn(|_: LlmRequest| async { Ok::<_, Error>(answering(20)) }));
    let request = ask();
    for _ in 0..2 {
        service.clone().oneshot(request.clone()).await.unwrap();
    }
    assert_eq!(stage.spent(), NanoUsd(40 * TOKEN));
}

#[tokio::test(start_paused = true)]
async fn a_name_without_one_price_is_refused_where_no_target_was_chosen() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let mut request = LlmRequest::chat("fast").user("Why?").build();
    request.context_mut().set_caller(ask().context().caller().clone());
    let error = stage.layer.layer(retrying()).oneshot(request).await.unwrap_err();
    assert!(error.message().starts_with("the price of `fast` is not known"), "{error}");
}

/// Fails once after a provider has worked, and then streams from the same model.
fn streaming() -> impl Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone {
    service_fn(|mut request: LlmRequest| async move {
        let context = request.context_mut();
        let failed = AttemptEnd::Failed(ErrorKind::Interrupted);
        attempt(context, "m", failed, Usage::estimated(5, 100), Some(100 * TOKEN));
        context.begin_attempt(Again::Retry, Duration::ZERO);
        attempt(context, "m", AttemptEnd::Complete, Usage::reported(10, 30), None);
        Ok(LlmResponse::new(Default::default(), whole(30).into_body()))
    })
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_covers_is_settled_at_its_end_and_told_apart_by_who_said_it() {
    for (covers, reported, estimated) in [(Covers::Call, 30, 100), (Covers::Attempt, 30, 0)] {
        let stage = Stage::of(BudgetLayer::new([per_tenant(mills(2_000))]), |layer| layer.covers(covers));
        let response = stage.layer.layer(streaming()).oneshot(streamed(3_000)).await.unwrap();
        assert_eq!(stage.spent(), mills(0));
        response.body.collect().await.unwrap();
        let balance = stage.balance("acme");
        let expected = (NanoUsd((reported + estimated) * TOKEN), NanoUsd(estimated * TOKEN));
        assert_eq!((balance.spent, balance.estimated), expected, "{covers:?}");
        let spend = stage.handle.models().swap_remove(0);
        assert_eq!((spend.reported.0, spend.estimated.0), (reported * TOKEN, estimated * TOKEN));
        assert_eq!(spend.output_tokens, reported + estimated);
    }
}
