//! Every fault, as it looks on the wire.

#![allow(clippy::unwrap_used)]

mod raw;

use llm_sim::{Ended, FaultRule, ModelConfig, Sim, SimConfig, SimServer};
use raw::{Answer, End, open, send};
use tokio::io::AsyncReadExt;

const CHAT: &str = "/v1/chat/completions";
const WHOLE: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

async fn serve() -> SimServer {
    let model = ModelConfig { output_tokens: 10, ..ModelConfig::instant("m") };
    Sim::try_from(SimConfig::new([model])).unwrap().serve("127.0.0.1:0").await.unwrap()
}

/// What comes over the wire with this fault, and what the log says of it.
async fn meet(script: &str, body: &str) -> (Answer, Ended) {
    let server = serve().await;
    let answer = send(server.addr(), "POST", CHAT, &[("x-sim-fault", script)], body).await;
    let log = server.until(|log| log[0].ended.is_some()).await;
    (answer, log[0].ended.unwrap())
}

#[tokio::test]
async fn a_status_comes_with_its_headers_and_body() {
    let (answer, ended) = meet("status 429 retry-after=2 x-note='a b'", STREAM).await;
    assert_eq!((answer.status(), ended), (429, Ended::Faulted));
    assert_eq!((answer.header("retry-after"), answer.header("x-note")), (Some("2"), Some("a b")));
    assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
    let (answer, _) = meet("status 502 content-type=text/html body='<h1>Bad Gateway</h1>'", WHOLE).await;
    assert_eq!((answer.status(), answer.header("content-type")), (502, Some("text/html")));
    assert_eq!(answer.text(), "<h1>Bad Gateway</h1>");
}

#[tokio::test]
async fn an_error_body_comes_with_status_200() {
    for (script, body) in [("error-body insufficient_quota", STREAM), ("error insufficient_quota after 3", WHOLE)] {
        let (answer, ended) = meet(script, body).await;
        assert_eq!(
            (answer.status(), answer.header("content-type"), ended),
            (200, Some("application/json"), Ended::Faulted)
        );
        assert_eq!(answer.json()["error"]["type"], "insufficient_quota");
    }
}

#[tokio::test]
async fn a_delay_changes_nothing_else() {
    let (answer, ended) = meet("delay 5ms", STREAM).await;
    assert_eq!((answer.tokens(), answer.end, ended), (10, End::Whole, Ended::Complete));
}

#[tokio::test]
async fn a_hang_sends_what_it_must_and_no_more() {
    for (script, body, tokens) in [("hang after 0", STREAM, 0), ("hang after 4", STREAM, 4), ("hang after 4", WHOLE, 4)]
    {
        let server = serve().await;
        let mut stream = open(server.addr(), "POST", CHAT, &[("x-sim-fault", script)], body).await;
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        server.until(|log| log[0].tokens_sent == tokens).await;
        drop(stream);
        // Nothing holds an instant model back: had it not hung, the answer would be complete.
        let log = server.until(|log| log[0].ended.is_some()).await;
        assert_eq!(log[0].ended, Some(Ended::CallerLeft { after_tokens: tokens }), "{script}");
    }
}

#[tokio::test]
async fn a_cut_closes_the_connection_in_the_middle() {
    let (answer, ended) = meet("cut", STREAM).await;
    assert_eq!((answer.head.as_str(), answer.end, ended), ("", End::Cut, Ended::Faulted));
    for tokens in [0, 1, 4, 10] {
        let (answer, ended) = meet(&format!("cut after {tokens}"), STREAM).await;
        assert_eq!((answer.status(), answer.tokens(), answer.end, ended), (200, tokens, End::Cut, Ended::Faulted));
        assert!(!answer.text().contains("finish_reason\":\""));
    }
    let (answer, _) = meet("cut after 4", WHOLE).await;
    assert_eq!(answer.end, End::Cut);
    assert!(answer.text().starts_with("{\"id\"") && serde_json::from_str::<serde_json::Value>(&answer.text()).is_err());
}

#[tokio::test]
async fn a_reset_is_a_reset_and_what_came_before_it_arrives() {
    for body in [STREAM, WHOLE] {
        let (answer, ended) = meet("reset", body).await;
        assert_eq!((answer.head.as_str(), answer.end, ended), ("", End::Reset, Ended::Faulted));
    }
    let (answer, ended) = meet("reset after 4", STREAM).await;
    assert_eq!((answer.tokens(), answer.end, ended), (4, End::Reset, Ended::Faulted));
    assert_eq!(meet("reset after 4", WHOLE).await.0.end, End::Reset);
}

#[tokio::test]
async fn an_error_event_stands_in_the_stream_and_nothing_after_it() {
    for tokens in [0, 4] {
        let (answer, ended) = meet(&format!("error server_is_overloaded after {tokens}"), STREAM).await;
        assert_eq!((answer.status(), answer.tokens(), answer.end, ended), (200, tokens, End::Whole, Ended::Faulted));
        let last = answer.text().lines().rfind(|line| !line.is_empty()).unwrap().to_owned();
        assert!(last.starts_with("data: {\"error\":") && last.contains("server_is_overloaded"), "{last}");
    }
}

#[tokio::test]
async fn a_clean_end_lacks_only_what_says_that_it_is_the_end() {
    let (answer, ended) = meet("end after 4", STREAM).await;
    assert_eq!((answer.tokens(), answer.end, ended), (4, End::Whole, Ended::Faulted));
    assert!(!answer.text().contains("[DONE]") && !answer.text().contains("finish_reason\":\""));
    let (answer, _) = meet("end after 4", WHOLE).await;
    assert_eq!(answer.end, End::Whole);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.text()).is_err());
}

#[tokio::test]
async fn garbage_is_neither_json_nor_text_and_the_rest_follows() {
    let (answer, ended) = meet("garbage after 4", STREAM).await;
    assert_eq!((answer.tokens(), ended), (10, Ended::Faulted));
    assert!(std::str::from_utf8(&answer.body()).is_err());
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    assert!(std::str::from_utf8(&meet("garbage after 4", WHOLE).await.0.body()).is_err());
}

#[tokio::test]
async fn a_stall_loses_nothing() {
    for body in [STREAM, WHOLE] {
        let plain = meet("delay 1ms", body).await.0.body();
        let (stalled, ended) = meet("stall 5ms after 4", body).await;
        assert_eq!((stalled.body(), ended), (plain, Ended::Complete));
    }
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
async fn pings_come_without_end_until_the_caller_leaves() {
    for (body, ping) in [(STREAM, ": ping"), (WHOLE, "\n\r\n1\r\n\n")] {
        let server = serve().await;
        let mut stream = open(server.addr(), "POST", CHAT, &[("x-sim-fault", "pings 1ms")], body).await;
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

#[tokio::test]
async fn rules_count_calls_over_http_too() {
    let ladder = FaultRule::new("status 429 retry-after=1".parse().unwrap()).calls(..=2);
    let sim = Sim::try_from(SimConfig::new([ModelConfig::instant("m").fault(ladder)])).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(send(server.addr(), "POST", CHAT, &[], WHOLE).await.status());
    }
    assert_eq!((statuses, server.requests(), sim.requests()), (vec![429, 429, 200], 3, 0));
}
