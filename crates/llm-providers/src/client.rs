//! The http client that is used unless the host brings its own.
//!
//! hyper-util's client keeps one HTTP/2 connection a host, and calls beyond the number of streams that the server
//! allows on it wait in line without a word. A model's stream stays open for seconds to minutes, so that line is
//! soon reached: OpenAI-compatible servers and the proxies before them allow 100 to 250 streams a connection. This
//! client therefore has several such clients, its *lanes*, each with a pool of its own, and puts a call into the
//! first lane with room. On HTTP/1, where a connection carries one call at a time, a lane is just a pool.

mod body;
mod config;
mod connect;
mod lanes;
mod roots;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy;
use pin_project_lite::pin_project;
use tower_service::Service;

pub use self::{
    body::ClientBody,
    config::{ClientConfig, HttpVersion},
};
use self::{
    connect::Connector,
    lanes::{Lanes, Slot},
};
use llm_core::ConfigError;

type Lane = legacy::Client<Connector, Full<Bytes>>;

/// An http client: pooled, over TLS with Mozilla's roots or in the clear, HTTP/1 or HTTP/2 as the server prefers;
/// that is its default, and [`ClientConfig`] says what else it can be.
///
/// It counts a call as open until the body of its response is dropped. Clones share connections; use
/// one client for each provider, since a call counts whichever host it goes to.
///
/// It is always ready. Redirects are not followed and nothing is decompressed.
#[derive(Clone)]
pub struct Client(Arc<Pools>);

struct Pools {
    lanes: Arc<Lanes>,
    clients: Box<[OnceLock<Lane>]>,
    config: ClientConfig,
    connector: Connector,
}

/// A client with these settings. No connection is made before the first call.
///
/// # Errors
/// If [`ca_file`](ClientConfig::ca_file) cannot be read, or holds no certificate or one that cannot be used.
impl TryFrom<ClientConfig> for Client {
    type Error = ConfigError;

    fn try_from(config: ClientConfig) -> Result<Self, ConfigError> {
        let max_lanes = usize::from(config.max_connections.get());
        Ok(Self(Arc::new(Pools {
            lanes: Arc::new(Lanes::new(max_lanes, config.max_streams_per_connection.get() as usize)),
            clients: (0..max_lanes).map(|_| OnceLock::new()).collect(),
            connector: connect::connector(&config)?,
            config,
        })))
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::try_from(ClientConfig::default()).expect("only a stated file can be wrong")
    }
}

impl Pools {
    fn lane(&self, index: usize) -> &Lane {
        self.clients[index].get_or_init(|| self.config.lane(self.connector.clone()))
    }
}

impl Service<Request<Full<Bytes>>> for Client {
    type Response = Response<ClientBody>;
    type Error = legacy::Error;
    type Future = ClientFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> ClientFuture {
        let slot = Lanes::enter(&self.0.lanes);
        ClientFuture { response: self.0.lane(slot.lane()).request(request), slot: Some(slot) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.0.config).field("open", &self.0.lanes.open()).finish()
    }
}

pin_project! {
    /// The future of [`Client`]. Dropping it cancels the call.
    pub struct ClientFuture {
        #[pin]
        response: legacy::ResponseFuture,
        slot: Option<Slot>,
    }
}

impl Future for ClientFuture {
    type Output = Result<Response<ClientBody>, legacy::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.response.poll(cx));
        let slot = this.slot.take();
        Poll::Ready(result.map(|response| response.map(|body| ClientBody::new(body, slot))))
    }
}

impl fmt::Debug for ClientFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientFuture")
    }
}
