//! Whole answers and failures: what their heads and bodies say.

#![allow(clippy::unwrap_used)]

mod scripted;

use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use llm_core::{
    Again, Attempt, AttemptEnd, Body, CacheStatus, Dialect, EmbedOutput, Error, ErrorKind, Frame, Head, LlmRequest,
    LlmResponse, NanoUsd, Output, Payload, Phase, Provenance, Served, Target, TokenCount, Usage, Vector,
};
use llm_serve::{Door, DoorOptions, Refuser};
use scripted::{ANTHROPIC, CLIENTS, Client, OPENAI, fails, post, read, recording, says, service};
use tower::ServiceExt;

#[tokio::test]
async fn the_providers_own_bytes_are_handed_on_untouched() {
    for client in CLIENTS {
        const ODD: &[u8] = b"{ \"id\" :\"x\",\"choices\":[],\"odd\":1.00e+2 }\n";
        let service = service(move |_| async move {
            let body = Body::full(Output::text("ignored")).with_wire(client.dialect, Bytes::from_static(ODD));
            Ok(LlmResponse::new(Head::default(), body))
        });
        let response = client.door(service).oneshot(client.post(client.whole)).await.unwrap();
        assert_eq!(response.body().size_hint().exact(), Some(ODD.len() as u64));
        let (status, headers, body) = read(response).await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(body, ODD);
    }
}

#[tokio::test]
async fn the_bytes_of_another_dialect_are_not() {
    for (client, other) in [(OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)] {
        let service = service(move |_| async move {
            let body = Body::full(Output::text("Blue.")).with_wire(other.dialect, Bytes::from_static(b"{}"));
            Ok(LlmResponse::new(Head::default(), body))
        });
        let (_, _, body) = read(client.door(service).oneshot(client.post(client.whole)).await.unwrap()).await;
        assert_eq!(client.text_of(&body), "Blue.");
    }
}

#[tokio::test]
async fn a_stream_is_collected_for_who_asked_for_a_whole_answer() {
    for client in CLIENTS {
        let service = service(move |_| async move {
            let frames =
                futures_util::stream::iter([Ok(client.wired("Bl")), Ok(client.wired("ue.")), Ok(client.done())]);
            Ok(LlmResponse::new(Head::default(), Body::stream(frames)))
        });
        let (status, headers, body) =
            read(client.door(service).oneshot(client.post(client.whole)).await.unwrap()).await;
        assert_eq!((status.as_u16(), &headers["content-type"]), (200, &"application/json".parse().unwrap()));
        assert_eq!(client.text_of(&body), "Blue.");
    }
}

#[tokio::test]
async fn a_collected_stream_that_breaks_is_a_status() {
    for client in CLIENTS {
        let service = service(move |_| async move {
            let frames = futures_util::stream::iter([Ok(client.wired("Bl"))]);
            Ok(LlmResponse::new(Head::default(), Body::stream(frames)))
        });
        let response = client.door(service).oneshot(client.post(client.whole)).await.unwrap();
        let (headers, _) = client.assert_refused(response, 502).await;
        assert_eq!(headers["x-llm-error-kind"], "interrupted");
    }
}

