//! The http layers around the doors.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Answer, Gateway, chat};
use http::Method;

async fn ask(gateway: &Gateway, stream: bool, headers: &[(&'static str, &str)]) -> Answer {
    let mut request = gateway.request(Method::POST, "/v1/chat/completions", chat("llama-3-8b", stream));
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    Answer::read(gateway.send(request).await).await
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_who_takes_that_and_a_short_one_or_a_stream_never_is() {
    let models: Vec<String> = (0..40).map(|number| format!("{{ name = \"llama-3-8b-{number}\" }}")).collect();
    let gateway = Gateway::start(&format!("[simulated]\nmodels = [{}]\n", models.join(", "))).await;
    let list = async |coding: &str| {
        let mut request = gateway.request(Method::GET, "/v1/models", String::new());
        request.headers_mut().insert("accept-encoding", coding.parse().unwrap());
        Answer::read(gateway.send(request).await).await
    };
    assert_eq!(list("gzip").await.header("content-encoding"), Some("gzip"));
    assert_eq!(list("identity").await.header("content-encoding"), None);
    let gateway = Gateway::start_bare().await;
    let mut unknown = gateway.request(Method::POST, "/v1/chat/completions", chat("unknown", false));
    unknown.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let short = Answer::read(gateway.send(unknown).await).await;
    assert_eq!(short.header("content-encoding"), None);
    let stream = ask(&gateway, true, &[("accept-encoding", "gzip")]).await;
    assert_eq!(stream.header("content-encoding"), None);
    assert!(stream.text().ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_the_callers_own_is_kept() {
    let gateway = Gateway::start_bare().await;
    let own = ask(&gateway, false, &[("x-request-id", "mine-1")]).await;
    assert_eq!(own.header("x-request-id"), Some("mine-1"));
    let (first, second) = (ask(&gateway, false, &[]).await, ask(&gateway, true, &[]).await);
    assert!(first.header("x-request-id").is_some());
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn a_request_cannot_blow_up_the_log() {
    let gateway = Gateway::start("[simulated]\nmodels = [{ name = \"llama-3-8b\" }]\n").await;
    let long = "a".repeat(10_000);
    for id in [&*long, "caf\u{e9}", ""] {
        let answer = ask(&gateway, false, &[("x-request-id", id)]).await;
        let own = answer.header("x-request-id").unwrap();
        assert!(own != id && own.len() > 16, "{own}");
    }
    assert_eq!(gateway.get(&format!("/v1/{long}")).await.status, 404);
    let kept = "b".repeat(128);
    assert_eq!(ask(&gateway, false, &[("x-request-id", &kept)]).await.header("x-request-id"), Some(&*kept));
    let longest = gateway.said().lines().map(str::len).max().unwrap();
    assert!(longest < 2_000, "a line of {longest} bytes");
}

#[tokio::test]
async fn an_answer_tells_where_it_comes_from_and_what_it_cost() {
    let gateway = Gateway::start_bare().await;
    let whole = ask(&gateway, false, &[]).await;
    assert_eq!(whole.header("x-llm-target"), Some("simulated/llama-3-8b"));
    assert_eq!(whole.header("x-llm-served"), Some("first-choice"));
    assert_eq!(whole.header("x-llm-attempts"), Some("1"));
    let cost: f64 = whole.header("x-llm-cost-usd").unwrap().parse().unwrap();
    let usage = &whole.json()["usage"];
    let tokens = usage["total_tokens"].as_f64().unwrap();
    // Both prices of the model are 0.10 USD per million; each of the two lines is rounded up to a nano-dollar.
    assert!((cost - tokens * 1e-7).abs() < 3e-9, "{cost} for {tokens} tokens");
    assert_eq!(
        ask(&gateway, true, &[]).await.header("x-llm-cost-usd"),
        None,
        "a stream's cost is not known at its head"
    );
}

#[tokio::test]
async fn a_trace_can_be_followed_into_the_log() {
    let gateway = Gateway::start("[simulated]\nmodels = [{ name = \"llama-3-8b\" }]\n").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    ask(&gateway, false, &[("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))]).await;
    assert!(gateway.said().contains(&format!("trace_id=\"{trace}\"")));
}

#[tokio::test]
async fn an_answer_tells_no_more_than_it_is_configured_to() {
    let config = "[server]\nprovenance_headers = false\ncost_comment = true\n\
                  [simulated]\nmodels = [{ name = \"llama-3-8b\", input = 1.0, output = 1.0 }]\n";
    let gateway = Gateway::start(config).await;
    let whole = ask(&gateway, false, &[]).await;
    assert!(whole.header("x-llm-target").is_none() && whole.header("x-llm-cost-usd").is_none());
    let stream = ask(&gateway, true, &[]).await.text();
    let (_, comment) = stream.split_once("data: [DONE]\n\n").unwrap();
    let cost: f64 = comment.strip_prefix(": llm-cost-usd ").unwrap().trim().parse().unwrap();
    assert!(cost > 0.0, "{comment}");
    let silent = Gateway::start_bare().await;
    assert!(ask(&silent, true, &[]).await.text().ends_with("data: [DONE]\n\n"), "off unless turned on");
}
