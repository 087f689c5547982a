//! What becomes of whole answers, and of answers that are none.

use std::{sync::Arc, time::Duration};

use crate::{
    speech,
    support::{Http, Step, data, layer, streamed, whole},
};
use futures_util::FutureExt;
use llm_core::{
    Again, AttemptEnd, Dialect, Error, ErrorKind, NanoUsd, Phase, Provenance, Target, Usage, catalog::Catalog,
};
use llm_providers::{Key, KeyConfig, ProviderConfig, ProviderLayer};
use tower::{BoxError, Layer, ServiceExt, service_fn};

const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"small-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":20,"total_tokens":1020}}"#;

async fn failure(http: &Http) -> Error {
    let error = http.ask(whole()).await.expect_err("it must fail");
    assert_eq!(error.target(), Some(&Target::new("p", "small")));
    assert!(error.trail().is_some());
    error
}

#[tokio::test]
async fn a_whole_answer_keeps_its_bytes_and_its_head() {
    for speech in &speech::ALL {
        let (first, second) = speech.whole.split_at(40);
        let (id, left) = speech.headers;
        let http = Http::new(200, "application/json; charset=utf-8", [data(first), data(second)])
            .header(id, "req_1")
            .header(left, "59")
            .header("retry-after", "30");
        let request = whole();
        let trail = request.context().trail();
        let response = http.ask_in(speech, request).await.unwrap();
        let head = &response.head;
        assert_eq!((head.id.as_deref(), head.model.as_deref()), (Some("a1"), Some("small-1")));
        assert_eq!(head.created, (speech.dialect == Dialect::OpenAi).then_some(7));
        assert_eq!(head.request_id.as_deref(), Some("req_1"));
        assert_eq!(head.rate_limits.as_ref().unwrap().requests.remaining, Some(59));
        let wire = response.body.wire().unwrap();
        assert_eq!((wire.dialect, &wire.bytes[..]), (speech.dialect, speech.whole.as_bytes()));
        assert_eq!(response.body.collect().await.unwrap().first_text(), "Gr\u{fc}ezi");
        let attempt = &trail.attempts()[0];
        assert_eq!((attempt.end, attempt.usage), (Some(AttemptEnd::Complete), Some(Usage::reported(9, 3))));
    }
}

#[tokio::test]
async fn a_stream_request_may_be_answered_with_a_whole_answer() {
    for speech in &speech::ALL {
        for content_type in ["application/json", "application/octet-stream", ""] {
            let http = Http::new(200, content_type, [data("\n"), data(" \r\n"), data(speech.whole)]);
            let response = http.ask_in(speech, streamed()).await.unwrap();
            assert_eq!(response.body.as_full().expect(content_type).first_text(), "Gr\u{fc}ezi");
        }
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    for speech in &speech::ALL {
        for (content_type, request) in
            [("application/json", whole()), ("application/json", streamed()), ("", streamed())]
        {
            let http = Http::new(200, content_type, [data(speech.throttled)]);
            assert_eq!(http.ask_in(speech, request).await.unwrap_err().kind(), ErrorKind::RateLimited);
        }
    }
}

#[tokio::test]
async fn a_key_that_the_provider_repeats_reaches_nobody() {
    const KEY: &str = "my-own-vllm-key";
    let said = format!(
        r#"{{"error":{{"message":"no access for {KEY}","type":"invalid_request_error","code":"{KEY}","param":"{KEY}"}}}}"#
    );
    for (status, content_type, body, request) in [
        (400, "application/json", said.clone(), whole()),
        (200, "application/json", said.clone(), whole()),
        (200, "text/event-stream", format!("data: {said}\n\n"), streamed()),
        (200, "text/event-stream", said.clone(), streamed()),
    ] {
        let http = Http::new(status, content_type, [data(body)]);
        let provider = layer().key(Key::new("own", &KEY.into()).unwrap()).layer(http);
        let failed = match provider.oneshot(request).await {
            Ok(response) => response.body.collect().await,
            Err(error) => Err(error),
        };
        let error = failed.expect_err("it must fail");
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, "no access for [redacted]"));
        assert!(!format!("{error:?}").contains(KEY) && error.detail().is_none_or(|detail| detail.code.is_none()));
    }
}

