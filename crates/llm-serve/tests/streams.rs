//! Streams: what is written, when, and how they end.

#![allow(clippy::unwrap_used)]

mod scripted;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http_body::Body as _;
use llm_core::{
    Body, BoxLlmService, Dialect, Error, ErrorKind, Event, FinishReason, Frame, Head, LlmResponse, NanoUsd, Output,
    Start, Target, Usage,
};
use llm_serve::{ChatCompletions, DoorBody, DoorOptions};
use scripted::{DropCount, STREAM, assert_refused, chat, done, next, read, service, streaming, wire_of, wired};
use tokio::time::Instant;
use tower::ServiceExt;

const HEARTBEAT: &str = ": \n\n";

async fn open(service: BoxLlmService, options: DoorOptions) -> DoorBody {
    let response = ChatCompletions::new(service).options(options).oneshot(chat(STREAM)).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

fn quiet() -> DoorOptions {
    DoorOptions::new().heartbeat(Duration::ZERO)
}

#[tokio::test]
async fn frames_of_the_same_dialect_pass_byte_for_byte_and_one_by_one() {
    let (service, frames) = streaming();
    // All are there at once: each is a piece of its own nevertheless.
    let comment = Bytes::from_static(b": PROCESSING\n\n");
    frames.send(Ok(Frame::default().with_wire(Dialect::OpenAi, comment))).unwrap();
    frames.send(Ok(wired("a"))).unwrap();
    frames.send(Ok(wired("b"))).unwrap();
    frames.send(Ok(done())).unwrap();
    let mut body = open(service, quiet()).await;
    assert_eq!(next(&mut body).await.unwrap(), ": PROCESSING\n\n");
    assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
    assert_eq!(next(&mut body).await.unwrap(), wire_of("b"));
    assert_eq!(next(&mut body).await.unwrap(), "data: [DONE]\n\n");
    assert!(body.is_end_stream());
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn a_frame_is_handed_on_before_the_next_one_comes() {
    let (service, frames) = streaming();
    frames.send(Ok(wired("a"))).unwrap();
    let mut body = open(service, quiet()).await;
    assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), wire_of("a"));
    for text in ["b", "c"] {
        assert!(next(&mut body).now_or_never().is_none());
        frames.send(Ok(wired(text))).unwrap();
        assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), wire_of(text));
    }
}

#[tokio::test]
async fn the_head_says_that_it_is_a_stream() {
    let (service, frames) = streaming();
    frames.send(Ok(wired("a"))).unwrap();
    let response = ChatCompletions::new(service).oneshot(chat(STREAM)).await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert!(!headers.contains_key("x-llm-cost-usd"), "it is not known yet");
    assert!(headers.contains_key("x-llm-call-id") && headers.contains_key("x-llm-served"));
    assert_eq!(response.body().size_hint().exact(), None);
    drop(frames);
}

#[tokio::test]
async fn a_usage_report_that_was_not_asked_for_is_left_out() {
    let report = || {
        let wire = b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
        Frame::event(Event::Usage(Usage::reported(3, 1))).with_wire(Dialect::OpenAi, Bytes::from_static(wire))
    };
    let asked = STREAM.replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    for (body, is_there) in [(STREAM.to_owned(), false), (asked, true)] {
        let (service, frames) = streaming();
        for frame in [wired("a"), report(), done()] {
            frames.send(Ok(frame)).unwrap();
        }
        let (_, _, bytes) = read(ChatCompletions::new(service).oneshot(chat(body)).await.unwrap()).await;
        assert_eq!(String::from_utf8_lossy(&bytes).contains("prompt_tokens"), is_there);
    }
}

