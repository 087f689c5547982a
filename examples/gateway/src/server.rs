//! The accept loop: connections, their limits, and how they end.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
};
use tower::{Service, ServiceExt};
use tracing::{debug, error, warn};

use crate::{
    framing::Framed,
    linger::Lingering,
    served::Served,
    slow::{CutSlow, Heads, Serving, SlowLimits},
    stall::Streams,
};

/// The longest request head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How far the gateway is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// It serves on, and says that it will not for long.
    Leaving,
    /// Nothing new is taken.
    Stopping,
}

/// What connections are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How slow a client may be.
    pub(crate) slow: SlowLimits,
    /// How many connections are open at once; more wait to be accepted.
    pub(crate) connections: u32,
    /// How long open requests may go on once the gateway is stopping.
    pub(crate) grace: Duration,
}

/// What is served: to a connection, requests whose bodies are `B`.
pub(crate) trait App<B>:
    Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<B, S> App<B> for S where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// Serves `app` on `listener` until the gateway is stopping, then lets open requests finish. Connections are held to the
/// limits that hold when they begin.
pub(crate) async fn serve(
    listener: TcpListener,
    app: impl App<Lingering>,
    limits: watch::Receiver<Limits>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(limits.borrow().connections as usize));
    loop {
        tokio::select! {
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, place)) => {
                    let connection = connection(stream, app.clone(), limits.borrow().slow, phase.clone());
                    connections.spawn(async move {
                        let _place = place;
                        connection.await;
                    });
                }
                // Out of file descriptors, or the client is gone already: others may still be served.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(ended) = connections.join_next() => tell_panic(ended),
            () = stopping(&mut phase) => break,
        }
    }
    drop(listener);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            tell_panic(ended);
        }
    };
    let grace = limits.borrow().grace;
    if tokio::time::timeout(grace, drained).await.is_err() {
        warn!(open = connections.len(), "connections are still open after the grace time and are cut");
    }
}

/// Waits for a place, and then for a client to take it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// What panics within an answer, after its head, ends the connection's task.
fn tell_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection was lost");
    }
}

async fn connection(
    stream: TcpStream,
    app: impl App<Lingering>,
    limits: SlowLimits,
    mut phase: watch::Receiver<Phase>,
) {
    // Without it the first event of a stream can wait for the acknowledgement of the head.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let heads = Heads::default();
    let io = TokioIo::new(CutSlow::new(Framed::new(stream), limits, heads.clone()));
    // Boxed, because hyper keeps the room for one such future, some kilobytes, as long as the connection.
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        // At once, before hyper reads on: what it finds then is no beginning of a head.
        let serving = heads.note(request.version() == Version::HTTP_2);
        Box::pin(answer(app.clone(), serving, request))
    });
    let mut builder = auto::Builder::new(Streams { limit: limits.write });
    builder.http1().max_buf_size(MAX_HEAD).header_read_timeout(None).timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    let mut connection = pin!(builder.serve_connection(io, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopping(&mut phase) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "a connection ended");
    }
}

async fn stopping(phase: &mut watch::Receiver<Phase>) {
    // An error means that whoever could say so is gone.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
}

async fn answer(
    app: impl App<Lingering>,
    serving: Serving,
    request: Request<Incoming>,
) -> Result<Response<Served>, Infallible> {
    let response = app.oneshot(request.map(Lingering::new)).await?;
    Ok(response.map(|body| Served::new(body, serving)))
}

/// Listens on `address`; if another port is as good, and that one is taken, on any.
pub(crate) async fn listen(mut address: SocketAddr, may_move: bool) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if may_move && error.kind() == io::ErrorKind::AddrInUse => {
            warn!(%address, "somebody else listens there already: taking another port");
            address.set_port(0);
            TcpListener::bind(address).await
        }
        bound => bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::{Router, routing::get};
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[tokio::test]
    async fn a_panic_within_an_answer_is_logged_and_the_next_connection_served() {
        let log = Log::default();
        let _logging = tracing::subscriber::set_default(
            tracing_subscriber::fmt().with_writer(log.clone()).with_max_level(tracing::Level::ERROR).finish(),
        );
        let failing = || async {
            Body::from_stream(stream::poll_fn(|_| -> std::task::Poll<Option<Result<&str, Infallible>>> {
                panic!("of the test")
            }))
        };
        let app = Router::new().route("/failing", get(failing)).route("/", get(|| async { "fine" }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow =
            SlowLimits { head: Duration::from_secs(60), idle: Duration::from_secs(60), write: Duration::from_secs(60) };
        let limits = Limits { slow, connections: 1, grace: Duration::ZERO };
        let (_keep, phase) = watch::channel(Phase::Serving);
        let (_limits, limits) = watch::channel(limits);
        tokio::spawn(serve(listener, app, limits, phase));
        let ask = async |path: &str| {
            let mut client = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let _ = client.read_to_string(&mut answer).await;
            answer
        };
        ask("/failing").await;
        assert!(ask("/").await.ends_with("fine"), "the place of the lost connection is free again");
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(logged.contains("ERROR") && logged.contains("a connection was lost"), "{logged}");
    }
}
