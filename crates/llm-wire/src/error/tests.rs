//! Bodies, words, messages and advice, whoever the provider.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_core::{Detail, ErrorKind};
use proptest::prelude::*;

use super::{decode, decode_in_band};

mod providers;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()))
        .collect()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_755_614_071)
}

fn message(status: u16, message: &str) -> String {
    let body = serde_json::json!({ "error": { "message": message } }).to_string();
    decode(status, &headers(&[]), body.as_bytes(), now()).message().to_owned()
}

#[test]
fn an_answer_is_no_error() {
    let answers = [
        r#"{"id":"c","object":"chat.completion","choices":[{"message":{"content":"\"error\" {\"error\":1}"}}]}"#,
        r#"{"id":"r","object":"response","error":null,"output":[]}"#,
        r#"{"error":{},"x"#,
        r#"{"choices":[{"finish_reason":"error"}]}"#,
        r#"{"detail":"high","message":"hello","code":400}"#,
        r#"{"error":false}"#,
        r#"{"error":""}"#,
        r#"{"error":{}}"#,
        r#"{"type":"response.completed","response":{"error":null}}"#,
        r#"[{"error":{"code":500}},{"error":{"code":500}}]"#,
        "[DONE]",
        "",
    ];
    for answer in answers {
        assert!(decode_in_band(answer.as_bytes()).is_none(), "{answer}");
    }
}

#[test]
fn an_error_of_ours_keeps_what_the_provider_called_it() {
    let body = br#"{"error":{"message":"m","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    let error = decode(400, &headers(&[]), body, now());
    let detail = Detail {
        kind: Some("invalid_request_error".into()),
        code: Some("context_length_exceeded".into()),
        param: Some("messages".into()),
    };
    assert_eq!(error.detail(), Some(&detail));
    assert_eq!(error.status(), Some(400));
    let flat = decode_in_band(br#"{"type":"error","code":"server_error","message":"m"}"#).unwrap();
    assert_eq!(flat.detail(), Some(&Detail { code: Some("server_error".into()), ..Detail::default() }));
    assert!(decode(502, &headers(&[]), b"", now()).detail().is_none());
}

#[test]
fn the_other_sides_word_on_retrying_wins() {
    let retry = |status, word, body: &[u8]| decode(status, &headers(&[("x-should-retry", word)]), body, now());
    assert!(!retry(500, "false", b"").is_retryable());
    assert!(retry(400, "true", b"").is_retryable());
    assert_eq!(retry(400, "true", b"").kind(), ErrorKind::InvalidRequest);
    assert_eq!(retry(500, "perhaps", b"").should_retry(), None);
    assert_eq!(decode(402, &headers(&[]), b"", now()).should_retry(), Some(false));
}

#[test]
fn the_first_advice_that_makes_sense_is_taken() {
    const BODY: &str = r#"{"error":{"message":"Please try again in 4s","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3s"}]}}"#;
    const RESET: [(&str, &str); 2] = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "5s")];
    let advice = |status, pairs: &[(&str, &str)], body: &str| {
        let pairs: Vec<_> = pairs.iter().chain(&RESET).copied().collect();
        decode(status, &headers(&pairs), body.as_bytes(), now()).retry_after().map(|wait| wait.as_millis())
    };
    assert_eq!(advice(429, &[("retry-after-ms", "1000"), ("retry-after", "2")], BODY), Some(1000));
    assert_eq!(advice(429, &[("retry-after-ms", "-1"), ("retry-after", "2")], BODY), Some(2000));
    assert_eq!(advice(429, &[("retry-after", "0")], BODY), Some(3000));
    assert_eq!(advice(429, &[], &BODY.replace("\"3s\"", "\"0s\"")), Some(4000));
    assert_eq!(advice(429, &[], &BODY.replace("\"3s\"", "\"\"").replace("4s", "soon")), Some(5000));
    assert_eq!(advice(429, &[], ""), Some(5000));
    assert_eq!(advice(503, &[], ""), None, "a reset is a hint on a 429 only");
    assert_eq!(advice(503, &[("retry-after", "2")], ""), Some(2000));
    assert_eq!(advice(400, &[("retry-after", "2")], ""), None, "nothing to come back for");
    let told_not_to = [("retry-after", "2"), ("x-should-retry", "false")];
    assert_eq!(advice(429, &told_not_to, ""), Some(2000), "a breaker still wants to know");
    assert_eq!(advice(402, &[("retry-after", "2")], BODY), Some(2000));
    assert_eq!(advice(402, &[], BODY), None, "the body's hint is about the rate, not the money");
}

