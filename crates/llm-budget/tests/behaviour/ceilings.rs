//! What one call may come to: assumed, lowered and refused, for whole answers and for streams.

use std::num::NonZeroU64;

use llm_budget::{BudgetLayer, Metered, Streams};
use llm_core::{Chat, ErrorKind, LlmRequest, NanoUsd, Payload};
use llm_test::Answer;

use crate::stage::{Stage, TOKEN, answer, ask, ask_for, mills, per_tenant, whole};

fn most(tokens: u64) -> NonZeroU64 {
    NonZeroU64::new(tokens).unwrap()
}

/// The same request as a whole answer and as a stream.
fn both(request: &LlmRequest) -> [LlmRequest; 2] {
    let mut streamed = request.clone();
    if let Payload::Chat(chat) = streamed.payload_mut() {
        chat.stream = true;
    }
    [request.clone(), streamed]
}

/// A call that states no ceiling.
fn unlimited() -> LlmRequest {
    let mut request = ask();
    let Payload::Chat(chat) = request.payload().clone() else { panic!("it is a chat") };
    *request.payload_mut() = Payload::Chat(Chat { max_output_tokens: None, ..chat });
    request
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_ceiling_is_sent_with_the_assumed_one() {
    let stage = Stage::new([per_tenant(mills(2_000))]);
    let sent = |stage: Stage, request| async move { stage.sent(request).await.context().output_ceiling() };
    for request in both(&unlimited()) {
        assert_eq!(stage.sent(request.clone()).await.context().output_ceiling(), Some(4_096));
        let few = BudgetLayer::new([per_tenant(mills(2_000))]).assumed_output(most(100));
        assert_eq!(sent(Stage::of(few, |layer| layer), request.clone()).await, Some(100));
        let many = BudgetLayer::new([per_tenant(mills(2_000))]).assumed_output(most(9_000));
        assert_eq!(sent(Stage::of(many, |layer| layer), request.clone()).await, Some(5_000), "the model has no more");
        let free = Stage::new([per_tenant(mills(2_000)).tenants(["other"])]);
        assert_eq!(sent(free, request).await, None, "no rule concerns it");
    }
    for request in both(&ask()) {
        assert_eq!(stage.sent(request).await.context().output_ceiling(), None, "its own ceiling holds");
    }
    let refused = stage.send(ask_for("m", "acme", 50_000), answer(1)).await.unwrap_err();
    assert!(refused.message().ends_with("$2.50 would be needed"), "what is stated is what is sent: {refused}");
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_is_lowered_to_what_is_left_where_that_is_wanted_and_worth_it() {
    for request in both(&ask()) {
        let layer = BudgetLayer::new([per_tenant(mills(200))]).fit_output(most(500));
        let stage = Stage::of(layer, |layer| layer);
        stage.send(ask_for("m", "acme", 3_200), answer(3_200)).await.unwrap();
        let sent = stage.sent(request.clone()).await;
        assert_eq!(sent.context().output_ceiling(), Some(800), "$0.04 are left");
        stage.send(ask_for("m", "acme", 300), answer(300)).await.unwrap();
        let error = stage.send(request.clone(), answer(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BudgetExceeded, "what is left is worth nothing");
        assert_eq!(stage.handle.counts().lowered, 1);

        let stage = Stage::of(BudgetLayer::new([per_tenant(mills(100))]), |layer| layer);
        stage.send(ask_for("m", "acme", 1_200), answer(1_200)).await.unwrap();
        stage.send(request, answer(1)).await.expect_err("nobody wanted that");
        assert_eq!(stage.handle.counts().lowered, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_ceiling_was_lowered_has_all_of_it_set_aside_and_is_not_cut() {
    let layer = BudgetLayer::new([per_tenant(NanoUsd(600 * TOKEN))]).fit_output(most(500));
    let [_, request] = both(&ask());
    for streams in [Streams::WorstCase, Streams::Metered(Metered::default())] {
        let stage = Stage::of(layer.clone(), |layer| layer.streams(streams));
        let body = stage.send(request.clone(), Answer::stream(whole(450))).await.unwrap().body;
        assert_eq!(stage.reserved(), NanoUsd(600 * TOKEN));
        body.collect().await.unwrap();
        assert_eq!((stage.spent(), stage.handle.counts().cut), (NanoUsd(450 * TOKEN), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_may_come_to_no_more_tokens_than_stated() {
    let stage = Stage::of(BudgetLayer::new([]).most_tokens(most(1_000)), |layer| layer);
    for request in both(&ask_for("m", "acme", 1_000)) {
        let error = stage.send(request, answer(1)).await.unwrap_err();
        assert_eq!(error.message(), "the call may come to 1009 tokens, more than the 1000 of one call");
    }
    for request in both(&ask_for("m", "acme", 991)) {
        stage.send(request, answer(1)).await.unwrap();
    }
    let fitting = Stage::of(BudgetLayer::new([]).most_tokens(most(1_000)).fit_output(most(1)), |layer| layer);
    for request in both(&ask()) {
        assert_eq!(fitting.sent(request).await.context().output_ceiling(), Some(991));
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_may_cost_no_more_than_stated() {
    let stage = Stage::of(BudgetLayer::new([]).most_cost(mills(10)), |layer| layer);
    for request in both(&ask_for("m", "acme", 201)) {
        let error = stage.send(request, answer(1)).await.unwrap_err();
        assert_eq!(error.message(), "the call may cost $0.01005, more than the $0.01 of one call");
    }
    for request in both(&ask_for("m", "acme", 200)) {
        stage.send(request, answer(1)).await.unwrap();
    }
    assert!(stage.send(ask_for("unpriced", "acme", 1), answer(1)).await.unwrap_err().message().contains("ceiling"));
    let fitting = Stage::of(BudgetLayer::new([]).most_cost(mills(10)).fit_output(most(1)), |layer| layer);
    for request in both(&ask()) {
        assert_eq!(fitting.sent(request).await.context().output_ceiling(), Some(200));
    }
}
