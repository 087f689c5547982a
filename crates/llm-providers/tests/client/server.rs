//! A small http server on a loopback socket that streams a script.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::Semaphore};

pub(crate) const FIRST: &str =
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

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

struct State {
    connections: AtomicUsize,
    received: Semaphore,
    dropped: Semaphore,
    released: Arc<Semaphore>,
}

impl Server {
    pub(crate) async fn http1(then: fn() -> Then) -> Self {
        Self::start(None, then).await
    }

    pub(crate) async fn http2(max_streams: u32, then: fn() -> Then) -> Self {
        Self::start(Some(max_streams), then).await
    }

    async fn start(http2_streams: Option<u32>, then: fn() -> Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = Arc::new(State {
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
                    let state = Arc::clone(&state);
                    let service = service_fn(move |_| respond(then(), Arc::clone(&state)));
                    let io = TokioIo::new(socket);
                    tokio::spawn(async move {
                        let _ = match http2_streams {
                            None => hyper::server::conn::http1::Builder::new().serve_connection(io, service).await,
                            Some(streams) => {
                                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                                    .max_concurrent_streams(streams)
                                    .serve_connection(io, service)
                                    .await
                            }
                        };
                    });
                }
            }
        });
        Self { base_url, state }
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
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

async fn respond(then: Then, state: Arc<State>) -> Result<Response<ServerBody>, Infallible> {
    state.received.add_permits(1);
    let dropped = Dropped(Arc::clone(&state));
    let (frames, end) = match then {
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
