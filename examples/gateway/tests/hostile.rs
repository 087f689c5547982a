//! Callers who mean no good, or do not know better, get a prompt refusal, and the next caller is served.

#![allow(clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use harness::{ADMIN, Gateway, chat, raw::raw};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONFIG: &str = "[server]\nmax_body_bytes = 100000\nhead_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n\
                      [simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 1000.0 }]\n";

async fn is_served(gateway: &Gateway) {
    assert!(!gateway.post("/v1/chat/completions", chat("m", false)).await.content().is_empty());
}

#[tokio::test]
async fn bad_bodies_get_a_4xx_in_the_callers_dialect() {
    let gateway = Gateway::start(CONFIG).await;
    let deep =
        |open: &str, close: &str| format!(r#"{{"model":"m","x":{}{}}}"#, open.repeat(10_000), close.repeat(10_000));
    for (name, body, status) in [
        ("empty", Vec::new(), 400),
        ("broken", b"{\"model\":".to_vec(), 400),
        ("not an object", b"[1]".to_vec(), 400),
        ("invalid utf-8", b"{\"model\":\"\xff\",\"messages\":[]}".to_vec(), 400),
        ("deep arrays", deep("[", "]").into(), 400),
        ("deep objects", deep("{\"a\":", "}").into(), 400),
        ("duplicate key", br#"{"model":"m","model":"n","messages":[{"role":"user","content":"x"}]}"#.to_vec(), 400),
        (
            "line end in the model",
            br#"{"model":"m\r\nx-a: b","messages":[{"role":"user","content":"x"}]}"#.to_vec(),
            400,
        ),
        ("wrong type", br#"{"model":"m","messages":"hello"}"#.to_vec(), 400),
        (
            "negative limit",
            br#"{"model":"m","max_tokens":-1,"messages":[{"role":"user","content":"x"}]}"#.to_vec(),
            400,
        ),
        ("too large", vec![b' '; 100_001], 413),
        ("much too large", vec![b' '; 10_000_000], 413),
    ] {
        let answer = gateway.post("/v1/chat/completions", body).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", answer.text());
        assert!(!answer.error_message().is_empty(), "{name}");
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn a_body_without_an_end_is_refused_when_it_is_too_large() {
    let gateway = Gateway::start(CONFIG).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let answer = raw(gateway.address, format!("{head}{chunk}{chunk}{chunk}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    is_served(&gateway).await;
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_are_cut() {
    let gateway = Gateway::start(CONFIG).await;
    assert_eq!(raw(gateway.address, b"POST /v1/chat/comp").await, "", "a head that never ends");
    assert_eq!(raw(gateway.address, b"").await, "", "a connection on which nothing comes");
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{";
    let answer = raw(gateway.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    is_served(&gateway).await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_limit_on_heads() {
    let gateway = Gateway::start(CONFIG).await;
    let mut connection = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for _ in 0..2 {
        connection.write_all(request).await.unwrap();
        let mut answer = [0; 256];
        let read = connection.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
        // The limit on heads passes twice on the gateway's clock, which cannot be paused from here.
        let silence = tokio::time::timeout(Duration::from_millis(700), connection.read(&mut answer)).await;
        assert!(silence.is_err(), "the connection was closed although nothing was slow");
    }
}

#[tokio::test]
async fn smuggled_and_malformed_heads_never_reach_a_door() {
    let gateway = Gateway::start(CONFIG).await;
    for head in [
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nhost : h\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let answer = raw(gateway.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
    }
    let huge = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(200_000));
    let answer = raw(gateway.address, huge.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    is_served(&gateway).await;
}

/// The answer is larger than what the sockets in between can hold.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let config = "[server]\nwrite_timeout = \"300ms\"\n[simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\", \
                  tokens_per_second = 1000000.0, output_tokens = 100000 }]\n";
    let gateway = Gateway::start(&format!("{ADMIN}{config}")).await;
    let mut connection = TcpStream::connect(gateway.address).await.unwrap();
    let body = chat("m", true);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 64];
    assert!(connection.read(&mut first).await.unwrap() > 0);
    // Nothing more is read, and the connection stays open on this side.
    assert_eq!(gateway.until_idle().await, 1);
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_with_comments() {
    let config = "[server]\nheartbeat = \"20ms\"\n[simulated]\n\
                  models = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 4.0 }]\n";
    let gateway = Gateway::start(config).await;
    let mut stream = gateway.stream("m").await;
    assert!(stream.read_events(4).await);
    assert!(stream.text.contains("\n\n: \n\n"), "{}", stream.text);
}
