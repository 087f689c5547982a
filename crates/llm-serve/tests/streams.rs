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
    AttemptEnd, Body, BoxLlmService, Dialect, Error, ErrorKind, Event, FinishReason, Frame, Head, LlmRequest,
    LlmResponse, NanoUsd, Output, Start, Target, Usage,
};
use llm_serve::{DoorBody, DoorOptions};
use scripted::{ANTHROPIC, CLIENTS, Client, DropCount, OPENAI, next, read, service, streaming};
use tokio::time::Instant;
use tower::ServiceExt;

async fn open(client: Client, service: BoxLlmService, options: DoorOptions) -> DoorBody {
    let response = client.door(service).options(options).oneshot(client.post(client.stream)).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

fn quiet() -> DoorOptions {
    DoorOptions::new().heartbeat(Duration::ZERO)
}

#[tokio::test]
async fn frames_of_the_same_dialect_pass_byte_for_byte_and_one_by_one() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        // All are there at once: each is a piece of its own nevertheless.
        let comment = Bytes::from_static(b": PROCESSING\n\n");
        frames.send(Ok(Frame::default().with_wire(client.dialect, comment))).unwrap();
        frames.send(Ok(client.wired("a"))).unwrap();
        frames.send(Ok(client.wired("b"))).unwrap();
        frames.send(Ok(client.done())).unwrap();
        let mut body = open(client, service, quiet()).await;
        assert_eq!(next(&mut body).await.unwrap(), ": PROCESSING\n\n");
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("b"));
        assert_eq!(next(&mut body).await.unwrap(), client.terminator);
        assert!(body.is_end_stream());
        assert_eq!(next(&mut body).await, None);
    }
}

#[tokio::test]
async fn frames_of_another_dialect_are_written_in_the_callers_as_they_come() {
    for (client, other) in [(OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)] {
        let (service, frames) = streaming();
        frames.send(Ok(other.wired("Bl"))).unwrap();
        let mut body = open(client, service, quiet()).await;
        let mut written = next(&mut body).now_or_never().expect("written at once").unwrap();
        assert!(next(&mut body).now_or_never().is_none());
        frames.send(Ok(other.wired("ue."))).unwrap();
        written += &next(&mut body).now_or_never().expect("written at once").unwrap();
        assert!(written.contains("\"Bl\"") && written.contains("\"ue.\"") && !written.contains("odd"), "{written}");
        frames.send(Ok(Frame::event(Event::Finish(FinishReason::Length)))).unwrap();
        frames.send(Ok(other.done())).unwrap();
        while let Some(piece) = next(&mut body).await {
            written += &piece;
        }
        let reason = match client.dialect {
            Dialect::OpenAi => "\"finish_reason\":\"length\"",
            Dialect::Anthropic => "\"stop_reason\":\"max_tokens\"",
        };
        assert!(written.contains(reason) && written.ends_with(client.terminator), "{written}");
    }
}

#[tokio::test]
async fn a_frame_is_handed_on_before_the_next_one_comes() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        frames.send(Ok(client.wired("a"))).unwrap();
        let mut body = open(client, service, quiet()).await;
        assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), client.wire_of("a"));
        for text in ["b", "c"] {
            assert!(next(&mut body).now_or_never().is_none());
            frames.send(Ok(client.wired(text))).unwrap();
            assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), client.wire_of(text));
        }
    }
}

#[tokio::test]
async fn the_head_says_that_it_is_a_stream() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        frames.send(Ok(client.wired("a"))).unwrap();
        let response = client.door(service).oneshot(client.post(client.stream)).await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["x-accel-buffering"], "no");
        assert!(!headers.contains_key("x-llm-cost-usd"), "it is not known yet");
        assert!(headers.contains_key("x-llm-call-id") && headers.contains_key("x-llm-served"));
        assert_eq!(response.body().size_hint().exact(), None);
        drop(frames);
    }
}

#[tokio::test]
async fn a_usage_report_that_was_not_asked_for_is_left_out() {
    let client = OPENAI;
    let report = || {
        let wire = b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
        Frame::event(Event::Usage(Usage::reported(3, 1))).with_wire(Dialect::OpenAi, Bytes::from_static(wire))
    };
    let asked = client.stream.replace("\"stream\":true", "\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    for (body, is_there) in [(client.stream.to_owned(), false), (asked, true)] {
        let (service, frames) = streaming();
        for frame in [client.wired("a"), report(), client.done()] {
            frames.send(Ok(frame)).unwrap();
        }
        let (_, _, bytes) = read(client.door(service).oneshot(client.post(body)).await.unwrap()).await;
        assert_eq!(String::from_utf8_lossy(&bytes).contains("prompt_tokens"), is_there);
    }
}

