//! A request that is too large is refused at once, and takes no more memory than one that is not.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use futures_util::future::join_all;
use harness::{
    Gateway,
    doors::{CHAT, DOORS, Door},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONFIG: &str = "[server]\nmax_body_bytes = 1000000\n[simulated]\n\
                      models = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 100000.0 }, \
                      { name = \"e\", dimensions = 8 }]\n";

/// Fifty megabytes.
const HUGE: usize = 50 * 1024 * 1024;

async fn connect(gateway: &Gateway, door: &Door, lines: &str) -> TcpStream {
    let mut connection = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!("POST {} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n\r\n", door.path);
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// Reads an answer's first bytes, and then whether it is the one that is meant.
async fn is_refused(connection: &mut TcpStream) {
    let mut answer = vec![0; 4096];
    let read = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

async fn is_served(gateway: &Gateway) {
    let answer = gateway.post(CHAT.path, CHAT.body("m", "")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn an_announced_length_is_refused_before_the_body_comes() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        for length in [1_000_001, HUGE, 1 << 62] {
            // Nothing of the body is ever sent.
            is_refused(&mut connect(&gateway, &door, &format!("content-length: {length}")).await).await;
        }
        // Also for those who ask before they send.
        let lines = format!("content-length: {HUGE}\r\nexpect: 100-continue");
        is_refused(&mut connect(&gateway, &door, &lines).await).await;
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn a_body_without_an_end_is_refused_at_its_limit() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let mut connection = connect(&gateway, &door, "transfer-encoding: chunked").await;
        // A little more than the limit, and then nothing: the answer comes all the same.
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        connection.write_all(chunk.repeat(16).as_bytes()).await.unwrap();
        is_refused(&mut connection).await;
        // A chunk of any announced size is not believed before it has come.
        let mut connection = connect(&gateway, &door, "transfer-encoding: chunked").await;
        let chunk = format!("fffffffffffff000\r\n{}", " ".repeat(1_000_001));
        connection.write_all(chunk.as_bytes()).await.unwrap();
        is_refused(&mut connection).await;
    }
    is_served(&gateway).await;
}

/// Eight at once, with and without an announced length, sent to the end although nobody wants it.
#[tokio::test]
async fn fifty_megabytes_leave_the_memory_flat() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    is_served(&gateway).await;
    let before = gateway.memory();
    let piece = " ".repeat(0x10000);
    let send = async |number: usize| {
        let door = DOORS[number % DOORS.len()];
        let is_chunked = number < 4;
        let lines =
            if is_chunked { "transfer-encoding: chunked".to_owned() } else { format!("content-length: {HUGE}") };
        let mut connection = connect(&gateway, &door, &lines).await;
        let (mut read, mut write) = connection.split();
        let piece = if is_chunked { format!("10000\r\n{piece}\r\n") } else { piece.clone() };
        let sending = async {
            for _ in 0..HUGE / 0x10000 {
                // The gateway closes the connection when it has lingered long enough.
                if write.write_all(piece.as_bytes()).await.is_err() {
                    break;
                }
            }
        };
        let reading = async {
            let mut answer = vec![0; 4096];
            let count = read.read(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer[..count]).into_owned()
        };
        let ((), answer) = tokio::join!(sending, reading);
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    };
    join_all((0..8).map(send)).await;
    is_served(&gateway).await;
    let peak = gateway.peak_memory();
    // Those without a length may fill their limit first, with room to grow.
    assert!(peak < before + 32_768, "{before} KiB, and {peak} KiB at the most");
}

/// Large requests are read, looked at and let go, refused or not.
#[tokio::test]
async fn large_requests_leave_no_memory_behind() {
    let gateway = Gateway::start_bare().await;
    let large = |valid: bool| {
        let text = "x".repeat(3 * 1024 * 1024);
        let model = if valid { "llama-3-8b" } else { "mystery" };
        format!(r#"{{"model":"{model}","max_tokens":3,"messages":[{{"role":"user","content":"{text}"}}]}}"#)
    };
    let round = async || {
        for number in 0..10 {
            let answer = gateway.post("/v1/chat/completions", large(number % 2 == 0)).await;
            assert!(answer.status.is_client_error(), "it does not fit the model's context, or there is no such model");
        }
    };
    round().await;
    let before = gateway.memory();
    for _ in 0..4 {
        round().await;
    }
    let after = gateway.memory();
    // Forty requests that each stayed would be 120 MB.
    assert!(after < before + 32_768, "{before} KiB, then {after} KiB");
}