#[tokio::test]
async fn a_stream_that_ends_with_a_finish_reason_gets_its_terminator() {
    let (service, frames) = streaming();
    let finish = Bytes::from_static(b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    frames.send(Ok(wired("a"))).unwrap();
    frames
        .send(Ok(Frame::event(Event::Finish(FinishReason::Stop)).with_wire(Dialect::OpenAi, finish.clone())))
        .unwrap();
    drop(frames);
    let mut body = open(service, quiet()).await;
    assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
    assert_eq!(next(&mut body).await.unwrap(), finish);
    assert_eq!(next(&mut body).await.unwrap(), "data: [DONE]\n\n");
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn a_whole_answer_is_streamed_to_who_asked_for_a_stream() {
    let service = service(|_| async {
        let body = Body::full(Output::text("Blue.")).with_wire(Dialect::OpenAi, Bytes::from_static(b"{\"whole\":1}"));
        Ok(LlmResponse::new(Head::default(), body))
    });
    let (_, headers, bytes) = read(ChatCompletions::new(service).oneshot(chat(STREAM)).await.unwrap()).await;
    assert_eq!(headers["content-type"], "text/event-stream; charset=utf-8");
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains("Blue.") && !text.contains("whole"), "{text}");
    assert!(text.contains("\"finish_reason\":\"stop\"") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.split_terminator("\n\n").all(|event| event.starts_with("data: ")), "{text}");
}

/// Asserts that the rest of the stream is one error of the dialect, and nothing that looks like a proper end.
async fn assert_fails_in_band(mut body: DoorBody) -> String {
    let error = next(&mut body).await.unwrap();
    let data = error.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("one event");
    let object: serde_json::Value = serde_json::from_str(data).unwrap();
    assert!(object["error"]["message"].is_string(), "{object}");
    assert_eq!(next(&mut body).await, None, "nothing follows an error");
    assert!(body.is_end_stream());
    error
}

#[tokio::test]
async fn a_failure_after_content_is_told_within_the_stream() {
    let (service, frames) = streaming();
    frames.send(Ok(wired("a"))).unwrap();
    frames.send(Err(Error::new(ErrorKind::Server, "the provider failed"))).unwrap();
    let mut body = open(service, quiet()).await;
    assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
    let error = assert_fails_in_band(body).await;
    assert!(!error.contains("[DONE]") && !error.contains("finish_reason"), "{error}");
}

#[tokio::test]
async fn a_cut_stream_is_a_failure() {
    let (service, frames) = streaming();
    frames.send(Ok(wired("a"))).unwrap();
    drop(frames);
    let mut body = open(service, quiet()).await;
    assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
    assert_fails_in_band(body).await;
}

#[tokio::test]
async fn a_failure_before_the_answer_is_a_status() {
    let error = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_secs(2));
    let response = ChatCompletions::new(scripted::fails(error)).oneshot(chat(STREAM)).await.unwrap();
    let (headers, _) = assert_refused(response, 429).await;
    assert_eq!(headers["retry-after"], "2");
}

/// The provider had begun to answer, but had not said anything yet.
#[tokio::test]
async fn a_failure_before_content_is_a_status_although_the_stream_had_begun() {
    for failure in [Some(Error::new(ErrorKind::Overloaded, "no capacity")), None] {
        let (service, frames) = streaming();
        let status = if failure.is_some() { 503 } else { 502 };
        frames.send(Ok(Frame::event(Event::Start(Start::default())))).unwrap();
        frames.send(Ok(Frame::default())).unwrap();
        if let Some(error) = failure {
            frames.send(Err(error)).unwrap();
        }
        drop(frames);
        assert_refused(ChatCompletions::new(service).oneshot(chat(STREAM)).await.unwrap(), status).await;
    }
}

