//! How kept answers are given again.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use llm_cache::{CacheLayer, Replay};
use llm_core::{
    ChatOutput, Choice, Dialect, Event, FinishReason, Frame, Head, LlmRequest, Output, Part, PartContent, Reasoning,
    ReasoningDelta, ToolCall, ToolCallDelta, Usage,
};
use llm_test::{Answer, Frames, Probe};
use tokio::time::Instant;

use crate::stage::{Stage, is_hit, question, streamed};

fn arguments(piece: &str) -> Frame {
    Frame::event(Event::ToolCall(ToolCallDelta { index: 0, arguments: piece.into(), ..ToolCallDelta::default() }))
}

/// A stream with everything in it that an answer may have.
fn rich() -> Frames {
    let thought = |text: &str, signature: Option<&str>| {
        let signature = signature.map(str::to_owned);
        Frame::event(Event::Reasoning(ReasoningDelta { text: text.into(), signature, redacted: None }))
    };
    let begins = ToolCallDelta { id: Some("call_1".into()), name: Some("look".into()), ..ToolCallDelta::default() };
    Frames::new()
        .start()
        .frame(thought("Hm, ", None))
        .frame(thought("the sky.", Some("sig")))
        .ping()
        .text("Let me ")
        .text("look.")
        .frame(Frame::event(Event::ToolCall(begins)))
        .frame(arguments("{\"at\":\"sk"))
        .frame(arguments("y\\u00"))
        .frame(arguments("e9\"}"))
        .usage(Usage { reasoning: 3, ..Usage::reported(10, 20) })
        .frame(Frame::event(Event::Finish(FinishReason::ToolCalls)))
        .last()
}

fn rich_whole() -> Output {
    let reasoning = Reasoning { text: "Hm, the sky.".into(), signature: Some("sig".into()), redacted: None };
    let call = ToolCall::function("call_1", "look", "{\"at\":\"sky\\u00e9\"}");
    let parts: Vec<Part> =
        vec![PartContent::Reasoning(reasoning).into(), Part::text("Let me look."), PartContent::ToolCall(call).into()];
    let choice = Choice { parts, finish: Some(FinishReason::ToolCalls), ..Choice::default() };
    let start =
        llm_core::Start { id: Some("probe-1".into()), model: Some("probe".into()), created: Some(1_700_000_000) };
    let usage = Some(Usage { reasoning: 3, ..Usage::reported(10, 20) });
    ChatOutput { start, choices: vec![choice], usage, ..ChatOutput::default() }.into()
}

async fn frames(stage: &Stage, request: LlmRequest) -> Vec<Frame> {
    let response = stage.call(request).await.unwrap();
    response.body.map(Result::unwrap).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_recorded_stream_is_streamed_again_frame_by_frame_with_its_bytes() {
    let stage = Stage::answering([Answer::stream(rich().on_wire(Dialect::Anthropic))]);
    let live = frames(&stage, streamed()).await;
    let again = frames(&stage, streamed()).await;
    assert_eq!(again, live);
    assert!(live.iter().all(|frame| frame.wire().is_some()));
    assert_eq!(stage.log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_recorded_stream_is_the_whole_answer_for_who_asked_for_one() {
    let stage = Stage::answering([Answer::stream(rich())]);
    frames(&stage, streamed()).await;
    let response = stage.call(question()).await.unwrap();
    assert!(is_hit(response.head.cache));
    assert_eq!(response.body.as_full(), Some(&rich_whole()));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_streamed_for_who_asked_for_a_stream() {
    let stage = Stage::answering([Answer::whole(rich_whole())]);
    stage.output(question()).await;
    let response = stage.call(streamed()).await.unwrap();
    assert!(is_hit(response.head.cache) && !response.body.is_full());
    let frames: Vec<_> = response.body.map(Result::unwrap).collect().await;
    assert!(frames.iter().all(|frame| frame.events().len() <= 1) && frames.last().unwrap().is_last());
    assert_eq!(stage.output(streamed()).await, rich_whole());
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_keeps_its_bytes() {
    let bytes = Bytes::from_static(b"{\"the\": \"bytes\"}");
    let answer = Answer::whole(Output::text("Blue.")).with_wire(Dialect::OpenAi, bytes.clone());
    let stage = Stage::answering([answer]);
    for _ in 0..2 {
        let body = stage.call(question()).await.unwrap().body;
        assert_eq!(body.wire().map(|wire| (wire.dialect, wire.bytes.clone())), Some((Dialect::OpenAi, bytes.clone())));
    }
    assert_eq!(stage.log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_does_not_hold_on_to_the_buffer_it_came_in() {
    let buffer = Bytes::from(vec![b' '; 100_000]);
    let answer = Answer::whole(Output::text("Blue.")).with_wire(Dialect::OpenAi, buffer.slice(..10));
    let stage = Stage::answering([answer]);
    stage.ask(question()).await.unwrap();
    assert_eq!(stage.handle.size().entries, 1);
    assert!(buffer.try_into_mut().is_ok(), "somebody holds it");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reported_is_estimated_of_a_kept_answer_as_of_any() {
    let stage = Stage::answering([Answer::whole(Output::text("Blue light is scattered more."))]);
    let mut used = Vec::new();
    for _ in 0..3 {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let response = stage.call(question()).await.unwrap();
        response.body.on_end(move |outcome| sender.send(outcome.progress().usage()).unwrap());
        used.push(receiver.await.unwrap());
    }
    assert!(used[0].input > 0 && used[0].output > 0 && used.iter().all(|usage| *usage == used[0]));
    assert_eq!(stage.log.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_brings_no_news_of_an_exchange_that_is_over() {
    let head = Head {
        id: Some("chatcmpl-1".into()),
        rate_limits: Some(Box::default()),
        request_id: Some("req_1".into()),
        ..Head::default()
    };
    let stage = Stage::answering([Answer::text("Blue.").head(head)]);
    let live = stage.call(question()).await.unwrap().head;
    assert!(live.rate_limits.is_some() && live.request_id.is_some());
    let kept = stage.call(question()).await.unwrap().head;
    assert_eq!(kept.id, live.id);
    assert!(kept.rate_limits.is_none() && kept.request_id.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_comes_at_once_or_at_the_pace_that_was_set() {
    let pace = Duration::from_millis(20);
    for (replay, took) in [(Replay::AtOnce, Duration::ZERO), (Replay::Paced(pace), 6 * pace)] {
        for first in [streamed, question] {
            let text = "Blue light is scattered more than red.";
            let stage =
                Stage::new(CacheLayer::new().replay(replay), Probe::answering(Answer::stream(Frames::answer(text))));
            stage.ask(first()).await.unwrap();
            let begun = Instant::now();
            assert_eq!(stage.ask(streamed()).await.unwrap().1, text);
            assert_eq!(begun.elapsed(), took, "{replay:?}");
            stage.ask(question()).await.unwrap();
            assert_eq!(begun.elapsed(), took, "a whole answer has no pace");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_stream_can_be_dropped_anywhere() {
    let stage = Stage::answering([Answer::stream(rich())]);
    let all = frames(&stage, streamed()).await.len();
    for read in 0..all - 1 {
        let mut body = stage.call(streamed()).await.unwrap().body;
        for _ in 0..read {
            body.next().await.unwrap().unwrap();
        }
    }
    assert_eq!(stage.log.calls(), 1);
}
