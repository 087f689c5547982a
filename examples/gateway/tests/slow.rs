//! Callers who take their time are cut, those who only wait are not, and the next caller is served.

#![allow(clippy::unwrap_used)]

mod harness;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use harness::{
    ADMIN, Answer, Gateway, chat,
    doors::{CHAT, DOORS, Door},
    raw::raw,
};
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONFIG: &str = "[server]\nhead_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n\
                      [simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 1000.0 }]\n";
const SIMULATED: &str = "[simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 1000.0 }]\n";

async fn is_served(gateway: &Gateway) {
    assert!(!gateway.post("/v1/chat/completions", chat("m", false)).await.content().is_empty());
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

/// On HTTP/2 the gateway's pings are answered, and a request is what counts.
#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed_after_a_while() {
    let gateway = Gateway::start(&format!("[server]\nidle_timeout = \"300ms\"\n{SIMULATED}")).await;
    let head = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(raw(gateway.address, head.as_bytes()).await.ends_with("ok\n"), "and then it is closed");
    for stream in [false, true] {
        let answer = raw(gateway.address, CHAT.request("", &chat("m", stream)).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let request = Request::get(gateway.url("/healthz")).body(Full::<Bytes>::default()).unwrap();
    let (answer, closed) = tokio::join!(
        async {
            let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
            sender.ready().await.unwrap();
            answer
        },
        connection,
    );
    assert_eq!(answer.text(), "ok\n");
    assert!(closed.is_err() || sender.is_closed(), "the gateway closed it: this side is still there");
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

/// What callers who take their time have sent when they begin to: of the head, and of bodies.
fn beginnings() -> Vec<(String, &'static str)> {
    let of_door = |door: &Door| {
        let post = format!("POST {} HTTP/1.1\r\nhost: localhost\r\n", door.path);
        [
            (post.clone() + "x:", ""),
            (post.clone() + "content-length: 50000\r\n\r\n{", "HTTP/1.1 408"),
            (post + "transfer-encoding: chunked\r\n\r\nffff\r\n{", "HTTP/1.1 408"),
        ]
    };
    DOORS.iter().flat_map(of_door).collect()
}

/// Writes a beginning, then a byte now and then for as long as the gateway takes it, and tells how that was answered.
async fn trickle(address: SocketAddr, beginning: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(beginning.as_bytes()).await.unwrap();
    let (mut read, mut write) = connection.split();
    let mut answer = Vec::new();
    let dripping = async {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = read.read_to_end(&mut answer) => {}
        () = dripping => {}
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn hundreds_who_trickle_are_all_cut() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    let beginnings = beginnings();
    let slow = async |number: usize| {
        let (beginning, answered) = &beginnings[number % beginnings.len()];
        let answer = trickle(gateway.address, beginning).await;
        assert!(answer.starts_with(answered) && answer.is_empty() == answered.is_empty(), "{beginning:?}: {answer}");
    };
    join_all((0..300).map(slow)).await;
    is_served(&gateway).await;
}

/// Within their limits, which are long here, they wait; and nobody waits for them.
#[tokio::test]
async fn hundreds_who_take_their_time_keep_nobody_from_being_served() {
    let config = "[server]\nhead_timeout = \"10m\"\nbody_timeout = \"10m\"\nwrite_timeout = \"10m\"\n[simulated]\n\
                  models = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 1000.0 }, \
                  { name = \"long\", first_token = \"1ms\", tokens_per_second = 10.0, output_tokens = 1000 }]\n";
    let gateway = Gateway::start_quiet(&format!("{ADMIN}{config}")).await;
    let mut beginnings = beginnings();
    beginnings.push((CHAT.request("", &chat("long", true)), "HTTP/1.1 200"));
    let mut open = Vec::new();
    for (beginning, _) in beginnings.iter().cycle().take(50 * beginnings.len()) {
        let mut connection = TcpStream::connect(gateway.address).await.unwrap();
        connection.write_all(beginning.as_bytes()).await.unwrap();
        open.push(connection);
    }
    for connection in open.iter().skip(beginnings.len() - 1).step_by(beginnings.len()) {
        // Of a stream the head is awaited, and nothing is read.
        connection.readable().await.unwrap();
    }
    is_served(&gateway).await;
    assert_eq!(gateway.status().await["calls"]["open"], 50, "the streams that nobody reads");
    let is_begun = |connection: &&TcpStream| connection.try_read(&mut [0; 1]).is_ok();
    assert_eq!(open.iter().filter(is_begun).count(), 50, "all others wait too: nothing is answered, and nothing cut");
}
