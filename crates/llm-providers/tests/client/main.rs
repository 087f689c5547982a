//! The http client over real sockets: what is pooled, what is cancelled, whom it trusts, and how connecting fails.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong, also in its helpers")]

mod server;
mod tls;

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use llm_core::{Body, Error, ErrorKind, LlmRequest, LlmResponse, Phase};
use llm_providers::{Client, ClientConfig, HttpVersion, Provider, ProviderLayer};
use server::{DONE, FIRST, FIRST_MESSAGE, MESSAGE_DONE, Server, Then};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower::{Layer, ServiceExt};

/// A provider at a base URL.
type At = fn(&str) -> ProviderLayer;

fn openai(base_url: &str) -> ProviderLayer {
    ProviderLayer::openai("p", base_url.parse().unwrap())
}

fn anthropic(base_url: &str) -> ProviderLayer {
    ProviderLayer::anthropic("p", base_url.parse().unwrap())
}

async fn ask(client: &Client, base_url: &str) -> Result<LlmResponse, Error> {
    openai(base_url).layer(client.clone()).oneshot(LlmRequest::chat("m").user("hi").stream().build()).await
}

/// Opens a stream and reads its first content. A call that never gets there is to fail, not to hang.
async fn begin(client: &Client, layer: ProviderLayer) -> Body {
    let request = LlmRequest::chat("m").user("hi").stream().build();
    let first = async {
        let mut body = layer.layer(client.clone()).oneshot(request).await.unwrap().body;
        while !body.next().await.unwrap().unwrap().is_content() {}
        body
    };
    tokio::time::timeout(Duration::from_secs(30), first).await.expect("the call waits in line")
}

fn http2(streams: u32, connections: u16) -> Client {
    let config = ClientConfig {
        http_version: HttpVersion::Http2,
        max_streams_per_connection: NonZeroU32::new(streams).unwrap(),
        max_connections: NonZeroU16::new(connections).unwrap(),
        ..ClientConfig::default()
    };
    Client::try_from(config).unwrap()
}

/// Lets the client's own tasks, which are on this thread, do what they can do without the network.
async fn settle(client: &Client) {
    while !format!("{client:?}").ends_with("open: 0 }") {
        tokio::task::yield_now().await;
    }
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_stream() {
    for (at, then) in [
        (openai as At, (|| Then::End(&[FIRST, DONE])) as fn() -> Then),
        (anthropic, || Then::End(&[FIRST_MESSAGE, MESSAGE_DONE])),
    ] {
        let server = Server::http1(then).await;
        let client = Client::default();
        for _ in 0..5 {
            let provider = at(&server.base_url).layer(client.clone());
            let response = provider.oneshot(LlmRequest::chat("m").user("hi").stream().build()).await.unwrap();
            assert_eq!(response.body.collect().await.unwrap().first_text(), "Hello");
            settle(&client).await;
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_connection_is_used_again_although_the_end_lags_behind_the_last_frame() {
    for (at, then) in [
        (openai as At, (|| Then::EndWhenReleased(&[FIRST, DONE])) as fn() -> Then),
        (anthropic, || Then::EndWhenReleased(&[FIRST_MESSAGE, MESSAGE_DONE])),
    ] {
        let server = Server::http1(then).await;
        let client = Client::default();
        for _ in 0..5 {
            let body = begin(&client, at(&server.base_url)).await;
            assert_eq!(body.collect().await.unwrap().first_text(), "");
            server.release();
            settle(&client).await;
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_dropped_stream_is_cancelled_at_the_server() {
    for (at, then) in
        [(openai as At, (|| Then::Hang(&[FIRST])) as fn() -> Then), (anthropic, || Then::Hang(&[FIRST_MESSAGE]))]
    {
        for (server, client) in
            [(Server::http1(then).await, Client::default()), (Server::http2(100, then).await, http2(100, 1))]
        {
            let body = begin(&client, at(&server.base_url)).await;
            drop(body);
            server.response_dropped().await;
            settle(&client).await;
        }
    }
}

#[tokio::test]
async fn dropping_the_call_before_its_head_is_cancelled_at_the_server_too() {
    for (server, client) in [
        (Server::http1(|| Then::NoHead).await, Client::default()),
        (Server::http2(100, || Then::NoHead).await, http2(100, 1)),
    ] {
        let base_url = server.base_url.clone();
        let asking = tokio::spawn({
            let client = client.clone();
            async move { ask(&client, &base_url).await.map(drop) }
        });
        server.request_received().await;
        asking.abort();
        server.response_dropped().await;
        settle(&client).await;
    }
}

#[tokio::test]
async fn further_http2_connections_are_opened_where_one_would_cap_the_streams() {
    let server = Server::http2(4, || Then::Hang(&[FIRST])).await;
    let client = http2(4, 64);
    let bodies = join_all((0..10).map(|_| begin(&client, openai(&server.base_url)))).await;
    assert_eq!(server.connections(), 3);
    drop(bodies);
    settle(&client).await;
    let bodies = join_all((0..12).map(|_| begin(&client, openai(&server.base_url)))).await;
    assert_eq!(server.connections(), 3, "connections are used again");
    drop(bodies);
}

#[tokio::test]
async fn calls_beyond_all_connections_wait_for_a_stream_to_end() {
    let server = Server::http2(2, || Then::Hang(&[FIRST])).await;
    let client = http2(2, 1);
    let mut bodies = join_all((0..2).map(|_| begin(&client, openai(&server.base_url)))).await;
    let mut third = Box::pin(begin(&client, openai(&server.base_url)));
    for _ in 0..32 {
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    bodies.pop();
    third.await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_refused_connection_is_a_failed_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(&Client::default(), &base_url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.target().unwrap().to_string(), "p/m");
}

#[tokio::test(start_paused = true)]
async fn a_tls_handshake_that_hangs_is_a_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}/v1", listener.local_addr().unwrap());
    let begun = tokio::time::Instant::now();
    let config = ClientConfig { connect_timeout: Duration::from_secs(3), ..ClientConfig::default() };
    let error = ask(&Client::try_from(config).unwrap(), &base_url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Connect));
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn a_server_that_closes_without_an_answer_is_an_interruption() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
    });
    let error = ask(&Client::default(), &base_url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn a_server_that_closes_within_a_stream_is_an_interruption() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let piece = format!("{head}{:x}\r\n{FIRST}\r\n", FIRST.len());
        socket.write_all(piece.as_bytes()).await.unwrap();
    });
    let mut body = begin(&Client::default(), openai(&base_url)).await;
    let error = body.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn the_configured_client_is_the_one_that_is_used() {
    let mut config = llm_providers::ProviderConfig::new("ollama");
    let server = Server::http2(100, || Then::End(&[FIRST, DONE])).await;
    config.base_url = Some(server.base_url.clone());
    config.client.http_version = HttpVersion::Http2;
    let provider = Provider::try_from(config).unwrap();
    let response = provider.oneshot(LlmRequest::chat("m").user("hi").stream().build()).await.unwrap();
    assert_eq!(response.body.collect().await.unwrap().first_text(), "Hello");
}
