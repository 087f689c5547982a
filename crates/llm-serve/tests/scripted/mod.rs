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
use llm_core::{Body, BoxLlmService, Dialect, Error, Frame, Head, LlmRequest, LlmResponse, Output};
use llm_serve::DoorBody;
use tokio::sync::mpsc;
use tower::service_fn;

pub(crate) const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

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

/// A service that keeps the requests it gets.
pub(crate) fn recording() -> (BoxLlmService, Arc<Mutex<Vec<LlmRequest>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    let service = service(move |request| {
        kept.lock().unwrap().push(request);
        async { Ok(Output::text("ok").into()) }
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

/// A frame of one text as a provider of the dialect sends it, with a spelling of its own.
pub(crate) fn wired(text: &str) -> Frame {
    Frame::text(text).with_wire(Dialect::OpenAi, wire_of(text))
}

pub(crate) fn wire_of(text: &str) -> Bytes {
    format!("data:{{\"choices\":[ {{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"odd\":1.0e+0}} ]}}\r\n\r\n")
        .into()
}

/// The terminal frame of the dialect.
pub(crate) fn done() -> Frame {
    Frame::default().last().with_wire(Dialect::OpenAi, Bytes::from_static(b"data: [DONE]\n\n"))
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

pub(crate) fn chat(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    post("/v1/chat/completions", body)
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

/// Asserts that the response is an error of the dialect with this status, and returns the error object.
pub(crate) async fn assert_refused(response: Response<DoorBody>, status: u16) -> (HeaderMap, serde_json::Value) {
    let (got, headers, body) = read(response).await;
    assert_eq!(got, status, "{}", String::from_utf8_lossy(&body));
    assert_eq!(headers["content-type"], "application/json");
    let mut object: serde_json::Value = serde_json::from_slice(&body).expect("the body is JSON");
    let error = object["error"].take();
    assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
    (headers, error)
}