/// What came before the first content is held back until then, and not a moment longer.
#[tokio::test]
async fn the_head_waits_for_the_first_content() {
    let (service, frames) = streaming();
    let mut response = Box::pin(ChatCompletions::new(service).oneshot(chat(STREAM)));
    frames.send(Ok(Frame::default().with_wire(Dialect::OpenAi, Bytes::from_static(b": working\n\n")))).unwrap();
    assert!(response.as_mut().now_or_never().is_none());
    frames.send(Ok(wired("a"))).unwrap();
    let mut body = response.now_or_never().unwrap().unwrap().into_body();
    assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), ": working\n\n");
    assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), wire_of("a"));
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_heartbeats() {
    let (service, frames) = streaming();
    let begun = Instant::now();
    frames.send(Ok(wired("a"))).unwrap();
    let mut body = open(service, DoorOptions::new().heartbeat(Duration::from_secs(5))).await;
    assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
    for beat in 1..=3 {
        assert_eq!(next(&mut body).await.unwrap(), HEARTBEAT);
        assert_eq!(begun.elapsed(), Duration::from_secs(5 * beat));
    }
    // A frame after 2 seconds moves the next heartbeat.
    assert!(tokio::time::timeout(Duration::from_secs(2), next(&mut body)).await.is_err());
    frames.send(Ok(wired("a"))).unwrap();
    assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
    assert_eq!(next(&mut body).await.unwrap(), HEARTBEAT);
    assert_eq!(begun.elapsed(), Duration::from_secs(22));
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_has_no_heartbeats() {
    let frames = futures_util::stream::unfold(0, |count| async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        (count < 20).then(|| (Ok(wired("a")), count + 1))
    });
    let frames = frames.chain(futures_util::stream::iter([Ok(done())])).boxed();
    let frames = Arc::new(std::sync::Mutex::new(Some(frames)));
    let service = service(move |_| {
        let frames = frames.lock().unwrap().take().unwrap();
        async { Ok(LlmResponse::new(Head::default(), Body::stream(frames))) }
    });
    let mut body = open(service, DoorOptions::new().heartbeat(Duration::from_secs(5))).await;
    while let Some(piece) = next(&mut body).await {
        assert_ne!(piece, HEARTBEAT);
    }
}

#[tokio::test(start_paused = true)]
async fn no_heartbeat_comes_when_they_are_off() {
    for heartbeat in [Duration::ZERO, Duration::MAX] {
        let (service, _frames) = streaming();
        let mut body = open(service, DoorOptions::new().heartbeat(heartbeat)).await;
        assert!(tokio::time::timeout(Duration::from_secs(3600), next(&mut body)).await.is_err());
    }
}

/// A service whose answer takes a minute.
fn slow(result: Result<&'static str, ErrorKind>) -> BoxLlmService {
    service(move |_| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let text = result.map_err(|kind| Error::new(kind, "it did not work"))?;
        let frames = futures_util::stream::iter([Ok(wired(text)), Ok(done())]);
        let head = Head { target: Some(Target::new("acme", "large")), ..Head::default() };
        Ok(LlmResponse::new(head, Body::stream(frames)))
    })
}

