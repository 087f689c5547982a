//! The doors in axum and in bare hyper, over real sockets, read byte by byte.

#![allow(clippy::unwrap_used)]

mod scripted;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::Version;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use llm_core::{Body, BoxLlmService, Error, Frame, Head, LlmResponse};
use llm_serve::{Door, DoorOptions, ModelInfo, Models};
use scripted::{ANTHROPIC, CLIENTS, DropCount, OPENAI, says, service, streaming};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Each client with each of the servers.
const EACH: [(scripted::Client, usize); 4] = [(OPENAI, 0), (OPENAI, 1), (ANTHROPIC, 0), (ANTHROPIC, 1)];

const PATHS: [&str; 3] = [OPENAI.path, ANTHROPIC.path, "/v1/messages/count_tokens"];

/// Both servers with the same door, so that each claim is made of both.
async fn servers(door: Door<BoxLlmService>) -> [SocketAddr; 2] {
    [in_axum(axum::Router::new().fallback_service(door.clone())).await, in_hyper(door).await]
}

async fn in_axum(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn in_hyper(door: Door<BoxLlmService>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(door.clone());
            tokio::spawn(async move {
                // A client that leaves in mid-stream is an error here, and the point of some tests.
                _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

fn models() -> Vec<ModelInfo> {
    vec![ModelInfo { id: "m".to_owned(), created: 1, owned_by: "acme".to_owned() }]
}

async fn connect(address: SocketAddr, path: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    socket
}

/// Reads until `end` has come, and returns all that came.
async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(end) {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the connection ended before {end:?}: {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    seen
}

#[tokio::test]
async fn a_whole_answer_has_its_length() {
    for client in CLIENTS {
        for address in servers(Door::new(says("Blue."), models())).await {
            let mut socket = connect(address, client.path, client.whole).await;
            let answer = read_until(&mut socket, "Blue.").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains("\r\ncontent-length: ") && !answer.contains("chunked"), "{answer}");
        }
    }
}

#[tokio::test]
async fn each_frame_arrives_before_the_next_is_made() {
    for (client, server) in EACH {
        let (service, frames) = streaming();
        let address = servers(Door::new(service, models())).await[server];
        let mut socket = connect(address, client.path, client.stream).await;
        frames.send(Ok(client.wired("a"))).unwrap();
        let head = read_until(&mut socket, "\r\n\r\n\r\n").await;
        assert!(head.contains("content-type: text/event-stream; charset=utf-8"), "{head}");
        for text in ["b", "c"] {
            frames.send(Ok(client.wired(text))).unwrap();
            let piece = read_until(&mut socket, "\r\n\r\n\r\n").await;
            let frame = client.wire_of(text);
            let expected = format!("{:X}\r\n{}\r\n", frame.len(), std::str::from_utf8(&frame).unwrap());
            assert_eq!(piece, expected, "one chunk for one frame");
        }
        frames.send(Ok(client.done())).unwrap();
        assert!(read_until(&mut socket, "0\r\n\r\n").await.contains(client.terminator));
    }
}

#[tokio::test]
async fn a_broken_stream_ends_as_proper_http() {
    for (client, server) in EACH {
        let (service, frames) = streaming();
        let address = servers(Door::new(service, models())).await[server];
        let mut socket = connect(address, client.path, client.stream).await;
        frames.send(Ok(client.wired("a"))).unwrap();
        drop(frames);
        let answer = read_until(&mut socket, "\r\n0\r\n\r\n").await;
        assert!(answer.contains("\"error\"") && !answer.contains(client.terminator), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_drops_the_answer() {
    for (client, server) in EACH {
        let (service, dropped, left) = silent(client);
        let address = servers(Door::new(service, models())).await[server];
        let mut socket = connect(address, client.path, client.stream).await;
        read_until(&mut socket, "odd").await;
        assert_eq!(dropped.load(SeqCst), 0);
        drop(socket);
        // The provider is silent: nothing but the closed connection tells.
        left.notified().await;
        assert_eq!(dropped.load(SeqCst), 1);
    }
}

/// A client that speaks HTTP/2 from its first byte, as gRPC's do.
fn over_http2() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

fn stream_at(address: SocketAddr, client: scripted::Client) -> http::Request<Full<Bytes>> {
    scripted::post(&format!("http://{address}{}", client.path), client.stream)
}

#[tokio::test]
async fn over_http2_too_each_frame_arrives_before_the_next_is_made() {
    for (client, server) in EACH {
        let (service, frames) = streaming();
        let address = servers(Door::new(service, models())).await[server];
        frames.send(Ok(client.wired("a"))).unwrap();
        let response = over_http2().request(stream_at(address, client)).await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
        let mut body = response.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), client.wire_of("a"));
        for text in ["b", "c"] {
            frames.send(Ok(client.wired(text))).unwrap();
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece, client.wire_of(text), "one piece for one frame");
        }
        frames.send(Ok(client.done())).unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), client.terminator);
    }
}

#[tokio::test]
async fn over_http2_a_stream_that_is_left_drops_its_answer_and_not_the_connection() {
    for (client, server) in EACH {
        let (service, dropped, left) = silent(client);
        let address = servers(Door::new(service, models())).await[server];
        let http2 = over_http2();
        let mut left_one = http2.request(stream_at(address, client)).await.unwrap().into_body();
        let mut other = http2.request(stream_at(address, client)).await.unwrap().into_body();
        left_one.frame().await.unwrap().unwrap();
        assert_eq!(dropped.load(SeqCst), 0);
        drop(left_one);
        left.notified().await;
        assert_eq!(dropped.load(SeqCst), 1);
        assert_eq!(other.frame().await.unwrap().unwrap().into_data().unwrap(), client.wire_of("a"));
        drop(other);
        left.notified().await;
        assert_eq!(dropped.load(SeqCst), 2);
    }
}

/// A service that says one thing and then nothing more; counts the answers that were dropped, and tells of each.
fn silent(client: scripted::Client) -> (BoxLlmService, Arc<AtomicUsize>, Arc<Notify>) {
    let (dropped, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, notify) = (Arc::clone(&dropped), Arc::clone(&left));
    let service = service(move |_| {
        let guard = (DropCount(Arc::clone(&count)), Leaving(Arc::clone(&notify)));
        let silence = futures_util::stream::pending().inspect(move |_: &Result<Frame, Error>| _ = &guard);
        let frames = futures_util::stream::iter([Ok(client.wired("a"))]).chain(silence);
        async { Ok(LlmResponse::new(Head::default(), Body::stream(frames))) }
    });
    (service, dropped, left)
}

/// Tells when it is dropped.
struct Leaving(Arc<Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn an_oversize_body_is_refused_before_it_is_sent() {
    let door = Door::new(scripted::unreached(), models()).options(DoorOptions::new().max_body_bytes(1024));
    for address in servers(door).await {
        for path in PATHS {
            let mut announced = TcpStream::connect(address).await.unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1025\r\n\r\n");
            announced.write_all(head.as_bytes()).await.unwrap();
            let answer = read_until(&mut announced, "\"error\"").await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

            let mut chunked = TcpStream::connect(address).await.unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = format!("401\r\n{}\r\n", " ".repeat(0x401));
            chunked.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
            let answer = read_until(&mut chunked, "\"error\"").await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_refused_and_the_connection_closed() {
    let options = DoorOptions::new().body_timeout(Duration::from_millis(20));
    for address in servers(Door::new(scripted::unreached(), models()).options(options)).await {
        for path in PATHS {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let sent = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{{");
            socket.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"error\""), "{answer}");
        }
    }
}

#[tokio::test]
async fn the_doors_fit_axums_ways_of_mounting() {
    let router = axum::Router::new()
        .route_service("/own/chat", Door::chat_completions(says("Blue.")))
        .route_service("/own/messages", Door::messages(says("Blue.")))
        .nest_service("/own/models", Models::new(models()))
        .nest_service("/v1", Door::new(says("Blue."), models()));
    let address = in_axum(router).await;
    for (client, own) in [(OPENAI, "/own/chat"), (ANTHROPIC, "/own/messages")] {
        for path in [own, client.path] {
            let mut socket = connect(address, path, client.whole).await;
            assert!(read_until(&mut socket, "Blue.").await.starts_with("HTTP/1.1 200 "), "{path}");
        }
    }
    for path in ["/own/models", "/own/models/m", "/v1/models", "/v1/models/m"] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        assert!(read_until(&mut socket, "acme").await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    for (path, is_anthropics) in [("/v1/nothing", false), ("/v1/messages/nothing", true)] {
        let mut socket = connect(address, path, "").await;
        let answer = read_until(&mut socket, "\"error\"").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert_eq!(answer.contains("\r\nrequest-id: "), is_anthropics, "in the dialect: {answer}");
    }
}
