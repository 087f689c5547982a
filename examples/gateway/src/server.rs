//! The accept loop: connections, their limits, and how they end.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, task, time::Duration};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use pin_project_lite::pin_project;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::{
    linger::Lingering,
    slow::{CutSlow, Heads, Serving, SlowLimits},
};

/// The longest request head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Serves `app` on `listener` until `stop` turns true, then lets open requests finish for `grace`.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: SlowLimits,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, app.clone(), limits, stop.clone()));
                }
                // Out of file descriptors, or the client is gone already: others may still be served.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        warn!(open = connections.len(), "connections are still open after the grace time and are cut");
    }
}

async fn connection(stream: TcpStream, app: Router, limits: SlowLimits, mut stop: watch::Receiver<bool>) {
    // Without it the first event of a stream can wait for the acknowledgement of the head.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let heads = Heads::default();
    let io = TokioIo::new(CutSlow::new(stream, limits, heads.clone()));
    let service = hyper::service::service_fn(move |request| answer(app.clone(), heads.clone(), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
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
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "a connection ended");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could say so is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn answer(app: Router, heads: Heads, request: Request<Incoming>) -> Result<Response<Served>, Infallible> {
    let serving = heads.note(request.version() == Version::HTTP_2);
    let response = app.oneshot(request.map(Lingering::new)).await?;
    Ok(response.map(|body| Served { body, _serving: serving }))
}

pin_project! {
    /// An answer on its way out. Its request is being served as long as this lives.
    struct Served {
        #[pin]
        body: Body,
        _serving: Serving,
    }
}

impl http_body::Body for Served {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Listens on `address`; if another port is as good, and that one is taken, on any.
pub(crate) async fn listen(mut address: SocketAddr, may_move: bool) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if may_move && error.kind() == io::ErrorKind::AddrInUse => {
            address.set_port(0);
            TcpListener::bind(address).await
        }
        bound => bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))),
    }
}
