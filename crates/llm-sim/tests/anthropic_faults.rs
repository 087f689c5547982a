//! Every fault, as it looks on the wire in Anthropic's dialect.

#![allow(clippy::unwrap_used)]

mod raw;

use llm_sim::{Ended, ModelConfig, Sim, SimConfig, SimServer};
use raw::{Answer, End, open, send};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

const MESSAGES: &str = "/v1/messages";
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
const WHOLE: &str = r#"{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"m","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

async fn serve() -> SimServer {
    let model = ModelConfig { output_tokens: 10, ..ModelConfig::instant("m") };
    Sim::try_from(SimConfig::new([model])).unwrap().serve("127.0.0.1:0").await.unwrap()
}

/// What comes over the wire with this fault, and what the log says of it.
async fn meet(script: &str, body: &str) -> (Answer, Ended) {
    let server = serve().await;
    let answer = send(server.addr(), "POST", MESSAGES, &[VERSION, ("x-sim-fault", script)], body).await;
    let log = server.until(|log| log[0].ended.is_some()).await;
    (answer, log[0].ended.unwrap())
}

/// The last event: its name, and its data.
fn last_event(answer: &Answer) -> (String, Value) {
    let text = answer.text();
    let event = text.trim_end().rsplit("\n\n").next().unwrap();
    let (name, data) = event.split_once('\n').unwrap();
    (
        name.strip_prefix("event: ").unwrap().to_owned(),
        serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn a_status_comes_with_its_headers_and_the_error_that_belongs_to_it() {
    for (status, kind, should_retry) in [
        (400, "invalid_request_error", "false"),
        (401, "authentication_error", "false"),
        (402, "billing_error", "false"),
        (403, "permission_error", "false"),
        (404, "not_found_error", "false"),
        (413, "request_too_large", "false"),
        (429, "rate_limit_error", "true"),
        (500, "api_error", "true"),
        (504, "timeout_error", "true"),
        (529, "overloaded_error", "true"),
    ] {
        let (answer, ended) = meet(&format!("status {status} retry-after=2"), STREAM).await;
        assert_eq!((answer.status(), ended), (status, Ended::Faulted));
        assert_eq!((answer.header("retry-after"), answer.header("x-should-retry")), (Some("2"), Some(should_retry)));
        let body = answer.json();
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(kind)));
        assert_eq!(body["request_id"].as_str(), answer.header("request-id"));
    }
    let (answer, _) = meet("status 429 x-should-retry=false", WHOLE).await;
    assert_eq!(answer.header("x-should-retry"), Some("false"), "the script has the last word");
    let (answer, _) = meet("status 502 content-type=text/html body='<h1>Bad Gateway</h1>'", WHOLE).await;
    assert_eq!((answer.status(), answer.header("content-type")), (502, Some("text/html")));
    assert_eq!((answer.text().as_str(), answer.header("x-should-retry")), ("<h1>Bad Gateway</h1>", None));
}

#[tokio::test]
async fn an_error_body_comes_with_status_200() {
    for (script, body) in [
        ("error-body overloaded_error", STREAM),
        ("error-body server_is_overloaded", WHOLE),
        ("error overloaded_error after 3", WHOLE),
    ] {
        let (answer, ended) = meet(script, body).await;
        let told = (answer.status(), answer.header("content-type"), ended);
        assert_eq!(told, (200, Some("application/json"), Ended::Faulted));
        assert_eq!(
            (&answer.json()["type"], &answer.json()["error"]["type"]),
            (&json!("error"), &json!("overloaded_error"))
        );
        assert_eq!(answer.header("x-should-retry"), None);
    }
}

#[tokio::test]
async fn an_error_event_stands_in_the_stream_and_nothing_after_it() {
    for (tokens, code, kind) in [
        (0, "server_is_overloaded", "overloaded_error"),
        (0, "rate_limit_error", "rate_limit_error"),
        (4, "overloaded_error", "overloaded_error"),
        (10, "api_error", "api_error"),
    ] {
        let (answer, ended) = meet(&format!("error {code} after {tokens}"), STREAM).await;
        assert_eq!((answer.status(), answer.tokens(), answer.end, ended), (200, tokens, End::Whole, Ended::Faulted));
        let (name, data) = last_event(&answer);
        assert_eq!((name.as_str(), &data["type"], &data["error"]["type"]), ("error", &json!("error"), &json!(kind)));
        assert_eq!(data["request_id"].as_str(), answer.header("request-id"));
        let text = answer.text();
        assert!(text.starts_with("event: message_start\n") && !text.contains("message_stop"));
        assert_eq!(text.contains("content_block_start"), tokens > 0, "before content there is none");
    }
}

