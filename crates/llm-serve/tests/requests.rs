//! What a door takes in, what it turns away, and what it makes of the headers.

#![allow(clippy::unwrap_used)]

mod scripted;

use std::{
    convert::Infallible,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use llm_core::{AllowedModels, CacheDirective, Caller, LlmRequest, Output, Sensitivity, TraceParent};
use llm_serve::{Door, DoorBody, DoorOptions};
use llm_test::Probe;
use llm_wire::anthropic::Betas;
use scripted::{ANTHROPIC, CLIENTS, Client, OPENAI, post, read, recording, says, unreached};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

async fn refused_body(client: Client, body: impl Into<Bytes>, status: u16) -> serde_json::Value {
    let response = client.door(unreached()).oneshot(client.post(body)).await.unwrap();
    let (headers, error) = client.assert_refused(response, status).await;
    assert_eq!(headers["x-llm-error-origin"], "caller");
    assert_eq!(headers["x-should-retry"], "false");
    error
}

#[tokio::test]
async fn bodies_that_make_no_sense_get_a_400_of_the_dialect() {
    for client in CLIENTS {
        let deep =
            format!(r#"{{"model":"m","max_tokens":1,"messages":[],"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        let bodies: [&[u8]; 13] = [
            b"",
            b"{",
            b"[]",
            b"null",
            b"not json",
            b"\xff\xfe\xfd",
            b"{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]}",
            br#"{"model":"m","model":"n","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#,
            br#"{"model":1,"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#,
            br#"{"model":"m","max_tokens":1,"messages":"hi"}"#,
            br#"{"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#,
            br#"{"model":"m\r\nx-injected: 1","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}"#,
            deep.as_bytes(),
        ];
        for body in bodies {
            let error = refused_body(client, Bytes::copy_from_slice(body), 400).await;
            assert_eq!(
                error["type"],
                "invalid_request_error",
                "{}",
                String::from_utf8_lossy(&body[..body.len().min(80)])
            );
        }
    }
}

#[tokio::test]
async fn embeddings_are_checked_like_chats() {
    let client = OPENAI;
    let door = Door::embeddings(unreached());
    let broken = [r#"{"model":"m"}"#, r#"{"model":"m\n","input":"x"}"#, r#"{"model":"m","input":{"a":1}}"#];
    for body in broken {
        client.assert_refused(door.clone().oneshot(post("/v1/embeddings", body)).await.unwrap(), 400).await;
    }
}

#[tokio::test]
async fn an_announced_oversize_is_refused_without_reading() {
    for client in CLIENTS {
        let unread = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let body = Announced(BodyExt::boxed(unread), 65);
        let door = client.door(unreached()).options(DoorOptions::new().max_body_bytes(64));
        let response = door.oneshot(Request::post("/").body(body).unwrap()).await.unwrap();
        let (headers, _) = client.assert_refused(response, 413).await;
        assert_eq!(headers["x-llm-error-kind"], "too_large");
    }
}

#[tokio::test]
async fn embeddings_have_the_same_limits() {
    let client = OPENAI;
    let door = Door::embeddings(unreached()).options(DoorOptions::new().max_body_bytes(8));
    client
        .assert_refused(door.oneshot(post("/v1/embeddings", r#"{"model":"m","input":"x"}"#)).await.unwrap(), 413)
        .await;
}

#[tokio::test]
async fn an_oversize_in_pieces_is_refused_at_the_limit() {
    for client in CLIENTS {
        let mut pieces = 0;
        let endless = StreamBody::new(stream::repeat_with(move || {
            pieces += 1;
            assert!(pieces <= 3, "read on after the limit");
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b' '; 32])))
        }));
        let door = client.door(unreached()).options(DoorOptions::new().max_body_bytes(64));
        let response = door.oneshot(Request::post("/").body(endless).unwrap()).await.unwrap();
        client.assert_refused(response, 413).await;
    }
}

#[tokio::test]
async fn a_limit_of_the_hosts_is_told_as_one() {
    for client in CLIENTS {
        let body = Limited::new(Full::new(Bytes::from(client.whole)), 8);
        let unsized_body = StreamBody::new(body.into_data_stream().map(|data| data.map(Frame::data)));
        let response = client.door(unreached()).oneshot(Request::post("/").body(unsized_body).unwrap()).await;
        client.assert_refused(response.unwrap(), 413).await;
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_in_pieces_is_taken() {
    for client in CLIENTS {
        let (head, tail) = client.whole.split_at(20);
        let pieces = stream::iter([head, "", tail]).map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
        let door = client.door(says("ok")).options(DoorOptions::new().max_body_bytes(client.whole.len()));
        let response = door.oneshot(Request::post("/").body(StreamBody::new(pieces)).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_cut_after_its_time() {
    for client in CLIENTS {
        let drips = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b" "))), ()))
        });
        let begun = Instant::now();
        let door = client.door(unreached()).options(DoorOptions::new().body_timeout(Duration::from_millis(3500)));
        let response = door.oneshot(Request::post("/").body(StreamBody::new(Box::pin(drips))).unwrap()).await.unwrap();
        let (headers, _) = client.assert_refused(response, 408).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(3500));
        assert_eq!(headers["x-should-retry"], "true");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    for client in CLIENTS {
        let broken =
            StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from_static(b"{"))), Err("connection reset")]));
        let response = client.door(unreached()).oneshot(Request::post("/").body(broken).unwrap()).await.unwrap();
        client.assert_refused(response, 400).await;
    }
}