#[tokio::test]
async fn a_stream_that_ends_with_a_finish_reason_gets_its_terminator() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        let finish = Bytes::from_static(match client.dialect {
            Dialect::OpenAi => b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            Dialect::Anthropic => b"event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
        });
        frames.send(Ok(client.wired("a"))).unwrap();
        frames
            .send(Ok(Frame::event(Event::Finish(FinishReason::Stop)).with_wire(client.dialect, finish.clone())))
            .unwrap();
        drop(frames);
        let mut body = open(client, service, quiet()).await;
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
        assert_eq!(next(&mut body).await.unwrap(), finish);
        assert_eq!(next(&mut body).await.unwrap(), client.terminator);
        assert_eq!(next(&mut body).await, None);
    }
}

#[tokio::test]
async fn a_whole_answer_is_streamed_to_who_asked_for_a_stream() {
    for client in CLIENTS {
        let service = service(move |_| async move {
            let body =
                Body::full(Output::text("Blue.")).with_wire(client.dialect, Bytes::from_static(b"{\"whole\":1}"));
            Ok(LlmResponse::new(Head::default(), body))
        });
        let (_, headers, bytes) = read(client.door(service).oneshot(client.post(client.stream)).await.unwrap()).await;
        assert_eq!(headers["content-type"], "text/event-stream; charset=utf-8");
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains("Blue.") && !text.contains("whole"), "{text}");
        let (finish, beginning) = match client.dialect {
            Dialect::OpenAi => ("\"finish_reason\":\"stop\"", "data: "),
            Dialect::Anthropic => ("\"stop_reason\":\"end_turn\"", "event: "),
        };
        assert!(text.contains(finish) && text.ends_with(client.terminator), "{text}");
        assert!(text.split_terminator("\n\n").all(|event| event.starts_with(beginning)), "{text}");
    }
}

/// Asserts that the rest of the stream is one error of the dialect, and nothing that looks like a proper end.
async fn assert_fails_in_band(client: Client, mut body: DoorBody) -> String {
    let error = next(&mut body).await.unwrap();
    let data = match client.dialect {
        Dialect::OpenAi => error.strip_prefix("data: "),
        Dialect::Anthropic => error.strip_prefix("event: error\ndata: "),
    };
    let data = data.and_then(|rest| rest.strip_suffix("\n\n")).expect("one event");
    client.error_of(serde_json::from_str(data).unwrap());
    assert_eq!(next(&mut body).await, None, "nothing follows an error");
    assert!(body.is_end_stream());
    error
}

#[tokio::test]
async fn a_failure_after_content_is_told_within_the_stream() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        frames.send(Ok(client.wired("a"))).unwrap();
        frames.send(Err(Error::new(ErrorKind::Server, "the provider failed"))).unwrap();
        let mut body = open(client, service, quiet()).await;
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
        let error = assert_fails_in_band(client, body).await;
        assert!(!error.contains(client.terminator) && !error.contains("finish_reason"), "{error}");
    }
}

#[tokio::test]
async fn a_cut_stream_is_a_failure() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        frames.send(Ok(client.wired("a"))).unwrap();
        drop(frames);
        let mut body = open(client, service, quiet()).await;
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
        assert_fails_in_band(client, body).await;
    }
}

#[tokio::test]
async fn a_failure_before_the_answer_is_a_status() {
    for client in CLIENTS {
        let error = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_secs(2));
        let response = client.door(scripted::fails(error)).oneshot(client.post(client.stream)).await.unwrap();
        let (headers, _) = client.assert_refused(response, 429).await;
        assert_eq!(headers["retry-after"], "2");
    }
}

/// The provider had begun to answer, but had not said anything yet.
#[tokio::test]
async fn a_failure_before_content_is_a_status_although_the_stream_had_begun() {
    for client in CLIENTS {
        for failure in [Some(Error::new(ErrorKind::Overloaded, "no capacity")), None] {
            let (service, frames) = streaming();
            let status = client.status(failure.as_ref().map_or(ErrorKind::Interrupted, Error::kind));
            frames.send(Ok(Frame::event(Event::Start(Start::default())))).unwrap();
            frames.send(Ok(Frame::default())).unwrap();
            if let Some(error) = failure {
                frames.send(Err(error)).unwrap();
            }
            drop(frames);
            client
                .assert_refused(client.door(service).oneshot(client.post(client.stream)).await.unwrap(), status)
                .await;
        }
    }
}

