//! `[server]`: where and how the doors stand open.
//!
//! Limits on time are compared with one another and not with a clock: of two connections, which is cut first.

use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    matrix::Entry,
    scene::{Scene, with_header},
};

/// A simulated model that answers at once.
pub(crate) const QUICK: &str = "[[simulated.models]]\nname = \"m\"\ninput = 1.0\noutput = 2.0\nfirst_token = \"1ms\"\n\
                                tokens_per_second = 10000.0\noutput_tokens = 5\n";

pub(crate) fn entries() -> Vec<Entry> {
    [who_is_served(), what_is_slow(), answers(), leaving()].into_iter().flatten().collect()
}

async fn status(scene: Scene) -> String {
    scene.ask("m").await.status.as_str().to_owned()
}

fn who_is_served() -> Vec<Entry> {
    let listen = |scene: Scene| async move { format!("{} {}", scene.gateway.address.ip(), status(scene).await) };
    let hosts = |scene: Scene| async move {
        scene.ask_with("m", Value::Null, &[("host", "gateway.test")]).await.status.as_str().to_owned()
    };
    let large = |scene: Scene| async move {
        scene.ask_with("m", json!({ "user": "u".repeat(2_000) }), &[]).await.status.as_str().to_owned()
    };
    vec![
        Entry::new("server.listen", format!("[server]\nlisten = \"127.0.0.2:0\"\n{QUICK}"), listen)
            .instead("'127.0.0.1:0'")
            .shows("127.0.0.2 200"),
        Entry::new(
            "server.allow_anonymous",
            format!("[server]\nlisten = \"0.0.0.0:0\"\nallow_anonymous = true\n{QUICK}"),
            status,
        )
        .shows("200"),
        Entry::new("server.hosts", format!("[server]\nhosts = [\"gateway.test\"]\n{QUICK}"), hosts).shows("200"),
        Entry::new("server.max_connections", format!("[server]\nmax_connections = 1\n{QUICK}"), second_in_line)
            .shows("waits"),
        Entry::new("server.max_body_bytes", format!("[server]\nmax_body_bytes = 1000\n{QUICK}"), large).shows("413"),
    ]
}

/// Whether somebody on a second connection is answered while the first is served again and again.
async fn second_in_line(scene: Scene) -> String {
    let mut first = TcpStream::connect(scene.gateway.address).await.unwrap();
    let health = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    say(&mut first, health).await;
    let mut second = begun(&scene, &chat_head(&scene, "")).await;
    second.write_all(chat_body(&scene).as_bytes()).await.unwrap();
    for _ in 0..300 {
        say(&mut first, health).await;
        if second.try_read(&mut [0; 1]).is_ok() {
            return "is answered".to_owned();
        }
    }
    "waits".to_owned()
}

async fn say(connection: &mut TcpStream, request: &str) {
    assert!(is_answered(connection, request).await, "the connection was closed");
}

async fn is_answered(connection: &mut TcpStream, request: &str) -> bool {
    let sent = connection.write_all(request.as_bytes()).await;
    sent.is_ok() && connection.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0)
}

fn chat_body(scene: &Scene) -> String {
    let stream = scene.is_stream;
    json!({ "stream": stream, "model": "m", "messages": [{ "role": "user", "content": "Hello!" }] }).to_string()
}

/// The head of a chat's request, with further lines.
fn chat_head(scene: &Scene, lines: &str) -> String {
    let length = chat_body(scene).len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{lines}\
         content-length: {length}\r\n\r\n"
    )
}

/// A connection on which this was sent.
async fn begun(scene: &Scene, text: &str) -> TcpStream {
    let mut connection = TcpStream::connect(scene.gateway.address).await.unwrap();
    connection.write_all(text.as_bytes()).await.unwrap();
    connection
}

