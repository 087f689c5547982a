//! Inner services and streams that do as they are told, and http requests to try doors with.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use llm_core::{Body, BoxLlmService, Dialect, Error, ErrorKind, Frame, Head, LlmRequest, LlmResponse, Output};
use llm_serve::{Door, DoorBody};
use tokio::sync::mpsc;
use tower::{ServiceExt, service_fn};

/// A client of one dialect, for claims that are made of each: what it sends, and what a provider of its dialect says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) dialect: Dialect,
    pub(crate) path: &'static str,
    /// A request for a whole answer.
    pub(crate) whole: &'static str,
    /// A request for a stream.
    pub(crate) stream: &'static str,
    /// The end of a stream that is whole.
    pub(crate) terminator: &'static str,
    pub(crate) heartbeat: &'static str,
}

pub(crate) const OPENAI: Client = Client {
    dialect: Dialect::OpenAi,
    path: "/v1/chat/completions",
    whole: r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
    stream: r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    terminator: "data: [DONE]\n\n",
    heartbeat: ": \n\n",
};

pub(crate) const ANTHROPIC: Client = Client {
    dialect: Dialect::Anthropic,
    path: "/v1/messages",
    whole: r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
    stream: r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    terminator: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    heartbeat: "event: ping\ndata: {\"type\": \"ping\"}\n\n",
};

pub(crate) const CLIENTS: [Client; 2] = [OPENAI, ANTHROPIC];

impl Client {
    /// A door for this client alone.
    pub(crate) fn door<S>(self, service: S) -> Door<S> {
        match self.dialect {
            Dialect::OpenAi => Door::chat_completions(service),
            Dialect::Anthropic => Door::messages(service),
        }
    }

    pub(crate) fn post(self, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
        post(self.path, body)
    }

    /// What the client gets for `body`.
    pub(crate) async fn send(self, service: BoxLlmService, body: impl Into<Bytes>) -> Response<DoorBody> {
        self.door(service).oneshot(self.post(body)).await.unwrap()
    }

    /// A frame of one text as a provider of the dialect sends it, with a spelling of its own.
    pub(crate) fn wired(self, text: &str) -> Frame {
        Frame::text(text).with_wire(self.dialect, self.wire_of(text))
    }

    pub(crate) fn wire_of(self, text: &str) -> Bytes {
        let wire = match self.dialect {
            Dialect::OpenAi => {
                format!("data:{{\"choices\":[ {{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"odd\":1.0e+0}} ]}}")
            }
            Dialect::Anthropic => format!(
                "event:content_block_delta\r\ndata:{{\"type\":\"content_block_delta\",\"index\":0, \
                 \"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}},\"odd\":1.0e+0 }}"
            ),
        };
        format!("{wire}\r\n\r\n").into()
    }

    /// The terminal frame of the dialect.
    pub(crate) fn done(self) -> Frame {
        Frame::default().last().with_wire(self.dialect, Bytes::from_static(self.terminator.as_bytes()))
    }

    /// The text of a whole answer.
    pub(crate) fn text_of(self, body: &[u8]) -> String {
        let answer: serde_json::Value = serde_json::from_slice(body).expect("the body is JSON");
        let text = match self.dialect {
            Dialect::OpenAi => &answer["choices"][0]["message"]["content"],
            Dialect::Anthropic => &answer["content"][0]["text"],
        };
        text.as_str().unwrap_or_else(|| panic!("no text: {answer}")).to_owned()
    }

    /// The status that a client of the dialect gets for an error of the kind.
    pub(crate) fn status(self, kind: ErrorKind) -> u16 {
        match (self.dialect, kind) {
            (Dialect::Anthropic, ErrorKind::Overloaded) => 529,
            _ => kind.class().status,
        }
    }

    /// Asserts that the object is an error of the dialect, and returns what is in it.
    pub(crate) fn error_of(self, mut object: serde_json::Value) -> serde_json::Value {
        let error = object["error"].take();
        assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
        match self.dialect {
            Dialect::OpenAi => assert!(error.get("code").is_some() && error.get("param").is_some(), "{error}"),
            Dialect::Anthropic => assert_eq!(object["type"], "error", "{object}"),
        }
        error
    }

    /// Asserts that the response is an error of the dialect with this status, and returns the error object.
    pub(crate) async fn assert_refused(
        self,
        response: Response<DoorBody>,
        status: u16,
    ) -> (HeaderMap, serde_json::Value) {
        let (got, headers, body) = read(response).await;
        assert_eq!(got, status, "{}", String::from_utf8_lossy(&body));
        assert_eq!(headers["content-type"], "application/json");
        let object: serde_json::Value = serde_json::from_slice(&body).expect("the body is JSON");
        match self.dialect {
            Dialect::OpenAi => assert!(!headers.contains_key("request-id")),
            Dialect::Anthropic => {
                assert_eq!(headers["request-id"], headers["x-request-id"]);
                assert_eq!(object["request_id"], headers["request-id"].to_str().unwrap());
            }
        }
        (headers, self.error_of(object))
    }
}

/// A service that answers each request with what `script` makes of it.
pub(crate) fn service<F, T>(script: F) -> BoxLlmService
where
    F: Fn(LlmRequest) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
{
    BoxLlmService::new(service_fn(script))
}

/// A service that says the same to everyone.
pub(crate) fn says(text: &'static str) -> BoxLlmService {
    service(move |_| async move { Ok(Output::text(text).into()) })
}

/// A service that always fails.
pub(crate) fn fails(error: Error) -> BoxLlmService {
    service(move |_| std::future::ready(Err(error.clone())))
}

/// A service that must not be called.
pub(crate) fn unreached() -> BoxLlmService {
    service(|_| async { panic!("the service was called") })
}

/// A service that keeps the requests it gets, and answers each with `output`.
pub(crate) fn recording(output: Output) -> (BoxLlmService, Arc<Mutex<Vec<LlmRequest>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    let service = service(move |request| {
        kept.lock().unwrap().push(request);
        let output = output.clone();
        async { Ok(output.into()) }
    });
    (service, requests)
}

/// A service that streams the frames sent through the returned end to its only caller.
pub(crate) fn streaming() -> (BoxLlmService, mpsc::UnboundedSender<Result<Frame, Error>>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let service = service(move |_| {
        let frames = receiver.lock().unwrap().take().expect("called once");
        async { Ok(LlmResponse::new(Head::default(), Body::stream(channel(frames)))) }
    });
    (service, sender)
}

fn channel(mut frames: mpsc::UnboundedReceiver<Result<Frame, Error>>) -> impl Stream<Item = Result<Frame, Error>> {
    futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx))
}

/// Counts how many of its kind have been dropped.
pub(crate) struct DropCount(pub(crate) Arc<AtomicUsize>);

impl Drop for DropCount {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path).header("content-type", "application/json").body(Full::new(body.into())).unwrap()
}

pub(crate) async fn read(response: Response<DoorBody>) -> (StatusCode, HeaderMap, Bytes) {
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

/// The next piece of a stream as text; `None` at its end.
pub(crate) async fn next(body: &mut DoorBody) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}