#[tokio::test]
async fn embeddings_are_answered_as_a_list() {
    let service = service(move |_| async move {
        let output = EmbedOutput { vectors: vec![Vector(vec![0.5, -1.0])], ..EmbedOutput::default() };
        Ok(Output::Embed(output).into())
    });
    let request = post("/v1/embeddings", r#"{"model":"m","input":"hi"}"#);
    let (status, _, body) = read(Door::embeddings(service).oneshot(request).await.unwrap()).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["object"], "list");
    assert_eq!(answer["data"][0]["embedding"], serde_json::json!([0.5, -1.0]));
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer() {
    let (service, requests) =
        recording(Output::TokenCount(TokenCount { input_tokens: 12, provenance: Provenance::Reported }));
    let response = Door::count_tokens(service).oneshot(post("/v1/messages/count_tokens?beta=true", OPENAI.whole)).await;
    let (status, headers, body) = read(response.unwrap()).await;
    assert_eq!((status.as_u16(), &*body), (200, &br#"{"input_tokens":12}"#[..]));
    assert_eq!(headers["request-id"], headers["x-llm-call-id"]);
    assert!(matches!(requests.lock().unwrap()[0].payload(), Payload::CountTokens(_)));
}

async fn refused(client: Client, error: Error) -> http::HeaderMap {
    let status = client.status(error.kind());
    client.assert_refused(client.door(fails(error)).oneshot(client.post(client.whole)).await.unwrap(), status).await.0
}

#[tokio::test]
async fn every_kind_has_its_status_and_is_named() {
    for client in CLIENTS {
        for kind in ErrorKind::ALL {
            let headers = refused(client, Error::new(kind, "it did not work")).await;
            assert_eq!(headers["x-llm-error-kind"], kind.as_str());
            if kind.class().is_own {
                assert_eq!(headers["x-llm-error-origin"], "gateway", "{kind}");
            }
            if kind.class().breaker.is_fault() {
                assert_eq!(headers["x-llm-error-origin"], "upstream", "{kind}");
            }
        }
        let found_by_provider = refused(client, Error::invalid_request("bad temperature").with_status(422)).await;
        assert_eq!(found_by_provider["x-llm-error-origin"], "upstream");
        assert_eq!(refused(client, Error::invalid_request("bad temperature")).await["x-llm-error-origin"], "caller");
    }
}

#[tokio::test]
async fn clients_are_told_to_retry_what_can_pass_and_nothing_else() {
    for client in CLIENTS {
        use ErrorKind as K;
        let passing = [K::RateLimited, K::Overloaded, K::Server, K::Connect, K::Timeout(Phase::Head), K::Undecodable];
        for kind in passing.into_iter().chain([K::LimitExceeded, K::CircuitOpen]) {
            assert_eq!(refused(client, Error::new(kind, "no")).await["x-should-retry"], "true", "{kind}");
        }
        let lasting = [K::QuotaExhausted, K::BudgetExceeded, K::NoRoute, K::ContextLength, K::ProviderCredentials];
        for kind in lasting.into_iter().chain([K::ContentPolicy, K::DeadlineExceeded, K::UnknownModel, K::Internal]) {
            assert_eq!(refused(client, Error::new(kind, "no")).await["x-should-retry"], "false", "{kind}");
        }
        let told = Error::new(K::Overloaded, "no").with_should_retry(false);
        assert_eq!(refused(client, told).await["x-should-retry"], "false", "the provider's own word");
    }
}

#[tokio::test]
async fn who_is_at_fault_is_told_not_to_retry_by_a_door_and_by_a_host() {
    for client in CLIENTS {
        use ErrorKind as K;
        let callers = [K::InvalidRequest, K::TooLarge, K::UnknownModel, K::ContextLength, K::ContentPolicy];
        let mut request = client.post("");
        request.headers_mut().insert("x-request-id", "abc".parse().unwrap());
        let refuser = Refuser::new(&request);
        for kind in callers.into_iter().chain([K::Unauthenticated, K::Forbidden]) {
            let error = Error::new(kind, "no");
            assert_eq!(refused(client, error.clone()).await["x-should-retry"], "false", "{kind}");
            let (headers, body) = client.assert_refused(refuser.refuse(&error), client.status(kind)).await;
            assert_eq!(headers["x-should-retry"], "false", "{kind}");
            assert_eq!(headers["x-llm-error-kind"], kind.as_str());
            assert_eq!(headers["x-llm-error-origin"], "caller", "{kind}");
            assert_eq!(headers["x-request-id"], "abc");
            assert_eq!(body["message"], "no");
        }
        let busy = Error::new(K::LimitExceeded, "no").with_retry_after(Duration::from_secs(2));
        let (headers, _) = client.assert_refused(refuser.refuse(&busy), 429).await;
        assert_eq!(
            (&headers["x-should-retry"], &headers["retry-after"]),
            (&"true".parse().unwrap(), &"2".parse().unwrap())
        );
    }
}

/// Fails after as many attempts as the allowance permits.
fn persistent(request: LlmRequest) -> Error {
    let context = request.context();
    context.trail().update(0, |attempt| attempt.end = Some(AttemptEnd::Failed(ErrorKind::Overloaded)));
    let mut number = 1;
    while context.may_call_again(llm_core::Again::Retry, None) {
        context.trail().update(number, |attempt| attempt.end = Some(AttemptEnd::Failed(ErrorKind::Overloaded)));
        number += 1;
    }
    Error::new(ErrorKind::Overloaded, "no capacity").with_target(Target::new("acme", "large").with_key("spare"))
}

#[tokio::test]
async fn once_our_attempts_are_used_up_the_client_is_told_not_to_retry() {
    for client in CLIENTS {
        let door = client.door(service(|request| async { Err(persistent(request)) }));
        let (headers, _) = client
            .assert_refused(
                door.oneshot(client.post(client.whole)).await.unwrap(),
                client.status(ErrorKind::Overloaded),
            )
            .await;
        assert_eq!(headers["x-should-retry"], "false");
        assert_eq!(headers["x-llm-attempts"], "3");
        assert_eq!(headers["x-llm-target"], "acme/large", "and not which key");
    }
}

#[tokio::test]
async fn a_header_names_a_target_in_printable_ascii_whatever_callers_called_it() {
    let named = |model: &'static str| async move {
        let head = Head { target: Some(Target::new("acme", model)), ..Head::default() };
        let door = OPENAI.door(served(head, None));
        let response = door.oneshot(OPENAI.post(OPENAI.whole)).await.unwrap();
        response.headers()["x-llm-target"].to_str().unwrap().to_owned()
    };
    assert_eq!(named("größe").await, "acme/gr??e");
    assert_eq!(named("a\nb").await, "acme/a?b");
}

#[tokio::test]
async fn a_client_on_its_last_retry_gets_one_attempt() {
    for client in CLIENTS {
        let door = client.door(service(|request| async { Err(persistent(request)) }));
        let mut request = client.post(client.whole);
        request.headers_mut().insert("x-stainless-retry-count", "2".parse().unwrap());
        let (headers, _) =
            client.assert_refused(door.oneshot(request).await.unwrap(), client.status(ErrorKind::Overloaded)).await;
        assert_eq!(headers["x-llm-attempts"], "1");
    }
}

#[tokio::test]
async fn a_refusal_that_reached_no_provider_is_no_attempt_and_may_be_tried_again() {
    for client in CLIENTS {
        let door = client.door(service(|request| async move {
            let error = Error::new(ErrorKind::CircuitOpen, "open");
            request.context().trail().fail(request.context().attempt(), None, &error);
            Err(error)
        }));
        let mut request = client.post(client.whole);
        request.headers_mut().insert("x-stainless-retry-count", "2".parse().unwrap());
        let refused = door.oneshot(request).await.unwrap();
        let (headers, _) = client.assert_refused(refused, client.status(ErrorKind::CircuitOpen)).await;
        assert_eq!(headers["x-llm-attempts"], "0");
        assert_eq!(headers["x-should-retry"], "true");
    }
}

#[tokio::test]
async fn advice_is_rounded_up() {
    for client in CLIENTS {
        for (millis, seconds) in [(1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let error = Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_millis(millis));
            let headers = refused(client, error).await;
            assert_eq!(headers["retry-after"], seconds);
            assert_eq!(headers["retry-after-ms"], millis.to_string());
        }
        let headers =
            refused(client, Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::ZERO)).await;
        assert!(!headers.contains_key("retry-after") && !headers.contains_key("retry-after-ms"));
        assert!(!refused(client, Error::new(ErrorKind::RateLimited, "slow down")).await.contains_key("retry-after"));
    }
}

fn served(head: Head, cost: Option<NanoUsd>) -> llm_core::BoxLlmService {
    service(move |request| {
        request.context().trail().update(0, |attempt| {
            attempt.usage = Some(Usage::reported(10, 5));
            attempt.cost = cost;
        });
        let head = head.clone();
        async move { Ok(LlmResponse::new(head, Body::full(Output::text("ok")))) }
    })
}

#[tokio::test]
async fn a_whole_answer_tells_where_it_comes_from_and_what_it_cost() {
    for client in CLIENTS {
        let head = Head {
            target: Some(Target::new("acme", "large").with_key("spare")),
            served: Served::Substitute,
            cache: CacheStatus::Miss,
            ..Head::default()
        };
        let door = client.door(served(head, Some(NanoUsd(12_345))));
        let (_, headers, _) = read(door.clone().oneshot(client.post(client.whole)).await.unwrap()).await;
        assert_eq!(headers["x-llm-target"], "acme/large");
        assert_eq!(headers["x-llm-served"], "substitute");
        assert_eq!(headers["x-llm-cache"], "miss");
        assert_eq!(headers["x-llm-attempts"], "1");
        assert_eq!(headers["x-llm-cost-usd"], "0.000012345");
        assert_eq!(headers["x-llm-call-id"].len(), 32);
        assert_eq!(headers["x-request-id"], headers["x-llm-call-id"]);

        let silent = door.options(DoorOptions::new().provenance_headers(false));
        let (_, headers, _) = read(silent.oneshot(client.post(client.whole)).await.unwrap()).await;
        assert!(headers.keys().all(|name| !name.as_str().starts_with("x-llm-")), "{headers:?}");
        assert!(headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn what_failed_attempts_cost_is_told() {
    for client in CLIENTS {
        let door = client.door(service(|request| async move {
            let trail = request.context().trail();
            for number in 0..2 {
                trail.update(number, |attempt| {
                    attempt.usage = Some(Usage::reported(10, 5));
                    attempt.cost = Some(NanoUsd(500_000_000));
                });
            }
            Err(Error::new(ErrorKind::Interrupted, "it broke off"))
        }));
        let (headers, _) = client.assert_refused(door.oneshot(client.post(client.whole)).await.unwrap(), 502).await;
        assert_eq!(headers["x-llm-cost-usd"].to_str().unwrap().parse::<f64>().unwrap(), 1.0);
    }
}

#[tokio::test]
async fn an_unknown_cost_is_not_told_as_zero() {
    for client in CLIENTS {
        let (_, headers, _) =
            read(client.door(served(Head::default(), None)).oneshot(client.post(client.whole)).await.unwrap()).await;
        assert!(!headers.contains_key("x-llm-cost-usd"));
        assert!(!headers.contains_key("x-llm-cache"), "no cache was asked");
        assert_eq!(headers["x-llm-served"], "first-choice");
    }
}

#[tokio::test]
async fn a_cost_that_is_known_in_part_is_not_told() {
    for client in CLIENTS {
        let door = client.door(service(|request| async move {
            let trail = request.context().trail();
            for (number, cost) in [(0, None), (1, Some(NanoUsd(5)))] {
                trail.update(number, |attempt| {
                    attempt.usage = Some(Usage::reported(10, 5));
                    attempt.cost = cost;
                });
            }
            Ok(Output::text("ok").into())
        }));
        let (_, headers, _) = read(door.oneshot(client.post(client.whole)).await.unwrap()).await;
        assert_eq!(headers["x-llm-attempts"], "2");
        assert!(!headers.contains_key("x-llm-cost-usd"));
    }
}

#[tokio::test]
async fn what_a_cache_answers_costs_nothing_but_what_was_tried_before() {
    let age = Duration::from_secs(3);
    let rows = [
        (CacheStatus::Hit { age }, "hit", false, true),
        (CacheStatus::Joined, "joined", false, true),
        (CacheStatus::Stale { age }, "stale", false, true),
        (CacheStatus::Stale { age }, "stale", true, false),
    ];
    for (client, (cache, named, is_after_another, is_told)) in
        CLIENTS.iter().flat_map(|client| rows.map(|row| (client, row)))
    {
        let service = service(move |request| async move {
            if is_after_another {
                request.context().trail().update(0, |attempt| attempt.usage = Some(Usage::reported(10, 5)));
            }
            Ok(LlmResponse::new(Head { cache, ..Head::default() }, Body::full(Output::text("ok"))))
        });
        let (_, headers, _) = read(client.door(service).oneshot(client.post(client.whole)).await.unwrap()).await;
        assert_eq!(headers["x-llm-cache"], named);
        let cost = headers.get("x-llm-cost-usd").map(|cost| cost.to_str().unwrap().parse::<f64>().unwrap());
        assert_eq!(cost, is_told.then_some(0.0), "{named}, after another: {is_after_another}");
    }
}

#[tokio::test]
async fn the_requests_own_id_is_sent_back_unless_it_is_absurd() {
    for client in CLIENTS {
        for (id, is_kept) in [("abc-123".to_owned(), true), ("a".repeat(129), false), (String::new(), false)] {
            let mut request = client.post(client.whole);
            request.headers_mut().insert("x-request-id", id.parse().unwrap());
            let (_, headers, _) = read(client.door(says("ok")).oneshot(request).await.unwrap()).await;
            assert_eq!(headers["x-request-id"] == id, is_kept, "{id}");
            let bare = headers.get("request-id");
            match client.dialect {
                Dialect::OpenAi => assert_eq!(bare, None),
                Dialect::Anthropic => assert_eq!(bare, headers.get("x-request-id")),
            }
        }
    }
}

#[tokio::test]
async fn a_foreign_error_of_the_inner_service_is_one_of_ours() {
    for client in CLIENTS {
        let inner =
            tower::service_fn(|_: LlmRequest| async { Err::<LlmResponse, _>(tower::BoxError::from("secret text")) });
        let response = client.door(inner).oneshot(client.post(client.whole)).await.unwrap();
        let (_, error) = client.assert_refused(response, 500).await;
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn debug_shows_no_content() {
    for client in CLIENTS {
        let door = client.door(says("canary"));
        let response = door.clone().oneshot(client.post(client.whole)).await.unwrap();
        assert!(!format!("{door:?} {response:?}").contains("canary"));
        assert!(!format!("{:?}", Frame::text("canary")).contains("canary"));
    }
}

#[tokio::test]
async fn every_attempt_is_told_in_a_header_and_in_the_message_of_a_failure() {
    fn note(request: &LlmRequest, end: AttemptEnd) {
        let trail = request.context().trail();
        let targets = [Target::new("acme", "large").with_key("second"), Target::new("zeta", "small")];
        let reasons = [Again::First, Again::Failover];
        for (number, (target, reason)) in (0..).zip(targets.iter().zip(reasons)) {
            trail.begin(Attempt { number, reason, waited: Duration::from_millis(40) }, Some(target));
        }
        trail.update(0, |attempt| attempt.end = Some(AttemptEnd::Failed(ErrorKind::Overloaded)));
        trail.update(1, |attempt| attempt.end = Some(end));
    }
    const FIRST: &str = "\"acme/large\";waited=40;end=overloaded, \"zeta/small\";why=failover;waited=40;end=";
    for client in CLIENTS {
        let answering = service(move |request| async move {
            note(&request, AttemptEnd::Complete);
            Ok(Output::text("ok").into())
        });
        let (_, headers, _) = read(client.door(answering).oneshot(client.post(client.whole)).await.unwrap()).await;
        assert_eq!(headers["x-llm-trail"], format!("{FIRST}complete"));

        let failing = service(move |request| async move {
            note(&request, AttemptEnd::Failed(ErrorKind::RateLimited));
            let error = Error::new(ErrorKind::RateLimited, "the provider limits our rate");
            Err::<LlmResponse, _>(error.with_retry_after(Duration::from_secs(7)))
        });
        let response = client.door(failing.clone()).oneshot(client.post(client.whole)).await.unwrap();
        let (headers, error) = client.assert_refused(response, 429).await;
        assert_eq!(headers["x-llm-trail"], format!("{FIRST}rate_limited"));
        assert_eq!(headers["retry-after"], "7");
        let listed = "the provider limits our rate; attempts: acme/large overloaded, zeta/small rate_limited";
        assert_eq!(error["message"], listed);

        let quiet = client.door(failing).options(DoorOptions::new().provenance_headers(false));
        let (headers, error) =
            client.assert_refused(quiet.oneshot(client.post(client.whole)).await.unwrap(), 429).await;
        assert!(!headers.contains_key("x-llm-trail"));
        assert_eq!(error["message"], "the provider limits our rate");
    }
}
