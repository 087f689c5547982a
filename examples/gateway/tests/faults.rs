//! What goes wrong at a provider reaches the caller as what it is: a status before content, an error within the
//! stream after it, and never the end of a good answer.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Gateway, ONE_TO_ONE, chat, provider};
use http::Method;
use llm_sim::{Ended, FaultRule, ModelConfig, Sim, SimConfig, SimServer};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// A provider with one model for each fault, and a gateway before it that neither tries again nor learns from it.
async fn behind(faults: &[&str]) -> (Gateway, SimServer) {
    let model = |fault: &&str| ModelConfig::instant(*fault).fault(FaultRule::new(fault.parse().unwrap()));
    let healthy = ModelConfig::instant("healthy");
    let sim = Sim::try_from(SimConfig::new(faults.iter().map(model).chain([healthy]))).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    (Gateway::start(&format!("{ONE_TO_ONE}{}", provider(&server.base_url()))).await, server)
}

/// Faults before any content, and the status and error kind that the caller gets, whole and streamed alike.
const BEFORE_CONTENT: &[(&str, u16, &str)] = &[
    ("status 400", 400, "invalid_request"),
    ("status 401", 502, "provider_credentials"),
    ("status 402", 429, "quota_exhausted"),
    ("status 403", 502, "provider_credentials"),
    ("status 413", 413, "too_large"),
    ("status 429 retry-after=7", 429, "rate_limited"),
    ("status 500", 502, "server"),
    ("status 502", 502, "server"),
    ("status 503", 503, "overloaded"),
    ("status 504", 504, "timeout_head"),
    ("status 529", 503, "overloaded"),
    ("error-body server_error", 502, "server"),
    ("error-body insufficient_quota", 429, "quota_exhausted"),
    ("cut", 502, "interrupted"),
    ("reset", 502, "interrupted"),
    ("cut after 0", 502, "interrupted"),
    ("reset after 0", 502, "interrupted"),
    ("error server_error after 0", 502, "server"),
];

#[tokio::test]
async fn a_failure_before_content_is_a_status() {
    let faults: Vec<&str> = BEFORE_CONTENT.iter().map(|(fault, ..)| *fault).collect();
    let (gateway, _server) = behind(&faults).await;
    for (fault, status, kind) in BEFORE_CONTENT {
        for stream in [false, true] {
            let answer = gateway.post("/v1/chat/completions", chat(fault, stream)).await;
            let text = answer.text();
            assert_eq!(answer.status.as_u16(), *status, "{fault}, stream: {stream}: {text}");
            assert_eq!(answer.header("x-llm-error-kind"), Some(*kind), "{fault}, stream: {stream}: {text}");
            assert!(!answer.error_message().is_empty(), "{fault}, stream: {stream}");
            assert!(!text.contains("sk-upstream"), "{fault}: {text}");
        }
    }
    assert!(!gateway.post("/v1/chat/completions", chat("healthy", false)).await.content().is_empty());
}