#[tokio::test]
async fn a_delay_and_a_stall_lose_nothing() {
    for body in [STREAM, WHOLE] {
        let (plain, ended) = meet("delay 5ms", body).await;
        assert_eq!((plain.end, ended), (End::Whole, Ended::Complete));
        let (stalled, ended) = meet("stall 5ms after 4", body).await;
        assert_eq!((stalled.body(), ended), (plain.body(), Ended::Complete));
    }
}

#[tokio::test]
async fn a_hang_sends_what_it_must_and_no_more() {
    for (script, body, tokens) in [("hang after 0", STREAM, 0), ("hang after 4", STREAM, 4), ("hang after 4", WHOLE, 4)]
    {
        let server = serve().await;
        let mut stream = open(server.addr(), "POST", MESSAGES, &[VERSION, ("x-sim-fault", script)], body).await;
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        server.until(|log| log[0].tokens_sent == tokens).await;
        drop(stream);
        let log = server.until(|log| log[0].ended.is_some()).await;
        assert_eq!(log[0].ended, Some(Ended::CallerLeft { after_tokens: tokens }), "{script}");
    }
}

#[tokio::test]
async fn a_cut_or_reset_breaks_the_stream_in_the_middle() {
    for (fault, end) in [("cut", End::Cut), ("reset", End::Reset)] {
        let (answer, ended) = meet(fault, STREAM).await;
        assert_eq!((answer.head.as_str(), answer.end, ended), ("", end, Ended::Faulted));
        let (answer, ended) = meet(&format!("{fault} after 4"), STREAM).await;
        assert_eq!((answer.tokens(), answer.end, ended), (4, end, Ended::Faulted));
        assert!(!answer.text().contains("message_delta"));
        let (answer, _) = meet(&format!("{fault} after 4"), WHOLE).await;
        assert!(answer.end == end && serde_json::from_str::<Value>(&answer.text()).is_err());
    }
}

#[tokio::test]
async fn a_clean_end_lacks_only_what_says_that_it_is_the_end() {
    let (answer, ended) = meet("end after 4", STREAM).await;
    assert_eq!((answer.tokens(), answer.end, ended), (4, End::Whole, Ended::Faulted));
    assert_eq!(last_event(&answer).0, "content_block_delta");
    let (answer, _) = meet("end after 4", WHOLE).await;
    assert_eq!(answer.end, End::Whole);
    assert!(serde_json::from_str::<Value>(&answer.text()).is_err());
}

#[tokio::test]
async fn garbage_has_a_name_that_clients_listen_to_and_the_rest_follows() {
    let (answer, ended) = meet("garbage after 4", STREAM).await;
    assert_eq!((answer.tokens(), ended, last_event(&answer).0.as_str()), (10, Ended::Faulted, "message_stop"));
    let body = answer.body();
    let broken = std::str::from_utf8(&body).unwrap_err().valid_up_to();
    let before = std::str::from_utf8(&body[..broken]).unwrap();
    assert!(before.rsplit("\n\n").next().unwrap().starts_with("event: content_block_delta\ndata: "));
    assert!(std::str::from_utf8(&meet("garbage after 4", WHOLE).await.0.body()).is_err());
}

#[tokio::test]
async fn one_byte_writes_send_the_same_bytes_one_by_one() {
    for body in [STREAM, WHOLE] {
        let plain = meet("delay 1ms", body).await.0.body();
        let (answer, ended) = meet("one-byte-writes", body).await;
        assert!(answer.chunks.iter().all(|chunk| chunk.len() == 1));
        assert_eq!((answer.body(), ended), (plain, Ended::Complete));
    }
}

#[tokio::test]
async fn pings_are_events_and_come_without_end_until_the_caller_leaves() {
    for (body, ping) in [(STREAM, "event: ping\ndata: {\"type\": \"ping\"}\n\n"), (WHOLE, "\n\r\n1\r\n\n")] {
        let server = serve().await;
        let headers = [VERSION, ("x-sim-fault", "pings 1ms")];
        let mut stream = open(server.addr(), "POST", MESSAGES, &headers, body).await;
        let mut text = String::new();
        while text.matches(ping).count() < 3 {
            let mut bytes = [0; 256];
            let read = stream.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the stream ended");
            text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
        drop(stream);
        let log = server.until(|log| log[0].ended.is_some()).await;
        assert_eq!(log[0].ended, Some(Ended::CallerLeft { after_tokens: 0 }));
    }
}