#[test]
fn a_reset_of_a_limit_that_is_not_exhausted_is_no_advice() {
    let headers = headers(&[("x-ratelimit-remaining-requests", "1"), ("x-ratelimit-reset-requests", "5s")]);
    assert_eq!(decode(429, &headers, b"", now()).retry_after(), None);
}

#[test]
fn the_callers_fault_is_told_in_the_providers_words() {
    assert_eq!(message(400, "temperature must be at most 2"), "temperature must be at most 2");
    assert_eq!(message(404, "no model x"), "no model x");
    assert_eq!(message(413, "at most 32 MB"), "at most 32 MB");
    assert_eq!(message(400, ""), "the provider refused the request as invalid");
    let text = decode(413, &headers(&[]), b"Payload Too Large", now());
    assert_eq!(text.message(), "Payload Too Large");
    let html = decode(413, &headers(&[]), b"<html>nginx</html>", now());
    assert_eq!(html.message(), "the request is too large for the provider");
    let list = br#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"field required","input":"canary"}]}"#;
    assert_eq!(decode(422, &headers(&[]), list, now()).message(), "messages.0.role: field required");
}

#[test]
fn all_other_failures_are_told_in_ours() {
    for status in [401, 402, 403, 408, 409, 429, 498, 499, 500, 502, 503, 504, 529, 302] {
        let told = message(status, "canary");
        assert!(!told.contains("canary") && !told.is_empty(), "{status}: {told}");
    }
}

#[test]
fn nothing_that_looks_like_a_key_is_told() {
    let secrets = [
        "sk-proj-abcDEF123",
        "sk-ab***",
        "gsk_abc",
        "xai-abc",
        "AIzaSyA1",
        "org-Qk3",
        "0123456789abcdef0123456789abcdef",
        "ab***yz",
        "Zm9vYmFyMTIzNDU2Nzg5MGFiYw==",
    ];
    for secret in secrets {
        for text in [format!("bad {secret}"), format!("bad '{secret}', sorry"), format!("at https://h/x?key={secret}")]
        {
            let told = message(400, &text);
            assert!(!told.contains(secret) && told.contains("[redacted]"), "{text} -> {told}");
        }
    }
    assert_eq!(
        message(400, "header Authorization: Bearer abc.def is bad"),
        "header Authorization: Bearer [redacted] is bad"
    );
    let plain = "model claude-3-5-sonnet-20241022 (meta-llama/Llama-3.1-70B) takes at most 200000 tokens";
    assert_eq!(message(400, plain), plain);
    let code = br#"{"error":{"message":"m","code":"sk-abc","param":"x","type":"0123456789abcdef0123456789abcdef"}}"#;
    let error = decode(400, &headers(&[]), code, now());
    assert_eq!(error.detail(), Some(&Detail { param: Some("x".into()), ..Detail::default() }));
}

#[test]
fn a_message_is_one_bounded_line_without_control_characters() {
    assert_eq!(message(400, "a\r\nb\u{1b}[31mc\u{7}\td\0"), "a  b[31mc d");
    let told = message(400, &"é ".repeat(5000));
    assert_eq!(told.chars().count(), 512);
    assert!(told.ends_with('…'));
}

