//! What the provider is sent.

use std::collections::BTreeMap;

use crate::support::{Http, chat, data, layer, streamed, whole};
use bytes::Bytes;
use llm_core::{ErrorKind, LlmRequest, Target};
use llm_providers::{Auth, KeyConfig, Provider, ProviderConfig, ProviderLayer};
use llm_wire::openai::Variant;
use tower::{Layer, Service, ServiceExt};

const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":7,"model":"small-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

fn config() -> ProviderConfig {
    let mut config = ProviderConfig::new("azure");
    config.base_url = Some("https://azure.example/openai/v1/".to_owned());
    config.keys = vec![KeyConfig::new("team", "sk-team"), KeyConfig::new("spare", "sk-spare")];
    config
}

fn provider(config: ProviderConfig) -> (Http, Provider<Http>) {
    let http = Http::json(ANSWER);
    let provider = ProviderLayer::try_from(config).unwrap().layer(http.clone());
    (http, provider)
}

fn to_key(key: &str) -> LlmRequest {
    let mut request = whole();
    request.context_mut().set_target(Target::new("azure", "deployed").with_key(key));
    request
}

#[tokio::test]
async fn the_callers_own_bytes_are_sent_with_only_the_model_spliced_in() {
    let http = Http::json(ANSWER);
    let mut request = chat(
        r#"{ "model":"mine",  "messages":[{"role":"user","content":"hi","x":{"b":1,"a":1.0}}],"temperature":1.00e0,"odd":12345678901234567890123,"seed":7 }"#,
    );
    request.context_mut().set_target(Target::new("p", "theirs-1"));
    http.ask(request).await.unwrap();
    let sent = http.last_request();
    assert_eq!(
        sent.body(),
        r#"{ "model":"theirs-1",  "messages":[{"role":"user","content":"hi","x":{"b":1,"a":1.0}}],"temperature":1.00e0,"odd":12345678901234567890123,"seed":7 }"#
    );
    assert_eq!(sent.method(), "POST");
    assert_eq!(sent.uri(), "https://p.example/v1/chat/completions");
}