#[tokio::test]
async fn retry_advice_reaches_the_caller() {
    let (gateway, _server) = behind(&["status 429 retry-after=7", "status 402"]).await;
    let throttled = gateway.post("/v1/chat/completions", chat("status 429 retry-after=7", true)).await;
    assert_eq!(throttled.header("retry-after"), Some("7"));
    assert_eq!(throttled.header("x-should-retry"), Some("true"));
    assert_eq!(throttled.header("x-llm-error-origin"), Some("upstream"));
    let broke = gateway.post("/v1/chat/completions", chat("status 402", false)).await;
    assert_eq!(broke.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn a_failure_after_content_is_an_error_within_the_stream() {
    let faults = [
        ("cut after 5", "interrupted"),
        ("reset after 5", "interrupted"),
        ("end after 5", "interrupted"),
        ("garbage after 5", "undecodable"),
        ("error server_error after 5", "server"),
        ("error rate_limit_exceeded after 5", "rate_limited"),
    ];
    let (gateway, _server) = behind(&faults.map(|(fault, _)| fault)).await;
    for (fault, kind) in faults {
        let mut stream = gateway.stream(fault).await;
        stream.read_to_end().await;
        assert!(!stream.content().is_empty(), "{fault}: what had come is handed on");
        let error = stream.error().unwrap_or_else(|| panic!("{fault}: no error in {}", stream.text));
        assert!(error["message"].is_string() && error["type"].is_string(), "{fault} ({kind}): {error}");
        assert!(!stream.is_terminated(), "{fault}: no terminator after a failure");
        assert_eq!(stream.finishes(), 0, "{fault}: no finish reason after a failure");
        assert!(stream.text.ends_with("\n\n"), "{fault}: the stream ends with a whole event");
    }
}

/// Once the head has gone out early, a failure can only be told within the stream.
#[tokio::test]
async fn a_head_that_waits_for_nothing_leaves_failures_to_the_stream() {
    let model = ModelConfig::instant("m").fault(FaultRule::new("delay 300ms; status 500".parse().unwrap()));
    let sim = Sim::try_from(SimConfig::new([model])).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let config = format!("{ONE_TO_ONE}[server]\nhead_after = \"10ms\"\n{}", provider(&server.base_url()));
    let gateway = Gateway::start(&config).await;
    let mut stream = gateway.stream("m").await;
    stream.read_to_end().await;
    assert!(stream.error().is_some() && !stream.is_terminated(), "{}", stream.text);
}

#[tokio::test]
async fn a_whole_answer_that_was_cut_is_no_answer() {
    let faults = ["cut after 5", "reset after 5", "end after 5"];
    let (gateway, _server) = behind(&faults).await;
    for fault in faults {
        let answer = gateway.post("/v1/chat/completions", chat(fault, false)).await;
        assert_eq!(answer.status.as_u16(), 502, "{fault}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_is_odd_but_whole_passes_unharmed() {
    let faults = ["one-byte-writes", "delay 20ms", "stall 20ms after 3"];
    let (gateway, _server) = behind(&faults).await;
    for fault in faults {
        let mut stream = gateway.stream(fault).await;
        stream.read_to_end().await;
        assert!(
            stream.is_terminated() && stream.finishes() == 1 && stream.error().is_none(),
            "{fault}: {}",
            stream.text
        );
        assert!(!gateway.post("/v1/chat/completions", chat(fault, false)).await.content().is_empty(), "{fault}");
    }
}

/// Whether the provider saw the last caller leave.
fn has_left(server: &SimServer) -> bool {
    matches!(server.log().last().and_then(|received| received.ended), Some(Ended::CallerLeft { .. }))
}

/// Whatever a caller was waiting for: when it leaves, the provider is left too.
#[tokio::test]
async fn a_caller_who_leaves_a_hanging_call_takes_the_provider_along() {
    let faults = ["hang", "hang after 0", "hang after 3", "pings 1ms", "stall 10m after 3"];
    let (gateway, server) = behind(&faults).await;
    for fault in faults {
        for stream in [false, true] {
            let begun = server.log().len();
            let request = gateway.request(Method::POST, "/v1/chat/completions", chat(fault, stream));
            tokio::select! {
                // A stream that has begun is read no further, and dropped with its connection.
                response = gateway.send(request) => {
                    assert!(stream, "{fault}: a whole answer cannot have come");
                    drop(response);
                }
                _ = server.until(|log| log.len() > begun) => {}
            }
            server.until(|log| log.len() > begun && log.iter().all(|received| received.ended.is_some())).await;
            assert!(has_left(&server), "{fault}, stream: {stream}");
        }
    }
    assert_eq!(gateway.post("/v1/chat/completions", chat("healthy", false)).await.status, 200);
}

/// Behind bytes that nobody reads before the answer is over, the end of a connection is seen all the same; and who
/// closes the sending half is taken for gone.
#[tokio::test]
async fn a_caller_who_leaves_behind_unread_bytes_takes_the_provider_along() {
    let (gateway, server) = behind(&["hang", "hang after 3"]).await;
    let request = |fault: &str, stream: bool| {
        let body = chat(fault, stream);
        let length = body.len();
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    };
    for (fault, stream) in [("hang", false), ("hang", true), ("hang after 3", true)] {
        for rest in ["\r\n".to_owned(), request("healthy", false), "x".repeat(20_000)] {
            for is_half_closed in [false, true] {
                let begun = server.log().len();
                let mut caller = TcpStream::connect(gateway.address).await.unwrap();
                caller.write_all((request(fault, stream) + &rest).as_bytes()).await.unwrap();
                server.until(|log| log.len() > begun).await;
                caller.shutdown().await.unwrap();
                let caller = is_half_closed.then_some(caller);
                server.until(|log| log[begun..].iter().all(|received| received.ended.is_some())).await;
                assert!(has_left(&server), "{fault}, stream: {stream}, then {} bytes", rest.len());
                assert_eq!(server.log().len(), begun + 1, "what was in line is not begun");
                drop(caller);
            }
        }
    }
}

/// The model says a token every few milliseconds; the caller leaves after the third.
#[tokio::test]
async fn a_caller_who_leaves_is_seen_by_the_provider_before_ten_more_tokens() {
    let slow = ModelConfig { tokens_per_second: 20.0, output_tokens: 500, ..ModelConfig::instant("slow") };
    let sim = Sim::try_from(SimConfig::new([slow])).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(&provider(&server.base_url())).await;
    let mut stream = gateway.stream("slow").await;
    assert!(stream.read_events(3).await);
    let read = stream.events().len() as u64;
    drop(stream);
    let log = server.until(|log| log.iter().all(|received| received.ended.is_some())).await;
    assert!(has_left(&server));
    let sent = log[0].tokens_sent;
    assert!(sent <= read + 10, "the provider sent {sent} tokens to a caller who left after {read} events");
}