#[test]
fn what_repeats_the_prompt_or_the_answer_is_never_shown() {
    let bodies = [
        (400, r#"{"error":{"message":"m","code":"tool_use_failed","failed_generation":"canary"}}"#),
        (403, r#"{"error":{"code":403,"message":"m","metadata":{"reasons":["r"],"flagged_input":"canary"}}}"#),
        (422, r#"{"detail":[{"loc":["body"],"msg":"m","type":"t","input":"canary"}]}"#),
        (500, r#"{"error":{"message":"canary"}}"#),
        (400, r#"{"error":{"message":"[{'type': 'missing', 'loc': ('body',), 'input': {'messages': 'canary'}}]"}}"#),
        (400, r#"{"error":{"message":"1 validation error [type=x, input_value='canary', input_type=str]"}}"#),
    ];
    for (status, body) in bodies {
        let error = decode(status, &headers(&[("retry-after", "canary")]), body.as_bytes(), now());
        assert!(!format!("{error:?} {error} {:?}", error.detail()).contains("canary"), "{body}");
    }
}

#[test]
fn a_caller_cannot_open_a_circuit_by_what_a_message_quotes() {
    for quoted in
        ["overloaded", "Incorrect API key provided", "high demand", "You have reached your specified API usage limits"]
    {
        let body = serde_json::json!({ "error": { "message": format!("cannot parse '{quoted}'") } }).to_string();
        let error = decode(400, &headers(&[]), body.as_bytes(), now());
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{quoted}");
    }
}

#[test]
fn bodies_within_bodies_are_read_to_a_bound() {
    let mut body = r#"{"error":{"code":"context_length_exceeded"}}"#.to_owned();
    for _ in 0..3 {
        body = serde_json::json!({ "error": { "message": body } }).to_string();
    }
    assert_eq!(decode(400, &headers(&[]), body.as_bytes(), now()).kind(), ErrorKind::ContextLength);
    let body = serde_json::json!({ "error": { "message": body } }).to_string();
    assert_eq!(decode(400, &headers(&[]), body.as_bytes(), now()).kind(), ErrorKind::InvalidRequest);
}

#[test]
fn a_crowd_of_headers_in_a_body_does_no_harm() {
    let crowd: serde_json::Map<_, _> = (0..40_000).map(|n| (format!("x-{n}"), "1".into())).collect();
    let body = serde_json::json!({ "error": { "code": 429, "metadata": { "headers": crowd } } }).to_string();
    assert_eq!(decode(429, &headers(&[]), body.as_bytes(), now()).kind(), ErrorKind::RateLimited);
}

/// JSON with the names that mean something here.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        prop::sample::select(vec![
            "error",
            "{\"error\":{}}",
            "[[]]",
            "limit: ",
            "please retry in 9e9s",
            "PerDay",
            "Bearer  "
        ])
        .prop_map(Into::into),
    ];
    let name = prop::sample::select(vec![
        "error",
        "message",
        "type",
        "code",
        "status",
        "param",
        "detail",
        "details",
        "@type",
        "violations",
        "quotaId",
        "metadata",
        "raw",
        "headers",
        "response",
        "retryDelay",
        "innererror",
        "loc",
        "msg",
        "object",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::hash_map(name.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_make_a_failure(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let error = decode(status, &headers(&[]), &body, now());
        prop_assert!(error.message().chars().count() <= 512);
        let _ = decode_in_band(&body);
    }

    #[test]
    fn any_json_makes_a_failure_with_a_clean_message(status in 400_u16..600, body in json()) {
        let body = body.to_string();
        let failed = decode(status, &headers(&[]), body.as_bytes(), now());
        for error in decode_in_band(body.as_bytes()).into_iter().chain([failed]) {
            prop_assert!(!error.message().is_empty() && error.message().chars().count() <= 512);
            prop_assert!(!error.message().chars().any(char::is_control));
            prop_assert!(error.retry_after().is_none_or(|wait| !wait.is_zero()));
        }
    }
}
