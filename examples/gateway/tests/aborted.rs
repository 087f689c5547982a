//! Connections that break off at any moment leave nothing behind.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use futures_util::{StreamExt, stream};
use harness::{
    ADMIN, Gateway, chat,
    doors::{CHAT, DOORS, Door},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONFIG: &str = "[simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 50.0, output_tokens = 500 }, \
                      { name = \"quick\", first_token = \"1ms\", tokens_per_second = 100000.0 }, \
                      { name = \"slow\", first_token = \"1h\" }, { name = \"e\", dimensions = 8 }]\n";

/// What a client has sent when it leaves, and how many bytes of the answer it reads first.
fn stages(door: &Door) -> Vec<(&'static str, Vec<u8>, usize)> {
    let model = if door.path.ends_with("embeddings") { "e" } else { "quick" };
    let whole = door.request("", &door.body(model, ""));
    let head_ends = whole.find("\r\n\r\n").unwrap() + 4;
    let chunked = format!("POST {} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n", door.path);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut stages = vec![
        ("before the head", Vec::new(), 0),
        ("within the first line", whole.as_bytes()[..9].to_vec(), 0),
        ("within the head", whole.as_bytes()[..head_ends - 3].to_vec(), 0),
        ("behind the head", whole.as_bytes()[..head_ends].to_vec(), 0),
        ("within the body", whole.as_bytes()[..head_ends + 10].to_vec(), 0),
        ("within a chunk's size", format!("{chunked}1").into_bytes(), 0),
        ("within a chunk", format!("{chunked}10\r\n{{").into_bytes(), 0),
        ("before the last chunk", format!("{chunked}1\r\n{{\r\n").into_bytes(), 0),
        ("before the answer", whole.as_bytes().to_vec(), 0),
        ("within the answer", whole.as_bytes().to_vec(), 20),
        ("within the next head", format!("{whole}{}", &whole[..30]).into_bytes(), 1),
        ("within the preface of HTTP/2", preface[..20].to_vec(), 0),
        ("behind the preface of HTTP/2", preface.to_vec(), 9),
        ("within a frame of HTTP/2", [&preface[..], b"\0\0\x40\x01\x04\0\0\0\x01\x83"].concat(), 9),
    ];
    if door.path == CHAT.path {
        let ask = |model: &str, stream: bool| door.request("", &chat(model, stream)).into_bytes();
        stages.push(("within a stream", ask("m", true), 400));
        stages.push(("long within a stream", ask("m", true), 2_000));
        stages.push(("while a stream waits", ask("slow", true), 0));
        stages.push(("while an answer waits", ask("slow", false), 0));
    }
    stages
}

/// Leaves with a reset instead of a farewell, if so wanted.
async fn abort(gateway: &Gateway, sent: &[u8], read: usize, is_reset: bool) {
    let mut connection = TcpStream::connect(gateway.address).await.unwrap();
    connection.write_all(sent).await.unwrap();
    let mut answer = vec![0; read];
    connection.read_exact(&mut answer).await.unwrap();
    if is_reset {
        connection.set_zero_linger().unwrap();
    }
}

/// Waits until the gateway has seen everybody leave.
async fn until_left(gateway: &Gateway, tasks: u64, descriptors: usize) {
    for _ in 0..5_000 {
        if gateway.tasks().await <= tasks && gateway.descriptors() <= descriptors {
            return;
        }
    }
    panic!("{} tasks of {tasks}, {} descriptors of {descriptors}", gateway.tasks().await, gateway.descriptors());
}

#[tokio::test]
async fn five_hundred_connections_aborted_at_every_stage_leave_nothing_behind() {
    let gateway = Gateway::start_quiet(&format!("{ADMIN}{CONFIG}")).await;
    let stages: Vec<_> = DOORS.iter().flat_map(stages).collect();
    let round = async || {
        let aborted = |number: usize| {
            let (_, sent, read) = &stages[number / 2 % stages.len()];
            abort(&gateway, sent, *read, number.is_multiple_of(2))
        };
        stream::iter(0..500).for_each_concurrent(50, aborted).await;
    };
    gateway.post(CHAT.path, chat("quick", false)).await.content();
    let (tasks, descriptors) = (gateway.tasks().await, gateway.descriptors());
    round().await;
    until_left(&gateway, tasks, descriptors).await;
    let memory = gateway.memory();
    for _ in 0..3 {
        round().await;
    }
    until_left(&gateway, tasks, descriptors).await;
    gateway.until_idle().await;
    let after = gateway.memory();
    // 1,500 connections that each left four kilobytes would show as six megabytes.
    assert!(after < memory + 4_096, "{memory} KiB, then {after} KiB");
    gateway.post(CHAT.path, chat("quick", false)).await.content();
}
