//! The http server, without faults.

#![allow(clippy::unwrap_used)]

mod raw;

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use llm_sim::{Ended, ModelConfig, Sim, SimConfig, SimKey, SimServer};
use raw::{End, open, send};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

const CHAT: &str = "/v1/chat/completions";

async fn serve(config: SimConfig) -> SimServer {
    Sim::try_from(config).unwrap().serve("127.0.0.1:0").await.unwrap()
}

fn instant() -> SimConfig {
    let embedding = ModelConfig { first_token: Duration::ZERO, ..ModelConfig::embedding("e", 8) };
    SimConfig::new([ModelConfig { output_tokens: 10, ..ModelConfig::instant("m") }, embedding])
}

fn question(more: Value) -> String {
    let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

#[tokio::test]
async fn a_whole_answer_has_length_content_and_usage() {
    let server = serve(instant()).await;
    let answer = send(server.addr(), "POST", CHAT, &[], &question(json!({}))).await;
    assert_eq!((answer.status(), answer.end), (200, End::Whole));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
    let json = answer.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], "m");
    assert!(json["choices"][0]["message"]["content"].as_str().unwrap().starts_with("Simulated answer by m:"));
    assert_eq!(json["usage"]["completion_tokens"], 10);
}

#[tokio::test]
async fn a_stream_has_a_chunk_for_each_token_and_ends_with_done() {
    let server = serve(instant()).await;
    let more = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let answer = send(server.addr(), "POST", CHAT, &[], &question(more)).await;
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!((answer.tokens(), answer.end), (10, End::Whole));
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    assert!(answer.text().contains(r#""completion_tokens":10"#));

    let unasked = send(server.addr(), "POST", CHAT, &[], &question(json!({ "stream": true }))).await;
    assert!(!unasked.text().contains("completion_tokens"));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let ask = async || {
        let server = serve(instant()).await;
        let mut bytes = Vec::new();
        for more in [json!({}), json!({ "stream": true })] {
            let answer = send(server.addr(), "POST", CHAT, &[], &question(more)).await;
            bytes.push((answer.header("x-request-id").unwrap().to_owned(), answer.body()));
        }
        bytes
    };
    assert_eq!(ask().await, ask().await);
}

#[tokio::test]
async fn embeddings_and_models_are_served() {
    let server = serve(instant()).await;
    let body = json!({ "model": "e", "input": ["a", "b"] }).to_string();
    let answer = send(server.addr(), "POST", "/v1/embeddings", &[], &body).await;
    assert_eq!(answer.json()["data"][1]["embedding"].as_array().unwrap().len(), 8);
    let models = send(server.addr(), "GET", "/v1/models", &[], "").await.json();
    assert_eq!((&models["data"][0]["id"], &models["data"][1]["id"]), (&json!("m"), &json!("e")));
    assert_eq!(send(server.addr(), "GET", "/v1/models/m", &[], "").await.json()["id"], "m");
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_in_openais_shape() {
    let server = serve(instant()).await;
    let cases = [
        ("POST", CHAT, "{", 400),
        ("POST", CHAT, r#"{"model":"x","messages":[{"role":"user","content":"hi"}]}"#, 404),
        ("GET", CHAT, "", 405),
        ("GET", "/v1/models/x", "", 404),
        ("POST", "/elsewhere", "", 404),
    ];
    for (method, path, body, status) in cases {
        let answer = send(server.addr(), method, path, &[], body).await;
        assert_eq!(answer.status(), status, "{method} {path}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    assert!(server.log().iter().all(|call| call.ended == Some(Ended::Complete)));
    let unknown = send(server.addr(), "POST", CHAT, &[], cases[1].2).await;
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");

    let answer = send(server.addr(), "POST", CHAT, &[("x-sim-fault", "explode")], &question(json!({}))).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("no fault `explode`"));
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_the_log_names_the_right_one() {
    let config = SimConfig { keys: vec![SimKey::new("first", "sk-canary")], ..instant() };
    let server = serve(config).await;
    for headers in [&[][..], &[("authorization", "Bearer sk-wrong")]] {
        let answer = send(server.addr(), "POST", CHAT, headers, &question(json!({}))).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    }
    let headers = [("authorization", "Bearer sk-canary"), ("x-note", "kept")];
    let body = question(json!({}));
    assert_eq!(send(server.addr(), "POST", CHAT, &headers, &body).await.status(), 200);
    let log = server.log();
    let keys: Vec<_> = log.iter().map(|call| call.key.as_deref()).collect();
    assert_eq!(keys, [None, None, Some("first")]);
    assert_eq!((&*log[2].path, log[2].model.as_deref(), &log[2].body[..]), (CHAT, Some("m"), body.as_bytes()));
    assert_eq!(log[2].headers["x-note"], "kept");
    assert_eq!(log[2].headers["authorization"], "redacted");
    assert!(!format!("{log:?}{server:?}").contains("canary"));
}

#[tokio::test]
async fn a_body_that_does_not_fit_the_log_is_told_by_its_length_only() {
    let server = serve(SimConfig { log_bytes: 4_000, ..instant() }).await;
    let long = question(json!({ "messages": [{ "role": "user", "content": "x".repeat(4_000) }] }));
    let unknown = json!({ "model": "x", "padding": "x".repeat(8 << 20) }).to_string();
    for body in [&long, &unknown, &question(json!({}))] {
        send(server.addr(), "POST", CHAT, &[], body).await;
    }
    let log = server.log();
    let kept: Vec<_> = log.iter().map(|call| (call.body.len(), call.body_bytes)).collect();
    let short = question(json!({})).len();
    assert_eq!(kept, [(0, long.len()), (0, unknown.len()), (short, short)]);
    assert_eq!((&*log[0].path, log[0].model.as_deref(), log[0].ended), (CHAT, Some("m"), Some(Ended::Complete)));
    assert_eq!(log[0].headers["host"], "sim", "its headers fit");
}

#[tokio::test]
async fn limits_are_told_in_headers() {
    let model = ModelConfig { requests_per_minute: Some(1), ..ModelConfig::instant("m") };
    let server = serve(SimConfig::new([model])).await;
    let answer = send(server.addr(), "POST", CHAT, &[], &question(json!({}))).await;
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("1"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    let refused = send(server.addr(), "POST", CHAT, &[], &question(json!({}))).await;
    assert_eq!(refused.status(), 429);
    assert!((1..=60).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
}

#[tokio::test]
async fn a_caller_that_leaves_is_seen_within_a_few_tokens() {
    let model = ModelConfig { output_tokens: 100_000, tokens_per_second: 1_000.0, ..ModelConfig::instant("m") };
    let server = serve(SimConfig::new([model])).await;
    let mut stream = open(server.addr(), "POST", CHAT, &[], &question(json!({ "stream": true }))).await;
    stream.read_exact(&mut [0; 1_000]).await.unwrap();
    let before = server.log()[0].tokens_sent;
    drop(stream);
    let log = server.until(|log| log[0].ended.is_some()).await;
    let Some(Ended::CallerLeft { after_tokens }) = log[0].ended else { panic!("{log:?}") };
    assert!((3..before + 50).contains(&after_tokens), "{after_tokens} after {before}");
    assert!(log[0].ended_at.unwrap() >= log[0].at);
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_head_is_seen_too() {
    let server = serve(instant()).await;
    let headers = [("x-sim-fault", "hang")];
    let stream = open(server.addr(), "POST", CHAT, &headers, &question(json!({}))).await;
    server.until(|log| log.len() == 1).await;
    drop(stream);
    let log = server.until(|log| log[0].ended.is_some()).await;
    assert_eq!(log[0].ended, Some(Ended::CallerLeft { after_tokens: 0 }));
}

#[tokio::test]
async fn http2_works_and_a_stream_reset_is_a_caller_leaving() {
    let server = serve(instant()).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<bytes::Bytes>>();
    let request = |fault: &str| {
        let request =
            http::Request::post(format!("{}/chat/completions", server.base_url())).header("x-sim-fault", fault);
        request.body(Full::from(question(json!({ "stream": true })))).unwrap()
    };
    let response = client.request(request("delay 1ms")).await.unwrap();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.ends_with(b"data: [DONE]\n\n"));
    let cut = client.request(request("cut after 3")).await.unwrap();
    assert!(cut.into_body().collect().await.is_err());
    let hung = client.request(request("hang after 3")).await.unwrap();
    server.until(|log| log[2].tokens_sent == 3).await;
    drop(hung);
    let log = server.until(|log| log[2].ended.is_some()).await;
    let ends: Vec<_> = log.iter().map(|call| call.ended.unwrap()).collect();
    assert_eq!(ends, [Ended::Complete, Ended::Faulted, Ended::CallerLeft { after_tokens: 3 }]);
}

#[tokio::test]
async fn what_each_call_used_is_in_the_log_as_far_as_it_came() {
    let server = serve(instant()).await;
    let ask = async |fault: &str, stream: bool| {
        let headers = [("x-sim-fault", fault)];
        send(server.addr(), "POST", CHAT, &headers, &question(json!({ "stream": stream }))).await
    };
    let whole = ask("delay 0s", false).await.json();
    ask("delay 0s", true).await;
    ask("cut after 4", true).await;
    ask("error server_error after 6", true).await;
    ask("status 503", true).await;
    ask("cut", false).await;
    let prompt = whole["usage"]["prompt_tokens"].as_u64().unwrap();
    let used = |output| Some(llm_core::Usage::reported(prompt, output));
    let log: Vec<_> = server.log().iter().map(|call| call.usage).collect();
    assert_eq!(log, [used(10), used(10), used(4), used(6), None, None]);
}

#[tokio::test]
async fn shutdown_lets_answers_finish_and_drop_does_not() {
    let paced = || SimConfig::new([ModelConfig { tokens_per_second: 500.0, ..ModelConfig::instant("m") }]);
    let body = question(json!({ "stream": true }));
    let server = serve(paced()).await;
    let addr = server.addr();
    let (answer, ()) = tokio::join!(send(addr, "POST", CHAT, &[], &body), async {
        server.until(|log| log.first().is_some_and(|call| call.tokens_sent > 0)).await;
        server.shutdown(Duration::from_secs(30)).await;
    });
    assert_eq!((answer.end, answer.tokens()), (End::Whole, 60));
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());

    let server = serve(paced()).await;
    let headers = [("x-sim-fault", "hang after 3")];
    let (answer, ()) = tokio::join!(send(server.addr(), "POST", CHAT, &headers, &body), async {
        server.until(|log| log.first().is_some_and(|call| call.tokens_sent == 3)).await;
        server.shutdown(Duration::ZERO).await;
    });
    assert_eq!(answer.end, End::Cut);
}
