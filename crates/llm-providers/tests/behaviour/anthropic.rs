//! What is peculiar to providers that speak Anthropic's dialect, and to what came in it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    speech::{ANTHROPIC, OPENAI},
    support::{Http, chat, data, whole},
};
use bytes::Bytes;
use http::HeaderMap;
use llm_core::{
    AttemptEnd, ErrorKind, LlmRequest, LlmResponse, NanoUsd, Output, Payload, Provenance, Target, TokenCount, Usage,
    catalog::Catalog, estimate_prompt,
};
use llm_providers::{Auth, KeyConfig, Provider, ProviderConfig, ProviderDialect, ProviderLayer};
use llm_wire::anthropic::{self, Betas};
use tower::{Layer, Service, ServiceExt};

fn config() -> ProviderConfig {
    let mut config = ProviderConfig::new("anthropic");
    config.keys = vec![KeyConfig::new("team", "sk-team"), KeyConfig::new("spare", "sk-spare")];
    config
}

fn provider(config: ProviderConfig) -> (Http, Provider<Http>) {
    let http = Http::json(ANTHROPIC.whole);
    let provider = ProviderLayer::try_from(config).unwrap().layer(http.clone());
    (http, provider)
}

fn messages(body: &'static str) -> LlmRequest {
    anthropic::decode_messages(Bytes::from_static(body.as_bytes())).unwrap()
}

const MESSAGES: &str = r#"{"model":"small","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;

fn count() -> LlmRequest {
    anthropic::decode_count_tokens(Bytes::from_static(
        br#"{"model":"small","messages":[{"role":"user","content":"How many tokens are in this sentence?"}]}"#,
    ))
    .unwrap()
}

fn with_betas(mut request: LlmRequest, names: &'static str) -> LlmRequest {
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-beta", names.parse().unwrap());
    request.extensions_mut().insert(Betas::from_headers(&headers).unwrap().unwrap());
    request
}