#[tokio::test(start_paused = true)]
async fn the_head_goes_out_early_when_the_answer_is_late() {
    let begun = Instant::now();
    let options = DoorOptions::new().head_after(Some(Duration::from_secs(10))).heartbeat(Duration::from_secs(20));
    let response = ChatCompletions::new(slow(Ok("a"))).options(options).oneshot(chat(STREAM)).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert!(!response.headers().contains_key("x-llm-target"), "nobody has answered yet");
    assert!(response.headers().contains_key("x-llm-call-id"));
    let mut body = response.into_body();
    for beat in [30, 50] {
        assert_eq!(next(&mut body).await.unwrap(), HEARTBEAT);
        assert_eq!(begun.elapsed(), Duration::from_secs(beat));
    }
    assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
    assert_eq!(next(&mut body).await.unwrap(), "data: [DONE]\n\n");
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn after_an_early_head_a_failure_is_told_within_the_stream() {
    assert_fails_in_band(open(slow(Err(ErrorKind::Server)), quiet()).await).await;
}

#[tokio::test(start_paused = true)]
async fn without_an_early_head_a_late_failure_is_a_status() {
    let door = ChatCompletions::new(slow(Err(ErrorKind::Server))).options(quiet().head_after(None));
    assert_refused(door.oneshot(chat(STREAM)).await.unwrap(), 502).await;
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_awaited_however_late() {
    let response = ChatCompletions::new(slow(Err(ErrorKind::Server))).oneshot(chat(scripted::CHAT)).await.unwrap();
    assert_refused(response, 502).await;
}

#[tokio::test]
async fn dropping_the_body_drops_the_answer_at_once() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let body = open(held(&dropped, Held::Answer), quiet()).await;
    assert_eq!(dropped.load(SeqCst), 0);
    drop(body);
    assert_eq!(dropped.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_body_after_an_early_head_drops_the_call() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let body = open(held(&dropped, Held::Call), quiet()).await;
    assert_eq!(dropped.load(SeqCst), 0);
    drop(body);
    assert_eq!(dropped.load(SeqCst), 1);
}

#[tokio::test]
async fn dropping_the_future_drops_the_call() {
    for body in [scripted::CHAT, STREAM] {
        let dropped = Arc::new(AtomicUsize::new(0));
        let response = ChatCompletions::new(held(&dropped, Held::Call)).oneshot(chat(body));
        assert!(response.now_or_never().is_none());
        assert_eq!(dropped.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_over_is_let_go_before_the_body() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = Arc::new(std::sync::Mutex::new(Some(DropCount(Arc::clone(&dropped)))));
    let service = service(move |_| {
        let guard = guard.lock().unwrap().take();
        let frames = futures_util::stream::iter([Ok(wired("a")), Ok(done())]).inspect(move |_| _ = &guard);
        async { Ok(LlmResponse::new(Head::default(), Body::stream(frames))) }
    });
    let mut body = open(service, quiet()).await;
    next(&mut body).await;
    assert_eq!(dropped.load(SeqCst), 0);
    next(&mut body).await;
    assert_eq!(dropped.load(SeqCst), 1, "the connection to the provider is free again");
}

#[derive(Clone, Copy, PartialEq)]
enum Held {
    Call,
    Answer,
}

/// A service that never gets further than `held`, and counts when that is dropped.
fn held(dropped: &Arc<AtomicUsize>, held: Held) -> BoxLlmService {
    let dropped = Arc::clone(dropped);
    service(move |_| {
        let guard = DropCount(Arc::clone(&dropped));
        async move {
            if held == Held::Call {
                std::future::pending::<()>().await;
            }
            let silence = futures_util::stream::pending().inspect(move |_: &Result<Frame, Error>| _ = &guard);
            let frames = futures_util::stream::iter([Ok(wired("a"))]).chain(silence);
            Ok(LlmResponse::new(Head::default(), Body::stream(frames)))
        }
    })
}

#[tokio::test]
async fn a_stream_ends_with_its_cost_where_that_is_turned_on_and_known() {
    for (is_on, cost, expected) in [
        (true, Some(NanoUsd(12_345)), Some(": llm-cost-usd 0.000012345\n\n")),
        (true, None, None),
        (false, Some(NanoUsd(12_345)), None),
    ] {
        let service = service(move |request| async move {
            let trail = request.context().trail();
            let frames = futures_util::stream::iter([Ok(wired("a")), Ok(done())]);
            let body = Body::stream(frames).on_end(move |_| {
                trail.update(0, |attempt| {
                    attempt.usage = Some(Usage::reported(3, 1));
                    attempt.cost = cost;
                });
            });
            Ok(LlmResponse::new(Head::default(), body))
        });
        let mut body = open(service, quiet().cost_comment(is_on)).await;
        assert_eq!(next(&mut body).await.unwrap(), wire_of("a"));
        assert_eq!(next(&mut body).await.unwrap(), "data: [DONE]\n\n");
        assert_eq!(next(&mut body).await.as_deref(), expected);
        assert_eq!(next(&mut body).await, None);
    }
}