/// What came before the first content is held back until then, and not a moment longer.
#[tokio::test]
async fn the_head_waits_for_the_first_content() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        let mut response = Box::pin(client.door(service).oneshot(client.post(client.stream)));
        frames.send(Ok(Frame::default().with_wire(client.dialect, Bytes::from_static(b": working\n\n")))).unwrap();
        assert!(response.as_mut().now_or_never().is_none());
        frames.send(Ok(client.wired("a"))).unwrap();
        let mut body = response.now_or_never().unwrap().unwrap().into_body();
        assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), ": working\n\n");
        assert_eq!(next(&mut body).now_or_never().unwrap().unwrap(), client.wire_of("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_heartbeats() {
    for client in CLIENTS {
        let (service, frames) = streaming();
        let begun = Instant::now();
        frames.send(Ok(client.wired("a"))).unwrap();
        let mut body = open(client, service, DoorOptions::new().heartbeat(Duration::from_secs(5))).await;
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
        for beat in 1..=3 {
            assert_eq!(next(&mut body).await.unwrap(), client.heartbeat);
            assert_eq!(begun.elapsed(), Duration::from_secs(5 * beat));
        }
        // A frame after 2 seconds moves the next heartbeat.
        assert!(tokio::time::timeout(Duration::from_secs(2), next(&mut body)).await.is_err());
        frames.send(Ok(client.wired("a"))).unwrap();
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
        assert_eq!(next(&mut body).await.unwrap(), client.heartbeat);
        assert_eq!(begun.elapsed(), Duration::from_secs(22));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_has_no_heartbeats() {
    for client in CLIENTS {
        let frames = futures_util::stream::unfold(0, move |count| async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            (count < 20).then(|| (Ok(client.wired("a")), count + 1))
        });
        let frames = frames.chain(futures_util::stream::iter([Ok(client.done())])).boxed();
        let frames = Arc::new(std::sync::Mutex::new(Some(frames)));
        let service = service(move |_| {
            let frames = frames.lock().unwrap().take().unwrap();
            async { Ok(LlmResponse::new(Head::default(), Body::stream(frames))) }
        });
        let mut body = open(client, service, DoorOptions::new().heartbeat(Duration::from_secs(5))).await;
        while let Some(piece) = next(&mut body).await {
            assert_ne!(piece, client.heartbeat);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_heartbeat_comes_when_they_are_off() {
    for client in CLIENTS {
        for heartbeat in [Duration::ZERO, Duration::MAX] {
            let (service, _frames) = streaming();
            let mut body = open(client, service, DoorOptions::new().heartbeat(heartbeat)).await;
            assert!(tokio::time::timeout(Duration::from_secs(3600), next(&mut body)).await.is_err());
        }
    }
}

/// A service whose answer takes a minute.
fn slow(client: Client, result: Result<&'static str, ErrorKind>) -> BoxLlmService {
    service(move |_| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let text = result.map_err(|kind| Error::new(kind, "it did not work"))?;
        let frames = futures_util::stream::iter([Ok(client.wired(text)), Ok(client.done())]);
        let head = Head { target: Some(Target::new("acme", "large")), ..Head::default() };
        Ok(LlmResponse::new(head, Body::stream(frames)))
    })
}

#[tokio::test(start_paused = true)]
async fn the_head_goes_out_early_when_the_answer_is_late() {
    for client in CLIENTS {
        let begun = Instant::now();
        let options = DoorOptions::new().head_after(Some(Duration::from_secs(10))).heartbeat(Duration::from_secs(20));
        let response =
            client.door(slow(client, Ok("a"))).options(options).oneshot(client.post(client.stream)).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert!(!response.headers().contains_key("x-llm-target"), "nobody has answered yet");
        assert!(response.headers().contains_key("x-llm-call-id"));
        let mut body = response.into_body();
        for beat in [30, 50] {
            assert_eq!(next(&mut body).await.unwrap(), client.heartbeat);
            assert_eq!(begun.elapsed(), Duration::from_secs(beat));
        }
        assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
        assert_eq!(begun.elapsed(), Duration::from_secs(60));
        assert_eq!(next(&mut body).await.unwrap(), client.terminator);
        assert_eq!(next(&mut body).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_early_head_a_failure_is_told_within_the_stream() {
    for client in CLIENTS {
        assert_fails_in_band(client, open(client, slow(client, Err(ErrorKind::Server)), quiet()).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_within_the_stream_tells_its_attempts_where_callers_are_told_of_them() {
    let failing = || {
        service(move |request: LlmRequest| async move {
            for (number, provider) in (0..).zip(["acme", "zeta"]) {
                request.context().trail().update(number, |attempt| {
                    attempt.target = Some(Target::new(provider, "large"));
                    attempt.end = Some(AttemptEnd::Failed(ErrorKind::Server));
                });
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            Err::<LlmResponse, _>(Error::new(ErrorKind::Server, "it did not work"))
        })
    };
    for client in CLIENTS {
        for is_told in [true, false] {
            let mut body = open(client, failing(), quiet().provenance_headers(is_told)).await;
            let event = next(&mut body).await.unwrap();
            assert!(event.contains("it did not work"), "{event}");
            assert_eq!(event.contains("; attempts: acme/large server, zeta/large server"), is_told, "{event}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_early_head_a_late_failure_is_a_status() {
    for client in CLIENTS {
        let door = client.door(slow(client, Err(ErrorKind::Server))).options(quiet().head_after(None));
        client.assert_refused(door.oneshot(client.post(client.stream)).await.unwrap(), 502).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_awaited_however_late() {
    for client in CLIENTS {
        let response =
            client.door(slow(client, Err(ErrorKind::Server))).oneshot(client.post(client.whole)).await.unwrap();
        client.assert_refused(response, 502).await;
    }
}

#[tokio::test]
async fn dropping_the_body_drops_the_answer_at_once() {
    for client in CLIENTS {
        let dropped = Arc::new(AtomicUsize::new(0));
        let body = open(client, held(client, &dropped, Held::Answer), quiet()).await;
        assert_eq!(dropped.load(SeqCst), 0);
        drop(body);
        assert_eq!(dropped.load(SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_body_after_an_early_head_drops_the_call() {
    for client in CLIENTS {
        let dropped = Arc::new(AtomicUsize::new(0));
        let body = open(client, held(client, &dropped, Held::Call), quiet()).await;
        assert_eq!(dropped.load(SeqCst), 0);
        drop(body);
        assert_eq!(dropped.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn dropping_the_future_drops_the_call() {
    for client in CLIENTS {
        for body in [client.whole, client.stream] {
            let dropped = Arc::new(AtomicUsize::new(0));
            let response = client.door(held(client, &dropped, Held::Call)).oneshot(client.post(body));
            assert!(response.now_or_never().is_none());
            assert_eq!(dropped.load(SeqCst), 1);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_over_is_let_go_before_the_body() {
    for client in CLIENTS {
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = Arc::new(std::sync::Mutex::new(Some(DropCount(Arc::clone(&dropped)))));
        let service = service(move |_| {
            let guard = guard.lock().unwrap().take();
            let frames =
                futures_util::stream::iter([Ok(client.wired("a")), Ok(client.done())]).inspect(move |_| _ = &guard);
            async { Ok(LlmResponse::new(Head::default(), Body::stream(frames))) }
        });
        let mut body = open(client, service, quiet()).await;
        next(&mut body).await;
        assert_eq!(dropped.load(SeqCst), 0);
        next(&mut body).await;
        assert_eq!(dropped.load(SeqCst), 1, "the connection to the provider is free again");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Held {
    Call,
    Answer,
}

/// A service that never gets further than `held`, and counts when that is dropped.
fn held(client: Client, dropped: &Arc<AtomicUsize>, held: Held) -> BoxLlmService {
    let dropped = Arc::clone(dropped);
    service(move |_| {
        let guard = DropCount(Arc::clone(&dropped));
        async move {
            if held == Held::Call {
                std::future::pending::<()>().await;
            }
            let silence = futures_util::stream::pending().inspect(move |_: &Result<Frame, Error>| _ = &guard);
            let frames = futures_util::stream::iter([Ok(client.wired("a"))]).chain(silence);
            Ok(LlmResponse::new(Head::default(), Body::stream(frames)))
        }
    })
}

#[tokio::test]
async fn a_stream_ends_with_its_cost_where_that_is_turned_on_and_known() {
    for client in CLIENTS {
        for (is_on, cost, expected) in [
            (true, Some(NanoUsd(12_345)), Some(": llm-cost-usd 0.000012345\n\n")),
            (true, None, None),
            (false, Some(NanoUsd(12_345)), None),
        ] {
            let service = service(move |request| async move {
                let trail = request.context().trail();
                let frames = futures_util::stream::iter([Ok(client.wired("a")), Ok(client.done())]);
                let body = Body::stream(frames).on_end(move |_| {
                    trail.update(0, |attempt| {
                        attempt.usage = Some(Usage::reported(3, 1));
                        attempt.cost = cost;
                    });
                });
                Ok(LlmResponse::new(Head::default(), body))
            });
            let mut body = open(client, service, quiet().cost_comment(is_on)).await;
            assert_eq!(next(&mut body).await.unwrap(), client.wire_of("a"));
            assert_eq!(next(&mut body).await.unwrap(), client.terminator);
            assert_eq!(next(&mut body).await.as_deref(), expected);
            assert_eq!(next(&mut body).await, None);
        }
    }
}