#[tokio::test]
async fn the_instance_that_is_called_was_readied() {
    for client in CLIENTS {
        let probe = Probe::new().ready_after(1).permits(1);
        let log = probe.log();
        let mut door = client.door(probe);
        for body in [client.whole, client.stream, client.whole] {
            let door = ServiceExt::<Request<Full<Bytes>>>::ready(&mut door).await.unwrap();
            assert_eq!(read(door.call(client.post(body)).await.unwrap()).await.0, 200);
        }
        assert_eq!((log.calls(), log.misuses(), log.in_flight()), (3, 0, 0));
    }
}

#[tokio::test]
async fn a_bad_request_is_refused_while_the_service_is_never_ready() {
    for client in CLIENTS {
        let door = client.door(Probe::new().never_ready());
        client.assert_refused(door.oneshot(client.post("{")).await.unwrap(), 400).await;
    }
}

async fn with_header(client: Client, name: &str, value: &str) -> Response<DoorBody> {
    let mut request = client.post(client.whole);
    request.headers_mut().insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    client.door(says("ok")).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    for client in CLIENTS {
        for media_type in ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"] {
            client.assert_refused(with_header(client, "content-type", media_type).await, 415).await;
        }
        client.assert_refused(with_header(client, "content-encoding", "gzip").await, 415).await;
        for media_type in ["application/json; charset=utf-8", "application/vnd.api+json"] {
            assert_eq!(with_header(client, "content-type", media_type).await.status(), 200);
        }
        let bare = Request::post("/").body(Full::<Bytes>::from(client.whole)).unwrap();
        let response = client.door(says("ok")).oneshot(bare).await.unwrap();
        assert_eq!(response.status(), 200, "a missing content type is allowed");
    }
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    for client in CLIENTS {
        client.assert_refused(with_header(client, "x-padding", &"a".repeat(70_000)).await, 431).await;
    }
}

#[tokio::test]
async fn another_method_is_refused_with_the_right_one() {
    for client in CLIENTS {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let request = Request::builder().method(method).uri("/").body(Full::<Bytes>::default()).unwrap();
            let (headers, _) =
                client.assert_refused(client.door(unreached()).oneshot(request).await.unwrap(), 405).await;
            assert_eq!(headers["allow"], "POST");
        }
    }
}

