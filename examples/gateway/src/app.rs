//! What callers see: the doors, and the http layers around them.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use axum::{Router, body::Body, extract::State, routing::get};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use llm_core::{CallId, Error, TraceParent};
use llm_serve::{Door, DoorOptions, ModelInfo, Refuser};
use llm_stack::Stack;
use tokio::sync::watch;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span, error, field::Empty, info_span};

use crate::{
    circuits,
    config::ServerConfig,
    entrance::{Entrance, Names},
    hosts::Hosts,
    keys::Keys,
    remaining,
    server::{App, Phase},
    stats::Stats,
};

/// Everything a caller can reach.
pub(crate) fn app<B>(
    stack: &Stack,
    stats: &Stats,
    keys: Keys,
    server: &ServerConfig,
    phase: watch::Receiver<Phase>,
) -> impl App<B> + use<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let options = DoorOptions::new()
        .max_body_bytes(server.max_body_bytes)
        .body_timeout(server.body_timeout)
        .heartbeat(server.heartbeat)
        .head_after(Some(server.head_after))
        .attempts(server.attempts)
        .provenance_headers(server.provenance_headers)
        .cost_comment(server.cost_comment);
    let mut doors = Door::new(stats.layer(stack.service()), models(stack)).options(options);
    if server.remaining_headers {
        let handles = stack.handles().clone();
        doors = doors.remaining(move |request| remaining::of(&handles, request));
    }
    let entrance = Arc::new(Entrance {
        doors,
        health: Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz).with_state((phase, stack.clone()))),
        keys,
        names: Names { hosts: Hosts::new(server.listen, &server.hosts), are_known: server.knows_its_names() },
    });
    around(service_fn(move |request| {
        let entrance = Arc::clone(&entrance);
        async move { Ok(entrance.answer(request).await) }
    }))
}

/// The http layers around everything.
fn around<B>(inside: impl App<B>) -> impl App<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    let secrets: Arc<[HeaderName]> = Arc::new([
        header::AUTHORIZATION,
        header::COOKIE,
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("api-key"),
    ]);
    ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(SetSensitiveRequestHeadersLayer::from_shared(secrets))
        .map_request(name)
        .layer(TraceLayer::new_for_http().make_span_with(span).on_response(DefaultOnResponse::new().level(Level::INFO)))
        // Leaves event streams alone: a compressor would hold events back.
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(WORTH_COMPRESSING).and(NotForContentType::SSE)))
        .service_fn(move |request| answer(inside.clone(), request))
}

