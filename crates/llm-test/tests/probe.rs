//! What the probe and its scripts do: the laws can only see what these show.

use std::{future::poll_fn, task::Poll, time::Duration};

use futures_util::{FutureExt, StreamExt};
use llm_core::{AttemptEnd, Dialect, Error, ErrorKind, LlmRequest, Output, Stage};
use llm_test::{Answer, CapturedLogs, Frames, Gate, Probe};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

fn whole() -> LlmRequest {
    LlmRequest::chat("m").user("Why?").build()
}

fn streamed() -> LlmRequest {
    LlmRequest::chat("m").user("Why?").stream().build()
}

async fn poll_ready(probe: &mut Probe) -> bool {
    poll_fn(|cx| Poll::Ready(probe.poll_ready(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "on an instance that was not ready")]
async fn the_clone_of_a_ready_probe_may_not_be_called() {
    let mut probe = Probe::new();
    assert!(poll_ready(&mut probe).await);
    drop(probe.clone().call(whole()));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_good_for_one_call() {
    let mut probe = Probe::new().forgiving();
    let log = probe.log();
    assert!(poll_ready(&mut probe).await);
    probe.call(whole()).await.unwrap();
    assert_eq!((log.granted(), log.misuses()), (1, 0));
    probe.call(whole()).await.unwrap();
    assert_eq!((log.granted(), log.misuses(), log.calls()), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_after_the_scripted_polls_or_never() {
    let mut probe = Probe::new().ready_after(2);
    let polls = [poll_ready(&mut probe).await, poll_ready(&mut probe).await, poll_ready(&mut probe).await];
    assert_eq!(polls, [false, false, true]);
    assert!(!poll_ready(&mut Probe::new().never_ready()).await);
    assert_eq!(probe.log().ready_polls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_permit_comes_back_unused_at_the_end_of_the_stream_and_with_the_dropped_body() {
    let mut probe = Probe::new().permits(1);
    let mut other = probe.clone();
    let log = probe.log();
    assert!(poll_ready(&mut probe).await);
    assert!(!poll_ready(&mut other).await);
    drop(probe.clone());
    assert!(!poll_ready(&mut other).await, "a clone gives nothing back");

    let response = probe.call(streamed()).await.unwrap();
    assert_eq!((log.readied(), log.in_flight(), log.clones()), (0, 1, 2));
    assert!(!poll_ready(&mut other).await, "a call under way holds its permit");
    response.body.collect().await.unwrap();
    assert!(poll_ready(&mut other).await);
    drop(other);
    assert_eq!(log.permits(), 0);

    let response = probe.ready().await.unwrap().call(streamed()).await.unwrap();
    drop(response);
    assert_eq!((log.permits(), log.bodies_dropped()), (0, 1));
    assert_eq!(log.ends(), [AttemptEnd::Complete, AttemptEnd::Abandoned]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_is_counted_and_the_request_kept() {
    let probe = Probe::answering(Answer::hang());
    let log = probe.log();
    let request = whole();
    assert!(probe.oneshot(request.clone()).now_or_never().is_none());
    assert_eq!((log.futures_dropped(), log.in_flight()), (1, 0));
    assert_eq!(log.ends(), [AttemptEnd::Abandoned]);
    assert_eq!(log.requests()[0].context().id(), request.context().id());
}

#[tokio::test(start_paused = true)]
async fn scripted_answers_come_first_and_when_they_are_due() {
    let busy = Answer::fail(Error::new(ErrorKind::Overloaded, "busy")).after(Duration::from_secs(3));
    let probe = Probe::answering(Answer::text("Yes.")).script([busy]);
    let log = probe.log();
    let begun = Instant::now();
    let error = probe.clone().oneshot(whole()).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed()), (ErrorKind::Overloaded, Duration::from_secs(3)));
    let response = probe.oneshot(whole()).await.unwrap();
    assert_eq!(response.body.as_full().map(Output::first_text).as_deref(), Some("Yes."));
    assert_eq!(log.call_times(), [begun, begun + Duration::from_secs(3)]);
    assert_eq!(log.ends(), [AttemptEnd::Failed(ErrorKind::Overloaded), AttemptEnd::Complete]);
}

#[tokio::test(start_paused = true)]
async fn a_text_is_streamed_to_those_who_ask_for_a_stream() {
    let probe = Probe::answering(Answer::text("One two three."));
    let response = probe.oneshot(streamed()).await.unwrap();
    assert!(!response.body.is_full());
    assert_eq!(response.body.collect().await.unwrap().first_text(), "One two three.");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_as_its_script_says() {
    let failure = || Error::new(ErrorKind::Server, "failed");
    let early = Frames::new().start().fail(failure()).into_body().collect().await.unwrap_err();
    assert_eq!((early.kind(), early.stage()), (ErrorKind::Server, Stage::BeforeContent));
    let late = Frames::cut("One two").fail(failure()).into_body().collect().await.unwrap_err();
    assert_eq!((late.kind(), late.stage()), (ErrorKind::Server, Stage::AfterContent));
    let cut = Frames::cut("One two").into_body().collect().await.unwrap_err();
    assert_eq!((cut.kind(), cut.stage()), (ErrorKind::Interrupted, Stage::AfterContent));
    let panics = std::panic::AssertUnwindSafe(Frames::cut("One").panic().into_body().collect());
    assert!(panics.catch_unwind().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn pings_come_at_their_interval_and_then_nothing() {
    let mut body = Frames::pings_only(3, Duration::from_secs(5)).into_body();
    let begun = Instant::now();
    for _ in 0..3 {
        assert!(body.next().await.unwrap().unwrap().events().is_empty());
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(15));
    assert!(tokio::time::timeout(Duration::from_secs(3_600), body.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_gate_holds_the_stream_until_it_is_opened() {
    let gate = Gate::new();
    let (mut body, log) = Frames::new().text("One").gate(&gate).text("two").finish().last().into_logged_body();
    assert!(body.next().await.unwrap().unwrap().is_content());
    assert!(body.next().now_or_never().is_none());
    gate.open();
    assert!(body.next().await.unwrap().unwrap().is_content());
    assert_eq!(log.polls(), 3);
    assert!(!log.is_dropped());
    drop(body);
    assert!(log.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn frames_can_carry_bytes_of_their_own() {
    let mut body = Frames::answer("One two").on_wire(Dialect::OpenAi).into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.next().await {
        bytes.push(frame.unwrap().wire().unwrap().bytes.clone());
    }
    assert_eq!(bytes.len(), 6);
    assert_eq!(&bytes[5][..], b"data: 5\n\n");
}

#[test]
fn captured_logs_hold_events_and_spans_with_their_fields() {
    let captured = CapturedLogs::start();
    let span = tracing::trace_span!("call", model = "m", late = tracing::field::Empty);
    span.record("late", 7);
    tracing::warn!(attempt = 2, "retrying");
    let text = captured.text();
    for expected in ["call model=m", "late=7", "attempt=2", "message=retrying"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    drop(captured);
    tracing::warn!("not captured any more");
}
