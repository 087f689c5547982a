//! What one connection, or one client, can take from the others.

#![allow(clippy::unwrap_used)]

mod harness;

use std::{io::ErrorKind, time::Duration};

use bytes::Bytes;
use harness::{ADMIN, Answer, Gateway, chat};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Answers at once, of some 50 KB whole, and 2 MB streamed.
const LONG: &str = "[server]\nwrite_timeout = \"300ms\"\n[simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\", \
                    tokens_per_second = 1000000.0, output_tokens = 10000 }]\n";

/// A connection on which a stream may hold as much unread as stated.
async fn http2(gateway: &Gateway, window: u32) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(window).initial_connection_window_size(4 << 20);
    let (sender, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn an_http2_client_that_grants_no_window_loses_its_stream_and_no_other() {
    let gateway = Gateway::start(&format!("{ADMIN}{LONG}")).await;
    let mut client = http2(&gateway, 1_000).await;
    for stream in [true, false] {
        let asked = gateway.request(Method::POST, "/v1/chat/completions", chat("m", stream));
        let response = client.send_request(asked).await.unwrap();
        assert_eq!(response.status(), 200);
        // Nothing of the answer is read, while the connection goes on answering pings. The limit passes on the gateway's
        // clock, which cannot be paused from here; a whole answer does not even hold its call open until then.
        gateway.until_idle().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let rest = response.into_body().collect().await;
        assert!(rest.is_err(), "stream: {stream}: the answer was not cut");
    }
    let counts = gateway.status().await["calls"].clone();
    assert_eq!(counts["abandoned"], 1, "the stream; the whole answer was over before it was sent: {counts}");
    let request = Request::get(gateway.url("/healthz")).body(Full::default()).unwrap();
    assert_eq!(Answer::read(client.send_request(request).await.unwrap()).await.text(), "ok\n");
}

#[tokio::test]
async fn an_http2_client_that_reads_gets_everything() {
    let gateway = Gateway::start_quiet(LONG).await;
    let mut client = http2(&gateway, 10_000).await;
    for stream in [true, false] {
        let request = gateway.request(Method::POST, "/v1/chat/completions", chat("m", stream));
        let answer = Answer::read(client.send_request(request).await.unwrap()).await;
        let end = if stream { "data: [DONE]\n\n" } else { "}" };
        assert!(answer.body.len() > 30_000 && answer.text().trim_end().ends_with(end.trim_end()), "stream: {stream}");
    }
}

/// Asks on a connection of its own.
async fn ask(connection: &mut TcpStream) {
    connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
}

async fn is_answered(connection: &mut TcpStream) {
    let mut answer = [0; 1024];
    let read = connection.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_too_many_waits_for_a_place() {
    let config = "[server]\nmax_connections = 2\n[simulated]\nmodels = [{ name = \"m\" }]\n";
    let gateway = Gateway::start(config).await;
    let mut first = TcpStream::connect(gateway.address).await.unwrap();
    let mut second = TcpStream::connect(gateway.address).await.unwrap();
    let mut third = TcpStream::connect(gateway.address).await.unwrap();
    ask(&mut third).await;
    // The gateway has time enough for others, and none for the third.
    for _ in 0..50 {
        for connection in [&mut first, &mut second] {
            ask(connection).await;
            is_answered(connection).await;
        }
    }
    assert_eq!(third.try_read(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(first);
    is_answered(&mut third).await;
}