/// Another connection whose end comes some time after its request: by `idle_timeout` in the configurations here.
async fn idle(scene: &Scene) -> TcpStream {
    loop {
        let mut connection = TcpStream::connect(scene.gateway.address).await.unwrap();
        // The machine may be slower than the limit that is looked at.
        if is_answered(&mut connection, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await {
            return connection;
        }
    }
}

/// What is said on the one connection until it is closed, unless the other is closed before.
async fn said_before(mut one: TcpStream, mut other: TcpStream) -> String {
    let (mut said, mut rest) = (Vec::new(), Vec::new());
    tokio::select! {
        biased;
        _ = one.read_to_end(&mut said) => match said.strip_prefix(b"HTTP/1.1 ") {
            Some(answer) => format!("cut after {}", String::from_utf8_lossy(&answer[..3])),
            None => "cut".to_owned(),
        },
        _ = other.read_to_end(&mut rest) => "open".to_owned(),
    }
}

/// How somebody is answered on the one connection, unless the other is closed before.
async fn answered_before(mut one: TcpStream, mut other: TcpStream) -> String {
    let (mut said, mut rest) = ([0; 12], Vec::new());
    tokio::select! {
        biased;
        _ = one.read_exact(&mut said) => String::from_utf8_lossy(&said[9..]).into_owned(),
        _ = other.read_to_end(&mut rest) => "open".to_owned(),
    }
}

fn what_is_slow() -> Vec<Entry> {
    // Cut soon after its request, or not; the other, on which nothing is sent, by the limit on heads.
    let idles = |scene: Scene| async move {
        let asked = begun(&scene, &(chat_head(&scene, "") + &chat_body(&scene))).await;
        let mute = begun(&scene, "").await;
        said_before(asked, mute).await
    };
    let head = |scene: Scene| async move {
        let other = idle(&scene).await;
        said_before(begun(&scene, "POST /v1/chat/comp").await, other).await
    };
    let body = |scene: Scene| async move {
        let other = idle(&scene).await;
        let beginning = chat_head(&scene, "connection: close\r\n") + &chat_body(&scene)[..20];
        answered_before(begun(&scene, &beginning).await, other).await
    };
    vec![
        Entry::new(
            "server.idle_timeout",
            format!("[server]\nidle_timeout = \"100ms\"\nhead_timeout = \"3s\"\n{QUICK}"),
            idles,
        )
        .shows("cut after 200"),
        Entry::new(
            "server.head_timeout",
            format!("[server]\nhead_timeout = \"100ms\"\nidle_timeout = \"3s\"\n{QUICK}"),
            head,
        )
        .shows("cut"),
        Entry::new(
            "server.body_timeout",
            format!("[server]\nbody_timeout = \"100ms\"\nidle_timeout = \"3s\"\n{QUICK}"),
            body,
        )
        .shows("408"),
        Entry::new(
            "server.write_timeout",
            "[server]\nwrite_timeout = \"100ms\"\nidle_timeout = \"3s\"\n[[simulated.models]]\nname = \"m\"\n\
             first_token = \"1ms\"\ntokens_per_second = 1000000.0\noutput_tokens = 5000\n",
            unread,
        )
        .shows("cut"),
    ]
}

/// What becomes of an answer of which next to nothing is read until another connection is closed.
async fn unread(scene: Scene) -> String {
    let mut other = idle(&scene).await;
    let connection = TcpStream::connect(scene.gateway.address).await.unwrap();
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(1_000).initial_connection_window_size(4 << 20);
    let (mut sender, connection) = client.handshake(TokioIo::new(connection)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(scene.chat("m", Value::Null, &[])).await.unwrap();
    other.read_to_end(&mut Vec::new()).await.unwrap();
    match response.into_body().collect().await {
        Ok(_) => "whole".to_owned(),
        Err(_) => "cut".to_owned(),
    }
}

fn answers() -> Vec<Entry> {
    let comments = |scene: Scene| async move {
        let answer = scene.ask("m").await.text();
        if answer.contains("\n\n: \n\n") { "comments" } else { "no comments" }.to_owned()
    };
    let late_failure = |scene: Scene| async move {
        let answer = scene.ask("m").await;
        format!(
            "{}, {}",
            answer.status.as_str(),
            if answer.text().contains("\"error\"") { "an error" } else { "no error" }
        )
    };
    let tries = |scene: Scene| async move {
        let answer = scene.ask("down").await;
        format!("{} after {}", answer.status.as_str(), scene.upstream.sent().len())
    };
    let remaining = |scene: Scene| async move { with_header(&scene.ask("m").await, "x-ratelimit-remaining-requests") };
    let cost = |scene: Scene| async move {
        let text = scene.ask("m").await.text();
        if text.contains("\n: llm-cost-usd 0.0000") { "a cost" } else { "no cost" }.to_owned()
    };
    vec![
        Entry::new(
            "server.heartbeat",
            "[server]\nheartbeat = \"20ms\"\n[[simulated.models]]\nname = \"m\"\nfirst_token = \"1ms\"\n\
             tokens_per_second = 4.0\noutput_tokens = 3\n",
            comments,
        )
        .not_whole("a whole answer is no stream whose silence could be filled")
        .stream("comments"),
        Entry::new(
            "server.head_after",
            "retry = false\n[server]\nhead_after = \"20ms\"\n[[simulated.models]]\nname = \"m\"\n\
             faults = [{ fault = \"delay 1s; status 503\" }]\n",
            late_failure,
        )
        .not_whole("the head of a whole answer comes with it")
        .stream("200, an error"),
        Entry::new(
            "server.attempts",
            "[server]\nattempts = 1\n[retry]\nbase = \"1ms\"\nthrottled_base = \"1ms\"\n[[providers]]\nname = \"up\"\n\
             models = [\"*\"]\nbase_url = \"http://{upstream}/v1\"\nauth = \"none\"\n",
            tries,
        )
        .shows("503 after 1"),
        Entry::new(
            "server.provenance_headers",
            format!("[server]\nprovenance_headers = false\n{QUICK}"),
            |scene: Scene| async move { with_header(&scene.ask("m").await, "x-llm-target") },
        )
        .shows("200 -"),
        Entry::new(
            "server.remaining_headers",
            format!(
                "[server]\nremaining_headers = true\n[[limit.rules]]\nname = \"all\"\nrequests_per_minute = 10\n{QUICK}"
            ),
            remaining,
        )
        .shows("200 9"),
        Entry::new("server.cost_comment", format!("[server]\ncost_comment = true\n{QUICK}"), cost)
            .not_whole("a whole answer tells its cost in a header")
            .stream("a cost"),
    ]
}

fn leaving() -> Vec<Entry> {
    vec![
        Entry::new("server.drain_delay", format!("[server]\ndrain_delay = \"10m\"\n{QUICK}"), drained)
            .shows("leaving, 200"),
        Entry::new(
            "server.grace",
            "[server]\ngrace = \"20ms\"\n[[simulated.models]]\nname = \"m\"\nfirst_token = \"1ms\"\n\
             tokens_per_second = 3.0\noutput_tokens = 4\n",
            stopped_under_way,
        )
        .shows("cut"),
    ]
}

/// Whether the gateway still serves when it has been told to stop, again and again, each time on a connection of its own.
async fn drained(scene: Scene) -> String {
    scene.gateway.signal("TERM");
    let chat = chat_head(&scene, "connection: close\r\n") + &chat_body(&scene);
    let probe = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut served = 0;
    while served < 20 {
        match (tell(&scene, probe).await.as_deref(), tell(&scene, &chat).await.as_deref()) {
            // The signal has not arrived yet.
            (Some("200"), _) => {}
            (Some("503"), Some("200")) => served += 1,
            _ => return "gone".to_owned(),
        }
    }
    "leaving, 200".to_owned()
}

/// The status of an answer on a connection of its own, if there is one.
async fn tell(scene: &Scene, request: &str) -> Option<String> {
    let mut connection = TcpStream::connect(scene.gateway.address).await.ok()?;
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut said = Vec::new();
    connection.read_to_end(&mut said).await.ok()?;
    Some(String::from_utf8_lossy(said.get(9..12)?).into_owned())
}

/// What becomes of a call that is under way when the gateway is told to stop.
async fn stopped_under_way(scene: Scene) -> String {
    let mut connection = begun(&scene, &(chat_head(&scene, "") + &chat_body(&scene))).await;
    let mut said = Vec::new();
    if scene.is_stream {
        connection.read_buf(&mut said).await.unwrap();
    } else {
        // Answered after the request before it on another connection was taken, and it comes a second later.
        scene.gateway.get("/healthz").await;
    }
    scene.gateway.signal("TERM");
    let _ = connection.read_to_end(&mut said).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    let is_whole = if scene.is_stream { said.contains("[DONE]") } else { said.contains("\"usage\"") };
    if is_whole { "finished" } else { "cut" }.to_owned()
}
