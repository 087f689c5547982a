//! A provider that answers in both dialects, whole or streamed as it is asked, and remembers what it was sent.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, sync::Semaphore};

/// A provider behind the gateway.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

/// A request that has come.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) version: Version,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// The number of its connection.
    pub(crate) connection: usize,
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("-", |value| value.to_str().unwrap())
    }
}

struct State {
    sent: Mutex<Vec<Sent>>,
    connections: AtomicUsize,
    /// Lets answers of the model `held` go.
    released: Semaphore,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { sent: Mutex::default(), connections: AtomicUsize::new(0), released: Semaphore::new(0) };
        let state = Arc::new(state);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                connection.set_nodelay(true).unwrap();
                let state = Arc::clone(&shared);
                let number = state.connections.fetch_add(1, SeqCst) + 1;
                let service = service_fn(move |request| answer(request, number, Arc::clone(&state)));
                let builder = auto::Builder::new(TokioExecutor::new());
                tokio::spawn(async move {
                    let _ = builder.serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        Self { address, state }
    }

    /// Where nobody ever says anything.
    pub(crate) async fn silent(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                kept.push(connection);
            }
        });
        address
    }

    /// What it was sent so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.state.sent.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn only(&self) -> Sent {
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0].clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Waits until so many requests have come.
    pub(crate) async fn has_got(&self, requests: usize) {
        while self.sent().len() < requests {
            tokio::task::yield_now().await;
        }
    }

    /// Lets held answers go.
    pub(crate) fn release(&self) {
        self.state.released.add_permits(1_000);
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: usize,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let (path, is_stream) = (head.uri.path().to_owned(), body.contains("\"stream\":true"));
    let is_of = |model: &str| body.contains(&format!("\"model\":\"{model}\""));
    let (is_down, is_held) = (is_of("down"), is_of("held"));
    let is_known = ["/chat/completions", "/messages", "/embeddings"].iter().any(|known| path.ends_with(known));
    let is_embedding = path.ends_with("/embeddings");
    let is_anthropic = path.ends_with("/messages");
    let sent = Sent { version: head.version, path, headers: head.headers, body, connection };
    state.sent.lock().unwrap().push(sent);
    if is_held {
        state.released.acquire().await.unwrap().forget();
    }
    let (status, kind, text) = match (is_known && !is_down, is_stream, is_anthropic) {
        (false, ..) => {
            let status = if is_down { 503 } else { 404 };
            (status, "application/json", r#"{"error":{"message":"no","type":"server_error"}}"#)
        }
        (true, ..) if is_embedding => (200, "application/json", VECTORS),
        (true, false, false) => (200, "application/json", WHOLE),
        (true, true, false) => (200, "text/event-stream", STREAM),
        (true, false, true) => (200, "application/json", WHOLE_MESSAGE),
        (true, true, true) => (200, "text/event-stream", STREAMED_MESSAGE),
    };
    let response = Response::builder().status(status).header("content-type", kind);
    Ok(response.body(Full::from(text)).unwrap())
}

const VECTORS: &str = r#"{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":1,"total_tokens":1}}"#;

const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":5000,"total_tokens":6000}}"#;

const STREAM: &str = concat!(
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"}}]}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":5000,"total_tokens":6000}}"#,
    "\n\ndata: [DONE]\n\n",
);

/// Of input 1,000 tokens are fresh, 2,000 read from a cache, and 3,000 and 4,000 written to it for minutes and for an hour; and
/// 5,000 are output.
const WHOLE_MESSAGE: &str = r#"{"id":"m1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1000,"cache_read_input_tokens":2000,"cache_creation_input_tokens":7000,"cache_creation":{"ephemeral_5m_input_tokens":3000,"ephemeral_1h_input_tokens":4000},"output_tokens":5000}}"#;

const STREAMED_MESSAGE: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1000,"cache_read_input_tokens":2000,"cache_creation_input_tokens":7000,"cache_creation":{"ephemeral_5m_input_tokens":3000,"ephemeral_1h_input_tokens":4000},"output_tokens":1}}}"#,
    "\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
    "\n\nevent: content_block_stop\n",
    r#"data: {"type":"content_block_stop","index":0}"#,
    "\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5000}}"#,
    "\n\nevent: message_stop\n",
    r#"data: {"type":"message_stop"}"#,
    "\n\n",
);