fn headers(http: &Http) -> BTreeMap<String, String> {
    let sent = http.last_request();
    sent.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn exactly_these_headers_are_sent_and_none_of_the_callers() {
    let mut config = config();
    config.headers = BTreeMap::from([("X-Team".to_owned(), "blue".to_owned())]);
    let (http, provider) = provider(config);
    let mut request = messages(MESSAGES);
    let mut callers = HeaderMap::new();
    callers.insert("x-api-key", "sk-caller".parse().unwrap());
    callers.insert("anthropic-version", "1999-01-01".parse().unwrap());
    request.extensions_mut().insert(callers);
    provider.oneshot(request).await.unwrap();
    let agent = concat!("llm-providers/", env!("CARGO_PKG_VERSION"));
    let expected = [
        ("accept", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("content-type", "application/json"),
        ("user-agent", agent),
        ("x-api-key", "sk-team"),
        ("x-team", "blue"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers(&http), BTreeMap::from(expected));
    assert!(http.last_request().headers()["x-api-key"].is_sensitive());
    assert_eq!(http.last_request().uri(), "https://api.anthropic.com/v1/messages");
    assert_eq!(http.last_request().method(), "POST");
}

#[tokio::test]
async fn a_version_of_the_configurations_own_is_sent_instead() {
    let mut config = config();
    config.headers = BTreeMap::from([("Anthropic-Version".to_owned(), "2030-01-01".to_owned())]);
    let (http, provider) = provider(config);
    provider.oneshot(whole()).await.unwrap();
    assert_eq!(headers(&http)["anthropic-version"], "2030-01-01");
}

#[tokio::test]
async fn a_token_of_oauth_is_sent_as_a_bearer() {
    let mut config = config();
    config.auth = Some(Auth::Bearer);
    let (http, provider) = provider(config);
    let mut request = whole();
    request.context_mut().set_target(Target::new("anthropic", "small").with_key("spare"));
    provider.oneshot(request).await.unwrap();
    assert_eq!(headers(&http)["authorization"], "Bearer sk-spare");
    assert!(!http.last_request().headers().contains_key("x-api-key"));
}

#[tokio::test]
async fn a_base_url_may_end_in_the_version_or_not() {
    for (base_url, expected) in [
        ("https://p.example", "https://p.example/v1/messages"),
        ("https://p.example/v1", "https://p.example/v1/messages"),
        ("https://p.example/v1/", "https://p.example/v1/messages"),
        ("https://api.deepseek.com/anthropic", "https://api.deepseek.com/anthropic/v1/messages"),
    ] {
        let mut config = config();
        config.name = "deepseek".to_owned();
        config.dialect = Some(ProviderDialect::Anthropic);
        config.base_url = Some(base_url.to_owned());
        let (http, provider) = provider(config);
        provider.clone().oneshot(whole()).await.unwrap();
        assert_eq!(http.last_request().uri(), expected);
        assert_eq!(headers(&http)["x-api-key"], "sk-team");
        let counted = provider.oneshot(count()).await;
        assert_eq!(http.last_request().uri().to_string(), format!("{expected}/count_tokens"));
        assert_eq!(counted.unwrap_err().kind(), ErrorKind::Undecodable, "a message is no count");
    }
}

#[tokio::test]
async fn the_callers_own_bytes_are_sent_with_only_the_model_spliced_in() {
    let http = Http::json(ANTHROPIC.whole);
    let mut request = messages(
        r#"{ "model":"mine",  "max_tokens": 16,"messages":[{"role":"user","content":"hi","x":{"b":1,"a":1.0}}],"temperature":1.00e0,"odd":12345678901234567890123 }"#,
    );
    request.context_mut().set_target(Target::new("p", "theirs-1"));
    http.ask_in(&ANTHROPIC, request).await.unwrap();
    assert_eq!(
        http.last_request().body(),
        r#"{ "model":"theirs-1",  "max_tokens": 16,"messages":[{"role":"user","content":"hi","x":{"b":1,"a":1.0}}],"temperature":1.00e0,"odd":12345678901234567890123 }"#
    );
}

fn sent_json(http: &Http) -> String {
    String::from_utf8(http.last_request().body().to_vec()).unwrap()
}

#[tokio::test]
async fn what_came_in_openais_dialect_is_translated() {
    let http = Http::json(ANTHROPIC.whole);
    let request = chat(
        r#"{"model":"small","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],"max_completion_tokens":16,"seed":7}"#,
    );
    let trail = request.context().trail();
    let response = http.ask_in(&ANTHROPIC, request).await.unwrap();
    assert_eq!(response.body.collect().await.unwrap().first_text(), "Gr\u{fc}ezi");
    let sent = sent_json(&http);
    assert!(sent.contains(r#""max_tokens":16"#) && sent.contains(r#""system":"#), "{sent}");
    assert!(!sent.contains("seed"), "{sent}");
    assert!(trail.left_out().iter().any(|field| &**field == "seed"), "{:?}", trail.left_out());
}

#[tokio::test]
async fn what_came_in_anthropics_dialect_is_translated_for_others() {
    let http = Http::json(OPENAI.whole);
    let response = http.ask_in(&OPENAI, messages(MESSAGES)).await.unwrap();
    assert_eq!(response.body.collect().await.unwrap().first_text(), "Gr\u{fc}ezi");
    let sent = sent_json(&http);
    assert!(sent.contains(r#""max_completion_tokens":16"#) && !sent.contains("max_tokens"), "{sent}");
}

#[tokio::test]
async fn what_cannot_be_said_in_the_dialect_is_refused_without_a_call() {
    let http = Http::json(ANTHROPIC.whole);
    let request = chat(r#"{"model":"small","messages":[{"role":"user","content":"hi"}],"n":2}"#);
    let trail = request.context().trail();
    let error = http.ask_in(&ANTHROPIC, request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untranslatable);
    assert_eq!(error.target().unwrap().to_string(), "p/small");
    assert_eq!(trail.attempts()[0].end, Some(AttemptEnd::Failed(ErrorKind::Untranslatable)));
    assert!(http.seen.lock().unwrap().requests.is_empty());
}

#[tokio::test]
async fn a_caller_who_sets_no_limit_gets_the_models_maximum_if_it_is_known() {
    let facts = "[[models]]\nprovider = \"p\"\nname = \"small\"\nmax_output = 64000\n";
    let catalog = Arc::new(Catalog::from_toml(facts).unwrap());
    let http = Http::json(ANTHROPIC.whole);
    let ask = |layer: ProviderLayer, ceiling: Option<u64>, asked: Option<u64>| {
        let mut request = whole();
        if let Payload::Chat(chat) = request.payload_mut() {
            chat.max_output_tokens = asked;
        }
        if let Some(ceiling) = ceiling {
            request.context_mut().lower_output_ceiling(ceiling);
        }
        layer.layer(http.clone()).oneshot(request)
    };
    let with_facts = ANTHROPIC.layer().catalog(catalog);
    for (layer, ceiling, asked, expected) in [
        (&ANTHROPIC.layer(), None, None, 4_096),
        (&with_facts, None, None, 64_000),
        (&with_facts, Some(2_000), None, 2_000),
        (&with_facts, Some(2_000), Some(500), 500),
        (&with_facts, None, Some(500), 500),
    ] {
        ask(layer.clone(), ceiling, asked).await.unwrap();
        let sent = sent_json(&http);
        assert!(
            sent.contains(&format!("\"max_tokens\":{expected},"))
                || sent.contains(&format!("\"max_tokens\":{expected}}}")),
            "{expected}: {sent}"
        );
    }
}

#[tokio::test]
async fn features_that_the_caller_turns_on_are_sent_behind_the_configured_ones() {
    let mut config = config();
    let (http, plain) = provider(config.clone());
    plain.oneshot(with_betas(messages(MESSAGES), "one-2025-01-01, two-2025-01-01")).await.unwrap();
    assert_eq!(headers(&http)["anthropic-beta"].replace(' ', ""), "one-2025-01-01,two-2025-01-01");

    config.headers = BTreeMap::from([("anthropic-beta".to_owned(), "zero-2025-01-01, two-2025-01-01".to_owned())]);
    let (http, configured) = provider(config);
    let request = with_betas(messages(MESSAGES), "one-2025-01-01,two-2025-01-01");
    let trail = request.context().trail();
    configured.clone().oneshot(request).await.unwrap();
    assert_eq!(headers(&http)["anthropic-beta"], "zero-2025-01-01,two-2025-01-01,one-2025-01-01");
    assert!(trail.left_out().is_empty());
    let _ = configured.clone().oneshot(with_betas(count(), "one-2025-01-01")).await;
    assert_eq!(headers(&http)["anthropic-beta"], "zero-2025-01-01,two-2025-01-01,one-2025-01-01");
    configured.oneshot(messages(MESSAGES)).await.unwrap();
    assert_eq!(headers(&http)["anthropic-beta"], "zero-2025-01-01, two-2025-01-01", "as it was configured");
}

#[tokio::test]
async fn features_are_left_out_where_their_dialect_is_not_spoken_and_the_trail_says_so() {
    let http = Http::json(OPENAI.whole);
    let request = with_betas(messages(MESSAGES), "one-2025-01-01");
    let trail = request.context().trail();
    http.ask_in(&OPENAI, request).await.unwrap();
    assert!(!headers(&http).contains_key("anthropic-beta"));
    assert!(trail.left_out().iter().any(|field| &**field == "anthropic-beta"));

    let (http, provider) = provider(config());
    let request = with_betas(chat(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#), "one-2025-01-01");
    let trail = request.context().trail();
    provider.oneshot(request).await.unwrap();
    assert!(!headers(&http).contains_key("anthropic-beta"));
    assert!(trail.left_out().iter().any(|field| &**field == "anthropic-beta"));
}

async fn counted(response: LlmResponse) -> TokenCount {
    let Output::TokenCount(count) = response.body.collect().await.unwrap() else { panic!("not a count") };
    count
}

#[tokio::test]
async fn a_count_is_asked_of_the_provider_and_costs_nothing() {
    let facts = "[[models]]\nprovider = \"p\"\nname = \"small\"\ninput = 1.0\noutput = 2.0\n";
    let layer = ANTHROPIC.layer().catalog(Arc::new(Catalog::from_toml(facts).unwrap()));
    let http = Http::json(r#"{"input_tokens": 2095}"#).header("request-id", "req_1");
    let request = count();
    let trail = request.context().trail();
    let response = layer.layer(http.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.head.request_id.as_deref(), Some("req_1"));
    assert_eq!(&response.body.wire().unwrap().bytes[..], br#"{"input_tokens": 2095}"#);
    assert_eq!(counted(response).await, TokenCount { input_tokens: 2095, provenance: Provenance::Reported });
    assert!(http.last_request().uri().path().ends_with("/v1/messages/count_tokens"));
    assert!(!sent_json(&http).contains("max_tokens"));
    let attempt = &trail.attempts()[0];
    assert_eq!((attempt.end, attempt.cost), (Some(AttemptEnd::Complete), Some(NanoUsd::ZERO)));
}

#[tokio::test]
async fn where_nobody_counts_the_count_is_estimated_without_a_call() {
    let http = Http::json(OPENAI.whole);
    let mut provider = OPENAI.layer().layer(http.clone());
    let clones = http.seen.lock().unwrap().clones;
    let request = count();
    let estimate = estimate_prompt(request.payload(), llm_core::TokenFamily::of("small")).likely;
    let trail = request.context().trail();
    let response = provider.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(response.head.target, Some(Target::new("p", "small")));
    assert_eq!(counted(response).await, TokenCount { input_tokens: estimate, provenance: Provenance::Estimated });
    assert!(estimate > 8);
    assert!(http.seen.lock().unwrap().requests.is_empty());
    assert_eq!(http.seen.lock().unwrap().clones, clones + 1, "the instance that was readied is replaced");
    let attempt = &trail.attempts()[0];
    assert_eq!((attempt.end, attempt.usage), (Some(AttemptEnd::Complete), Some(Usage::estimated(0, 0))));
}

#[tokio::test]
async fn embeddings_are_refused_without_a_call() {
    let http = Http::json("{}");
    let mut provider = ANTHROPIC.layer().layer(http.clone());
    let clones = http.seen.lock().unwrap().clones;
    let error = provider.ready().await.unwrap().call(LlmRequest::embed("e", ["text"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untranslatable);
    assert_eq!(error.target().unwrap().to_string(), "p/e");
    assert!(http.seen.lock().unwrap().requests.is_empty());
    assert_eq!(http.seen.lock().unwrap().clones, clones + 1, "the instance that was readied is replaced");
}

#[tokio::test]
async fn statuses_are_classified_with_their_body_and_their_advice() {
    let error = |kind: &str| format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"sorry"}}}}"#);
    for (status, word, kind) in [
        (400, "invalid_request_error", ErrorKind::InvalidRequest),
        (401, "authentication_error", ErrorKind::ProviderCredentials),
        (402, "billing_error", ErrorKind::QuotaExhausted),
        (403, "permission_error", ErrorKind::ProviderCredentials),
        (404, "not_found_error", ErrorKind::ModelNotFound),
        (413, "request_too_large", ErrorKind::TooLarge),
        (429, "rate_limit_error", ErrorKind::RateLimited),
        (500, "api_error", ErrorKind::Server),
        (529, "overloaded_error", ErrorKind::Overloaded),
    ] {
        let http = Http::new(status, "application/json", [data(error(word))]).header("retry-after", "3");
        let error = http.ask_in(&ANTHROPIC, whole()).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (kind, Some(status)));
        assert_eq!(error.is_retryable(), matches!(status, 429 | 500 | 529), "{status}");
        if error.is_retryable() {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(3)), "{status}");
        }
    }
}

#[tokio::test]
async fn nothing_secret_is_in_debug() {
    let shown = format!("{:?} {:?}", ANTHROPIC.layer(), ANTHROPIC.layer().layer(Http::json("{}")));
    assert!(shown.contains("Anthropic") && !shown.contains("canary"), "{shown}");
}