fn models(stack: &Stack) -> Vec<ModelInfo> {
    let created = llm_core::clock::since_epoch().as_secs();
    let entry =
        |model: &llm_stack::ModelEntry| ModelInfo { id: model.name.clone(), created, owned_by: model.provider.clone() };
    stack.models().iter().map(entry).collect()
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is kept, in bytes, as at the doors.
const LONGEST_ID: usize = 128;

/// The smallest answer that is compressed, in bytes. A smaller one goes into one packet either way, and a compressor
/// takes more to set up than all else that its request needs.
const WORTH_COMPRESSING: u64 = 1024;

/// The most of a path that is logged, in bytes. It stands in every line about its request, and may be 64 KiB long.
const LONGEST_PATH: usize = 256;

/// Gives a request an id, unless it has one that the doors will send back and that is text.
fn name<B>(mut request: Request<B>) -> Request<B> {
    let is_kept = |id: &HeaderValue| !id.is_empty() && id.len() <= LONGEST_ID && id.to_str().is_ok();
    if !request.headers().get(&REQUEST_ID).is_some_and(is_kept) {
        // An id need not be a secret: random bytes from the system would be one more call of it for each request.
        let id = HeaderValue::try_from(CallId::random().to_string()).expect("hexadecimal digits make a header value");
        request.headers_mut().insert(REQUEST_ID, id);
    }
    request
}

/// The span of a request. Only the path of its URI is shown, because careless clients put keys into queries.
fn span<B>(request: &Request<B>) -> Span {
    let id = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let path = request.uri().path();
    let parent = request.headers().get("traceparent").and_then(TraceParent::parse);
    let span = info_span!(
        "request",
        method = %request.method(),
        path = &path[..path.floor_char_boundary(LONGEST_PATH)],
        id,
        trace_id = Empty,
        tenant = Empty,
        user = Empty,
        workflow = Empty
    );
    if let Some(parent) = parent {
        span.record("trace_id", parent.trace_id());
    }
    span
}

/// Answers one request with its id, and without a body if only the head is wanted: on HTTP/2 hyper would send one.
async fn answer<B>(inside: impl App<B>, request: Request<B>) -> Result<Response<Body>, Infallible> {
    let wants_head = request.method() == Method::HEAD;
    let id = request.headers().get(&REQUEST_ID).cloned();
    let mut response = catch_panics(inside, request).await;
    if let Some(id) = id {
        response.headers_mut().entry(REQUEST_ID).or_insert(id);
    }
    if wants_head {
        let body = std::mem::take(response.body_mut());
        if let Some(length) = body.size_hint().exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
    }
    Ok(response)
}

/// Answers for what panics, so that the connection and its other requests live on.
async fn catch_panics<B>(inside: impl App<B>, request: Request<B>) -> Response<Body> {
    let refuser = Refuser::new(&request);
    let answered = AssertUnwindSafe(async { inside.oneshot(request).await }).catch_unwind().await;
    let Ok(response) = answered.unwrap_or_else(|_| {
        error!("serving a request panicked");
        let error = Error::internal("the gateway failed while serving the request");
        Ok(refuser.refuse(&error).map(Body::new))
    });
    response
}

/// Whether new requests are welcome: not any more once the gateway was told to stop. Open circuits change nothing about
/// that, since no other gateway would reach a provider that is down; they are counted below.
async fn readyz(State((phase, stack)): State<(watch::Receiver<Phase>, Stack)>) -> (StatusCode, String) {
    let (status, word) = match *phase.borrow() {
        Phase::Serving => (StatusCode::OK, "ready"),
        Phase::Leaving | Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    (status, format!("{word}\n{}", circuits::summary(&stack)))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_in_the_callers_dialect_with_the_id_of_its_request() {
        let seen = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&seen);
        let app = around(service_fn(move |request: Request<Body>| {
            *noted.lock().unwrap() = request.headers().get("x-request-id").cloned();
            async { panic!("of the test") }
        }));
        for (own, is_anthropics) in [(Some("mine-1"), false), (Some("mine-2"), true), (None, false), (None, true)] {
            let request = Request::get("/");
            let request = if let Some(id) = own { request.header("x-request-id", id) } else { request };
            let request = if is_anthropics { request.header("anthropic-version", "2023-06-01") } else { request };
            let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let id = response.headers().get("x-request-id");
            assert!(id.is_some());
            assert_eq!(id, seen.lock().unwrap().as_ref(), "the id that the request had");
            assert!(own.is_none_or(|own| id.is_some_and(|id| id == own)));
            assert_eq!(response.headers().get("request-id"), id.filter(|_| is_anthropics));
        }
    }

    #[tokio::test]
    async fn an_answer_to_head_has_the_length_of_its_body_and_no_body() {
        let app = around(service_fn(async |_: Request<Body>| Ok(Response::new(Body::from("hello")))));
        let request = Request::head("/").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "5");
        assert!(response.body().is_end_stream());
    }

    #[tokio::test]
    async fn an_answer_that_is_not_of_the_doors_has_the_id_of_its_request_too() {
        let app = around(service_fn(async |_: Request<Body>| Ok(Response::new(Body::from("hello")))));
        let request = Request::get("/").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
        assert_eq!(app.oneshot(request).await.unwrap().headers()["x-request-id"], "mine-1");
    }
}