async fn received(client: Client, change: impl FnOnce(&mut Request<Full<Bytes>>)) -> LlmRequest {
    let (service, requests) = recording(Output::text("ok"));
    let mut request = client.post(client.whole);
    change(&mut request);
    let response = client.door(service).oneshot(request).await.unwrap();
    assert_eq!(read(response).await.0, 200);
    requests.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn what_the_host_knows_of_the_caller_reaches_the_context() {
    for client in CLIENTS {
        let directive = CacheDirective { no_store: true, ..CacheDirective::default() };
        let received = received(client, |request| {
            request.extensions_mut().insert(Caller::tenant("acme"));
            request.extensions_mut().insert(Sensitivity::Sensitive);
            request.extensions_mut().insert(directive);
            request.extensions_mut().insert(AllowedModels::new(["m"]));
        })
        .await;
        assert_eq!(received.context().caller(), &Caller::tenant("acme"));
        assert_eq!(received.context().sensitivity(), Sensitivity::Sensitive);
        assert_eq!(received.context().cache(), &directive);
        assert_eq!(received.context().allowed_models(), Some(&AllowedModels::new(["m"])));
    }
}

#[tokio::test]
async fn what_the_caller_says_of_the_request_reaches_the_context_or_is_refused() {
    for client in CLIENTS {
        let received = received(client, |request| {
            let headers = [("x-llm-tags", "eu, batch"), ("x-llm-intent", "code"), ("x-llm-sensitivity", "sensitive")];
            for (name, value) in headers {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        })
        .await;
        let context = received.context();
        assert!(context.has_tag("eu") && context.has_tag("batch") && !context.has_tag("eu, batch"));
        assert_eq!((context.intent(), context.sensitivity()), (Some("code"), Sensitivity::Sensitive));

        let (service, requests) = recording(Output::text("ok"));
        let mut request = client.post(client.whole);
        request.headers_mut().insert("x-llm-sensitivity", "secret".parse().unwrap());
        let (_, error) = client.assert_refused(client.door(service).oneshot(request).await.unwrap(), 400).await;
        assert!(error["message"].as_str().unwrap().starts_with("x-llm-sensitivity: "), "{error}");
        assert!(requests.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn identity_is_never_taken_from_headers() {
    for client in CLIENTS {
        let received = received(client, |request| {
            for name in ["x-tenant", "x-llm-tenant", "authorization", "x-api-key"] {
                request.headers_mut().insert(name, "acme".parse().unwrap());
            }
        })
        .await;
        assert_eq!(received.context().caller(), &Caller::default());
        assert!(received.extensions().is_empty(), "no header goes on");
    }
}

#[tokio::test]
async fn the_retries_of_the_callers_sdk_lower_the_allowance() {
    for client in CLIENTS {
        for (count, left) in [("0", 2), ("1", 1), ("2", 0), ("7", 0), ("many", 2), ("-1", 2)] {
            let received = received(client, |request| {
                request.headers_mut().insert("x-stainless-retry-count", count.parse().unwrap());
            });
            assert_eq!(received.await.context().calls_left(), left, "{count}");
        }
    }
}

#[tokio::test]
async fn the_door_decides_how_many_attempts_there_are_in_all() {
    for client in CLIENTS {
        for (attempts, count, left) in [(1, None, 0), (5, None, 4), (5, Some("3"), 1), (2, Some("3"), 0)] {
            let (service, requests) = recording(Output::text("ok"));
            let mut request = client.post(client.whole);
            if let Some(count) = count {
                request.headers_mut().insert("x-stainless-retry-count", count.parse().unwrap());
            }
            let options = DoorOptions::new().attempts(NonZeroU32::new(attempts).unwrap());
            let response = client.door(service).options(options).oneshot(request).await.unwrap();
            assert_eq!(read(response).await.0, 200);
            let received = requests.lock().unwrap().pop().unwrap();
            assert_eq!(received.context().calls_left(), left, "{attempts} attempts, {count:?}");
        }
    }
}

#[tokio::test]
async fn the_patience_of_the_callers_sdk_becomes_the_read_timeout() {
    for client in CLIENTS {
        let timeouts = [
            (["x-stainless-read-timeout", "1.5"], Some(Duration::from_millis(2500))),
            (["x-stainless-timeout", "600"], Some(Duration::from_secs(601))),
            (["x-stainless-read-timeout", "0"], None),
        ];
        for ([name, value], expected) in timeouts {
            let received = received(client, |request| {
                request.headers_mut().insert(name, value.parse().unwrap());
            });
            assert_eq!(received.await.context().read_timeout(), expected, "{name}: {value}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_timeout_becomes_the_deadline() {
    for client in CLIENTS {
        let received = received(client, |request| {
            request.headers_mut().insert("grpc-timeout", "250m".parse().unwrap());
        })
        .await;
        assert_eq!(received.context().deadline(), Some(Instant::now() + Duration::from_millis(250)));
    }
}

#[tokio::test]
async fn the_callers_trace_parent_is_carried_along() {
    for client in CLIENTS {
        const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let carried = received(client, |request| {
            request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
        })
        .await;
        let parent = carried.extensions().get::<TraceParent>().unwrap();
        assert_eq!(parent.as_header(), PARENT);
        assert!(!format!("{parent:?}").contains("4bf9"));
        let broken = received(client, |request| {
            request.headers_mut().insert("traceparent", "00-zz".parse().unwrap());
        });
        assert!(broken.await.extensions().get::<TraceParent>().is_none());
    }
}

#[tokio::test]
async fn a_question_for_a_count_is_checked_like_a_message() {
    let door = Door::count_tokens(unreached());
    let valid = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    for (body, limit, status) in [("{", 64, 400), (r#"{"model":"m"}"#, 64, 400), (valid, 8, 413)] {
        let door = door.clone().options(DoorOptions::new().max_body_bytes(limit));
        let response = door.oneshot(post("/v1/messages/count_tokens", body)).await.unwrap();
        ANTHROPIC.assert_refused(response, status).await;
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_told_in_anthropics_own_words() {
    let door = ANTHROPIC.door(unreached()).options(DoorOptions::new().max_body_bytes(8));
    let response = door.oneshot(ANTHROPIC.post(ANTHROPIC.whole)).await.unwrap();
    let (_, error) = ANTHROPIC.assert_refused(response, 413).await;
    assert_eq!(error["type"], "request_too_large");
}

#[tokio::test]
async fn features_that_anthropics_caller_turns_on_go_along_with_the_request() {
    let both = |request: &mut Request<Full<Bytes>>| {
        request.headers_mut().append("anthropic-version", "2099-01-01".parse().unwrap());
        request.headers_mut().append("anthropic-beta", "context-1m-2025-08-07".parse().unwrap());
        request.headers_mut().append("anthropic-beta", "a_1, b.2".parse().unwrap());
    };
    let carried = received(ANTHROPIC, both).await;
    let betas = carried.extensions().get::<Betas>().unwrap();
    assert_eq!(betas.to_header_value(), "context-1m-2025-08-07,a_1,b.2");
    assert!(received(ANTHROPIC, |_| {}).await.extensions().get::<Betas>().is_none());
    assert!(received(OPENAI, both).await.extensions().is_empty(), "which OpenAI's dialect does not know");
}

#[tokio::test]
async fn features_that_are_no_names_are_refused_before_the_body_is_read() {
    for broken in ["a b", "a;b", "\u{e4}", &"a".repeat(65)] {
        let value = http::HeaderValue::from_bytes(broken.as_bytes()).unwrap();
        for door in [Door::messages(unreached()), Door::count_tokens(unreached())] {
            let unread = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
            let request = Request::post("/").header("anthropic-beta", &value).body(unread).unwrap();
            let (headers, error) = ANTHROPIC.assert_refused(door.oneshot(request).await.unwrap(), 400).await;
            assert_eq!(headers["x-llm-error-kind"], "invalid_request");
            assert!(error["message"].as_str().unwrap().starts_with("anthropic-beta: "), "{error}");
        }
    }
}

/// A body that announces a length.
struct Announced(http_body_util::combinators::BoxBody<Bytes, Infallible>, u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.1)
    }
}
