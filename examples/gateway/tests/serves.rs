//! Started with nothing, the gateway serves simulated models.

#![allow(clippy::unwrap_used)]

mod harness;

use std::process::Command;

use harness::{Answer, Gateway, chat};
use http::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn it_tells_where_it_is_and_what_it_serves() {
    let gateway = Gateway::start_bare().await;
    assert!(gateway.address.ip().is_loopback());
    let models = gateway.get("/v1/models").await.json();
    let names: Vec<&str> =
        models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    for name in ["llama-3-8b", "deepseek-coder", "claude-3-5-sonnet"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!(gateway.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(gateway.get("/readyz").await.status, StatusCode::OK);
}

/// The commands are run by a shell, just as somebody would who pastes them.
#[tokio::test]
async fn the_commands_that_it_prints_work_when_pasted() {
    let gateway = Gateway::start_bare().await;
    let said = || gateway.said();
    let commands = loop {
        let commands: Vec<String> =
            said().lines().filter(|line| line.trim().starts_with("curl")).map(str::to_owned).collect();
        if commands.len() == 3 {
            break commands;
        }
        tokio::task::yield_now().await;
    };
    if Command::new("curl").arg("--version").output().is_err() {
        // Without curl the same is asked below by other means.
        assert!(!gateway.post("/v1/chat/completions", chat("llama-3-8b", false)).await.content().is_empty());
        return;
    }
    let paste = |command: String| {
        tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &command]).output().unwrap())
    };
    let whole = paste(commands[0].clone()).await.unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&whole.stdout).unwrap();
    assert!(!whole["choices"][0]["message"]["content"].as_str().unwrap().is_empty());
    let streamed = paste(commands[1].clone()).await.unwrap();
    let streamed = String::from_utf8(streamed.stdout).unwrap();
    assert!(streamed.matches("\"delta\"").count() > 3, "{streamed}");
    assert!(streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
    let message = paste(commands[2].clone()).await.unwrap();
    let message: serde_json::Value = serde_json::from_slice(&message.stdout).unwrap();
    assert_eq!(message["type"], "message");
    assert!(!message["content"][0]["text"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn whole_and_streamed_answers_are_the_same_answer() {
    let gateway = Gateway::start_bare().await;
    let whole = gateway.post("/v1/chat/completions", chat("llama-3-8b", false)).await.content();
    let mut stream = gateway.stream("llama-3-8b").await;
    stream.read_to_end().await;
    assert_eq!(stream.content(), whole);
    assert!(stream.is_terminated());
    assert_eq!(stream.finishes(), 1);
}

#[tokio::test]
async fn usage_comes_in_a_stream_only_if_it_was_asked_for() {
    let gateway = Gateway::start_bare().await;
    let mut plain = gateway.stream("llama-3-8b").await;
    assert!(!plain.read_to_end().await.contains("\"choices\":[]"));
    let mut body: serde_json::Value = serde_json::from_str(&chat("llama-3-8b", true)).unwrap();
    body["stream_options"] = json!({ "include_usage": true });
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await.text();
    assert_eq!(answer.matches("\"choices\":[]").count(), 1);
    assert!(answer.contains("\"completion_tokens\""));
}

#[tokio::test]
async fn what_nobody_serves_is_not_found_in_the_callers_dialect() {
    let gateway = Gateway::start_bare().await;
    let answer = gateway.post("/v1/chat/completions", chat("mystery", false)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    assert_eq!(gateway.get("/v1/nothing").await.status, StatusCode::NOT_FOUND);
    assert!(!gateway.get("/v1/nothing").await.error_message().is_empty());
    let wrong = gateway.get("/v1/chat/completions").await;
    assert_eq!((wrong.status, wrong.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("POST")));
}

#[tokio::test]
async fn embeddings_come_in_the_form_that_was_asked_for() {
    let gateway = Gateway::start_bare().await;
    let ask = |format: &str| {
        json!({ "model": "text-embedding-sim", "input": ["one", "two"], "encoding_format": format }).to_string()
    };
    let floats = gateway.post("/v1/embeddings", ask("float")).await.json();
    assert_eq!(floats["data"].as_array().unwrap().len(), 2);
    assert!(floats["data"][0]["embedding"].as_array().unwrap().len() > 8);
    let base64 = gateway.post("/v1/embeddings", ask("base64")).await.json();
    assert!(base64["data"][1]["embedding"].is_string());
}

#[tokio::test]
async fn clients_of_anthropic_are_served_in_their_own_dialect() {
    let gateway = Gateway::start_bare().await;
    let ask = async |method: Method, path: &str, body: String| {
        let mut request = gateway.request(method, path, body);
        request.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
        Answer::read(gateway.send(request).await).await
    };
    let message = |more: serde_json::Value| {
        let mut body = json!({ "model": "llama-3-8b", "messages": [{ "role": "user", "content": "Hello!" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let whole = ask(Method::POST, "/v1/messages?beta=true", message(json!({ "max_tokens": 50 }))).await;
    let text = whole.json()["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(!text.is_empty());
    assert_eq!(whole.header("request-id"), whole.header("x-request-id"));

    let stream = ask(Method::POST, "/v1/messages", message(json!({ "max_tokens": 50, "stream": true }))).await.text();
    let deltas = stream.lines().filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line.strip_prefix("data: ")?).unwrap();
        event["delta"]["text"].as_str().map(str::to_owned)
    });
    assert_eq!(deltas.collect::<String>(), text);
    assert!(stream.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{stream}");

    let count = ask(Method::POST, "/v1/messages/count_tokens", message(json!({}))).await;
    assert!(count.json()["input_tokens"].as_u64().unwrap() > 0, "{}", count.text());
    let page = ask(Method::GET, "/v1/models?limit=1", String::new()).await.json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (1, &true.into()));
    for (path, body, status, kind) in [
        ("/v1/messages", message(json!({})), 400, "invalid_request_error"),
        ("/v1/messages", message(json!({ "max_tokens": 1, "model": "mystery" })), 404, "not_found_error"),
        ("/v1/messages/batches", String::new(), 404, "invalid_request_error"),
    ] {
        let refused = ask(Method::POST, path, body).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["error"]["type"]), (status, &kind.into()), "{path}");
        assert_eq!(refused.json()["request_id"], refused.header("request-id").unwrap());
    }
}