#[tokio::test]
async fn a_status_is_classified_with_its_body_and_its_advice() {
    let http = Http::new(429, "application/json", [data(r#"{"error":{"code":"rate_limit_exceeded"}}"#)])
        .header("retry-after", "3");
    let error = failure(&http).await;
    assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimited, Some(429)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));

    let http = Http::new(429, "application/json", [data(r#"{"error":{"type":"insufficient_quota"}}"#)]);
    assert_eq!(failure(&http).await.kind(), ErrorKind::QuotaExhausted);
    assert_eq!(failure(&Http::new(503, "text/html", [data("<html>")])).await.kind(), ErrorKind::Overloaded);
    assert_eq!(failure(&Http::new(502, "", [Step::Break])).await.kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn an_error_body_that_hangs_or_never_ends_does_not_hide_the_status() {
    let begun = tokio::time::Instant::now();
    let error = failure(&Http::new(500, "application/json", [data("{"), Step::Hang])).await;
    assert_eq!(error.kind(), ErrorKind::Server);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));

    let endless = std::iter::repeat_n(data([b'x'; 16 << 10]), 100).chain([Step::Hang]);
    assert_eq!(failure(&Http::new(500, "text/plain", endless)).await.kind(), ErrorKind::Server);
    assert_eq!(begun.elapsed(), Duration::from_secs(5), "what is over the limit is not read");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 307, 308] {
        let http = Http::new(status, "", []).header("location", "https://elsewhere.example/");
        let error = failure(&http).await;
        assert_eq!((error.kind(), error.status()), (ErrorKind::Undecodable, Some(status)));
        assert_eq!(http.seen.lock().unwrap().requests.len(), 1);
    }
}

#[tokio::test]
async fn broken_compressed_and_oversize_answers_are_undecodable() {
    assert_eq!(failure(&Http::json("{\"choices\":[")).await.kind(), ErrorKind::Undecodable);
    assert_eq!(failure(&Http::new(200, "text/html", [data("<html>")])).await.kind(), ErrorKind::Undecodable);
    let compressed = Http::json(ANSWER).header("content-encoding", "gzip");
    assert_eq!(failure(&compressed).await.kind(), ErrorKind::Undecodable);

    let mut config = ProviderConfig::new("openai");
    config.keys = vec![KeyConfig::new("a", "sk-a")];
    config.max_answer_bytes = Some(ANSWER.len());
    let fits = ProviderLayer::try_from(config.clone()).unwrap().layer(Http::json(ANSWER));
    fits.oneshot(whole()).await.unwrap();
    config.max_answer_bytes = Some(ANSWER.len() - 1);
    let too_long = ProviderLayer::try_from(config).unwrap().layer(Http::json(ANSWER));
    assert_eq!(too_long.oneshot(whole()).await.unwrap_err().kind(), ErrorKind::Undecodable);
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_interrupted() {
    let error = failure(&Http::new(200, "application/json", [data("{\"id\":"), Step::Break])).await;
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn an_http_clients_own_error_keeps_its_meaning_and_any_other_is_a_broken_connection() {
    let late = Error::new(ErrorKind::Timeout(Phase::Total), "late");
    let errors: [(BoxError, ErrorKind); 3] = [
        (Box::new(late), ErrorKind::Timeout(Phase::Total)),
        (Box::new(tower::timeout::error::Elapsed::new()), ErrorKind::Timeout(Phase::Head)),
        ("reset".into(), ErrorKind::Interrupted),
    ];
    for (source, kind) in errors {
        let source = std::sync::Mutex::new(Some(source));
        let source = Arc::new(source);
        let http = service_fn(move |_| {
            let source = source.lock().unwrap().take().unwrap();
            async move { Err::<http::Response<http_body_util::Full<bytes::Bytes>>, _>(source) }
        });
        let error = layer().layer(http).oneshot(whole()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

fn priced() -> ProviderLayer {
    let facts = "[[models]]\nprovider = \"p\"\nname = \"small\"\ninput = 1.0\noutput = 2.0\n";
    layer().catalog(Arc::new(Catalog::from_toml(facts).unwrap()))
}

#[tokio::test]
async fn the_trail_tells_where_an_attempt_went_what_it_used_and_what_it_cost() {
    let mut request = whole();
    request.context_mut().begin_attempt(Again::Retry, Duration::from_millis(250));
    let trail = request.context().trail();
    priced().layer(Http::json(ANSWER)).oneshot(request).await.unwrap();
    let attempts = trail.attempts();
    let attempt = &attempts[0];
    assert_eq!((attempt.number, attempt.reason, attempt.waited), (1, Again::Retry, Duration::from_millis(250)));
    assert_eq!(attempt.target, Some(Target::new("p", "small")));
    assert_eq!(attempt.end, Some(AttemptEnd::Complete));
    assert_eq!(attempt.usage, Some(Usage::reported(1_000, 20)));
    assert_eq!(attempt.cost, Some(NanoUsd(1_040_000)));
}

#[tokio::test]
async fn where_no_usage_is_reported_it_is_estimated_from_prompt_and_answer() {
    let request = whole();
    let trail = request.context().trail();
    let (silent, _) = ANSWER.split_once(",\"usage\"").unwrap();
    Http::json(&format!("{silent}}}")).ask(request).await.unwrap();
    let usage = trail.attempts()[0].usage.unwrap();
    assert_eq!(usage.provenance, Provenance::Estimated);
    assert!(usage.input > 0 && usage.output > 0);
}

#[tokio::test]
async fn without_a_price_the_trail_tells_no_cost() {
    let request = whole();
    let trail = request.context().trail();
    Http::json(ANSWER).ask(request).await.unwrap();
    assert_eq!(trail.attempts()[0].cost, None);
}

#[tokio::test]
async fn what_a_provider_refuses_costs_nothing() {
    let request = whole();
    let trail = request.context().trail();
    priced().layer(Http::new(500, "", [])).oneshot(request).await.unwrap_err();
    let attempts = trail.attempts();
    assert_eq!(attempts[0].end, Some(AttemptEnd::Failed(ErrorKind::Server)));
    assert_eq!(attempts[0].cost, Some(NanoUsd::ZERO));
}

#[tokio::test]
async fn an_attempt_dropped_before_its_head_counts_its_prompt() {
    let request = whole();
    let trail = request.context().trail();
    let never =
        service_fn(|_| std::future::pending::<Result<http::Response<http_body_util::Full<bytes::Bytes>>, Error>>());
    let mut call = Box::pin(priced().layer(never).oneshot(request));
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    assert_eq!(trail.attempts()[0].end, None);
    drop(call);
    let attempt = &trail.attempts()[0];
    assert_eq!(attempt.end, Some(AttemptEnd::Abandoned));
    let usage = attempt.usage.unwrap();
    assert_eq!(usage.provenance, Provenance::Estimated);
    assert!(usage.input > 0 && usage.output == 0);
    assert!(attempt.cost > Some(NanoUsd::ZERO));
}

#[tokio::test]
async fn an_http_client_that_panics_when_it_is_called_leaves_no_attempt_open() {
    let request = whole();
    let trail = request.context().trail();
    let broken =
        service_fn(|_| -> std::future::Ready<Result<http::Response<http_body_util::Full<bytes::Bytes>>, Error>> {
            panic!("the client is broken")
        });
    let call = std::panic::AssertUnwindSafe(priced().layer(broken).oneshot(request));
    assert!(call.catch_unwind().await.is_err(), "the panic is passed on");
    let attempt = &trail.attempts()[0];
    assert_eq!(attempt.end, Some(AttemptEnd::Failed(ErrorKind::Internal)));
    assert_eq!((attempt.usage, attempt.cost), (Some(Usage::estimated(0, 0)), Some(NanoUsd::ZERO)));
}