#[tokio::test]
async fn without_a_target_the_requested_model_is_asked() {
    let http = Http::json(ANSWER);
    let response = http.ask(whole()).await.unwrap();
    assert!(http.last_request().body().starts_with(br#"{"model":"small""#));
    assert_eq!(response.head.target, Some(Target::new("p", "small")));
}

#[tokio::test]
async fn embeddings_have_their_own_address() {
    let http = Http::json(
        r#"{"object":"list","model":"e","data":[{"object":"embedding","index":0,"embedding":[0.5,-1]}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#,
    );
    let response = http.ask(LlmRequest::embed("e", ["text"])).await.unwrap();
    assert_eq!(http.last_request().uri(), "https://p.example/v1/embeddings");
    let wire = response.body.wire().expect("the bytes are kept").bytes.clone();
    assert!(wire.starts_with(b"{\"object\":\"list\""));
    let llm_core::Output::Embed(embed) = response.body.collect().await.unwrap() else { panic!("not an embedding") };
    assert_eq!(embed.vectors[0].0, [0.5, -1.0]);
}

#[tokio::test]
async fn usage_is_asked_for_in_streams_unless_turned_off() {
    let stream = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let http = Http::events([data("data: [DONE]\n\n")]);
    http.ask(chat(stream)).await.unwrap();
    assert!(String::from_utf8_lossy(http.last_request().body()).contains(r#""include_usage":true"#));
    layer().include_usage(false).layer(http.clone()).oneshot(chat(stream)).await.unwrap();
    assert_eq!(http.last_request().body(), stream);

    let mut config = config();
    config.include_usage = Some(false);
    ProviderLayer::try_from(config).unwrap().layer(http.clone()).oneshot(chat(stream)).await.unwrap();
    assert_eq!(http.last_request().body(), stream);
}

#[tokio::test]
async fn a_provider_gets_what_its_variant_takes() {
    let stream = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
    let ask = |layer: ProviderLayer, http: Http| async move {
        let mut request = chat(stream);
        request.context_mut().lower_output_ceiling(9);
        layer.layer(http.clone()).oneshot(request).await.unwrap();
        let own_bytes = http.last_request().body().clone();
        let built = LlmRequest::chat("m").user("hi").with(|chat| chat.seed = Some(7)).build();
        layer.layer(http.clone()).oneshot(built).await.unwrap();
        (own_bytes, http.last_request().body().clone())
    };
    let http = Http::events([data("data: [DONE]\n\n")]);
    let expected = (
        stream.replace(r#""m""#, r#""m","max_tokens":9"#).into(),
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"random_seed":7}"#.into(),
    );
    let mut config = config();
    config.variant = Some("mistral".to_owned());
    assert_eq!(ask(ProviderLayer::try_from(config).unwrap(), http.clone()).await, expected);
    assert_eq!(ask(layer().variant(&Variant::MISTRAL), http.clone()).await, expected);
    let (own_bytes, built) = ask(layer(), http).await;
    assert_ne!((&own_bytes, &built), (&expected.0, &expected.1), "it is OpenAI's own spelling unless set");
}

#[tokio::test]
async fn the_ceiling_of_the_context_is_sent() {
    let http = Http::json(ANSWER);
    let mut request = chat(r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":9000}"#);
    request.context_mut().lower_output_ceiling(4_096);
    http.ask(request).await.unwrap();
    assert_eq!(
        http.last_request().body(),
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":4096}"#
    );
}

#[tokio::test]
async fn exactly_these_headers_are_sent_and_none_of_the_callers() {
    let mut config = config();
    config.headers = BTreeMap::from([("X-Team".to_owned(), "blue".to_owned())]);
    let (http, provider) = provider(config);
    let mut request = whole();
    let mut callers = http::HeaderMap::new();
    callers.insert("authorization", "Bearer sk-caller".parse().unwrap());
    request.extensions_mut().insert(callers);
    provider.oneshot(request).await.unwrap();

    let sent = http.last_request();
    let headers: BTreeMap<_, _> =
        sent.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let agent = concat!("llm-providers/", env!("CARGO_PKG_VERSION"));
    let expected = [
        ("accept", "application/json"),
        ("authorization", "Bearer sk-team"),
        ("content-type", "application/json"),
        ("user-agent", agent),
        ("x-team", "blue"),
    ];
    assert_eq!(headers, BTreeMap::from(expected));
    assert!(sent.headers()["authorization"].is_sensitive() && sent.headers()["x-team"].is_sensitive());
    assert_eq!(sent.uri(), "https://azure.example/openai/v1/chat/completions");
}

#[tokio::test]
async fn the_targets_key_is_used_or_else_the_first() {
    let (http, provider) = provider(config());
    for (request, expected) in
        [(whole(), "Bearer sk-team"), (to_key("spare"), "Bearer sk-spare"), (to_key("team"), "Bearer sk-team")]
    {
        provider.clone().oneshot(request).await.unwrap();
        assert_eq!(http.last_request().headers()["authorization"], expected);
    }
}

#[tokio::test]
async fn a_key_name_that_does_not_exist_is_refused_and_the_readied_client_is_let_go() {
    let (http, mut provider) = provider(config());
    let clones = http.seen.lock().unwrap().clones;
    let error = provider.ready().await.unwrap().call(to_key("third")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute);
    assert_eq!(error.to_string(), "the provider has no key named \"third\"");
    assert_eq!(error.target().map(ToString::to_string).as_deref(), Some("azure/deployed#third"));
    assert!(http.seen.lock().unwrap().requests.is_empty());
    assert_eq!(http.seen.lock().unwrap().clones, clones + 1, "the instance that was readied is replaced");
}

#[tokio::test]
async fn azure_has_a_header_of_its_own_and_ollama_none() {
    let mut azure = config();
    azure.auth = Some(Auth::Header("api-key".to_owned()));
    let (http, provider_of_azure) = provider(azure);
    provider_of_azure.oneshot(whole()).await.unwrap();
    assert_eq!(http.last_request().headers()["api-key"], "sk-team");
    assert!(!http.last_request().headers().contains_key("authorization"));

    let (http, ollama) = provider(ProviderConfig::new("ollama"));
    ollama.oneshot(whole()).await.unwrap();
    assert_eq!(http.last_request().uri(), "http://localhost:11434/v1/chat/completions");
    assert!(!http.last_request().headers().contains_key("authorization"));
}

#[tokio::test]
async fn a_user_agent_of_the_configurations_own_is_sent_instead() {
    let mut config = config();
    config.headers = BTreeMap::from([("user-agent".to_owned(), "ours/1".to_owned())]);
    let (http, provider) = provider(config);
    provider.oneshot(whole()).await.unwrap();
    assert_eq!(http.last_request().headers()["user-agent"], "ours/1");
}

#[tokio::test]
async fn mistral_is_not_asked_for_usage() {
    let mut config = ProviderConfig::new("mistral");
    config.keys = vec![KeyConfig::new("a", "sk-a")];
    let http = Http::events([data("data: [DONE]\n\n")]);
    ProviderLayer::try_from(config).unwrap().layer(http.clone()).oneshot(chat(STREAM)).await.unwrap();
    assert_eq!(http.last_request().body(), &Bytes::from_static(STREAM.as_bytes()));
}

const STREAM: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#;

#[tokio::test]
async fn nothing_secret_is_in_debug_or_errors() {
    let http = Http::new(401, "application/json", [data(r#"{"error":{"message":"Incorrect API key: sk-canary"}}"#)]);
    let mut provider = http.provider();
    let error = provider.ready().await.unwrap().call(streamed()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderCredentials);
    let shown = format!("{provider:?} {error:?} {error} {:?}", error.trail());
    assert!(!shown.contains("canary"), "{shown}");
}
