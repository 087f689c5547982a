//! A small http server on a loopback socket, in the clear or over TLS, that streams a script.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::{Body, Frame};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

pub(crate) const FIRST: &str =
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// The same in Anthropic's dialect.
pub(crate) const FIRST_MESSAGE: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"Hello\"}}\n\n";
pub(crate) const MESSAGE_DONE: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// Sends these, and ends.
    End(&'static [&'static str]),
    /// Sends these, and ends when the test says so.
    EndWhenReleased(&'static [&'static str]),
    /// Sends these, and nothing more.
    Hang(&'static [&'static str]),
    /// Sends nothing at all.
    NoHead,
}

pub(crate) struct Server {
    pub(crate) base_url: String,
    state: Arc<State>,
}

/// What the server speaks.
#[derive(Clone)]
enum Speaks {
    Http1,
    Http2 {
        max_streams: u32,
    },
    /// HTTP/2 if both have agreed on it in the handshake, else HTTP/1.1.
    Tls(TlsAcceptor),
}

struct State {
    then: fn() -> Then,
    requests: Mutex<Vec<(Version, HeaderMap)>>,
    failed_handshakes: Semaphore,
    connections: AtomicUsize,
    received: Semaphore,
    dropped: Semaphore,
    released: Arc<Semaphore>,
}

impl Server {
    pub(crate) async fn http1(then: fn() -> Then) -> Self {
        Self::start(Speaks::Http1, then).await
    }

    pub(crate) async fn http2(max_streams: u32, then: fn() -> Then) -> Self {
        Self::start(Speaks::Http2 { max_streams }, then).await
    }

    /// A server over TLS, known as `localhost`.
    pub(crate) async fn tls(config: ServerConfig, then: fn() -> Then) -> Self {
        let mut server = Self::start(Speaks::Tls(TlsAcceptor::from(Arc::new(config))), then).await;
        server.base_url = server.base_url.replace("http://127.0.0.1", "https://localhost");
        server
    }

    async fn start(speaks: Speaks, then: fn() -> Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = Arc::new(State {
            then,
            requests: Mutex::default(),
            failed_handshakes: Semaphore::new(0),
            connections: AtomicUsize::new(0),
            received: Semaphore::new(0),
            dropped: Semaphore::new(0),
            released: Arc::new(Semaphore::new(0)),
        });
        tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    socket.set_nodelay(true).unwrap();
                    state.connections.fetch_add(1, SeqCst);
                    tokio::spawn(serve(socket, speaks.clone(), Arc::clone(&state)));
                }
            }
        });
        Self { base_url, state }
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// The version and the headers of each request that has come.
    pub(crate) fn requests(&self) -> Vec<(Version, HeaderMap)> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Until a TLS handshake has failed, each counting once.
    pub(crate) async fn handshake_failed(&self) {
        let failed = tokio::time::timeout(Duration::from_secs(30), self.state.failed_handshakes.acquire()).await;
        failed.expect("no handshake fails").unwrap().forget();
    }

    /// Ends one response that waits for it.
    pub(crate) fn release(&self) {
        self.state.released.add_permits(1);
    }

    /// Until a request has come, each counting once.
    pub(crate) async fn request_received(&self) {
        self.state.received.acquire().await.unwrap().forget();
    }

    /// Until a response was given up or has ended, each counting once.
    pub(crate) async fn response_dropped(&self) {
        let dropped = tokio::time::timeout(Duration::from_secs(30), self.state.dropped.acquire()).await;
        dropped.expect("the server never hears of it").unwrap().forget();
    }
}

async fn serve(socket: TcpStream, speaks: Speaks, state: Arc<State>) {
    match speaks {
        Speaks::Http1 => serve_http1(socket, state).await,
        Speaks::Http2 { max_streams } => serve_http2(socket, max_streams, state).await,
        Speaks::Tls(acceptor) => match acceptor.accept(socket).await {
            Ok(stream) if agreed_on_http2(&stream) => serve_http2(stream, 100, state).await,
            Ok(stream) => serve_http1(stream, state).await,
            Err(_) => state.failed_handshakes.add_permits(1),
        },
    }
}

fn agreed_on_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

async fn serve_http1(io: impl AsyncRead + AsyncWrite + Unpin, state: Arc<State>) {
    let service = service_fn(|request| respond(request, Arc::clone(&state)));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
}

async fn serve_http2(io: impl AsyncRead + AsyncWrite + Unpin, max_streams: u32, state: Arc<State>) {
    let service = service_fn(|request| respond(request, Arc::clone(&state)));
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(max_streams)
        .serve_connection(TokioIo::new(io), service)
        .await;
}

async fn respond(request: Request<Incoming>, state: Arc<State>) -> Result<Response<ServerBody>, Infallible> {
    state.requests.lock().unwrap().push((request.version(), request.headers().clone()));
    state.received.add_permits(1);
    let dropped = Dropped(Arc::clone(&state));
    let (frames, end) = match (state.then)() {
        Then::NoHead => std::future::pending().await,
        Then::End(frames) => (frames, Box::pin(async {}) as End),
        Then::Hang(frames) => (frames, Box::pin(std::future::pending()) as End),
        Then::EndWhenReleased(frames) => {
            let released = Arc::clone(&state.released);
            (frames, Box::pin(async move { released.acquire().await.unwrap().forget() }) as End)
        }
    };
    let body = ServerBody { frames: frames.iter(), end, _dropped: dropped };
    Ok(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
}

type End = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Dropped(Arc<State>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

struct ServerBody {
    frames: std::slice::Iter<'static, &'static str>,
    end: End,
    _dropped: Dropped,
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.next() {
            Some(frame) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(frame.as_bytes()))))),
            None => self.end.as_mut().poll(cx).map(|()| None),
        }
    }
}
