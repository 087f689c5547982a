//! What callers see: the doors, and the http layers around them.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use llm_core::{Caller, Error, ErrorKind, TraceParent};
use llm_serve::{Door, DoorOptions, ModelInfo, Refuser};
use llm_stack::Stack;
use tokio::sync::watch;
use tower::{Layer, ServiceBuilder};
use tower_http::{
    compression::CompressionLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span, error, field::Empty, info_span};

use crate::{
    config::ServerConfig,
    hosts::Hosts,
    keys::{self, Keys},
    plain::find_ambiguity,
    server::Phase,
    stats::Stats,
};

/// Everything a caller can reach.
pub(crate) fn app(
    stack: &Stack,
    stats: &Stats,
    keys: Keys,
    server: &ServerConfig,
    phase: watch::Receiver<Phase>,
) -> Router {
    let options = DoorOptions::new()
        .max_body_bytes(server.max_body_bytes)
        .body_timeout(server.body_timeout)
        .heartbeat(server.heartbeat)
        .head_after(Some(server.head_after))
        .provenance_headers(server.provenance_headers)
        .cost_comment(server.cost_comment);
    let door = Door::new(stats.layer(stack.service()), models(stack)).options(options);
    let mut doors = Router::new().fallback_service(door);
    if keys.is_empty() {
        let names = Names { hosts: Hosts::new(server.listen, &server.hosts), are_known: server.knows_its_names() };
        doors = doors.layer(middleware::from_fn_with_state(names, expect_own_names));
    }
    let doors = doors.layer(middleware::from_fn_with_state(keys, authenticate));
    around(
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz).with_state(phase))
            .fallback_service(doors)
            .layer(middleware::from_fn(expect_plain)),
    )
}

/// The http layers around everything.
fn around(inside: Router) -> Router {
    let request_id = HeaderName::from_static("x-request-id");
    let secrets: Arc<[HeaderName]> = Arc::new([
        header::AUTHORIZATION,
        header::COOKIE,
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("api-key"),
    ]);
    let layers = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::from_shared(secrets))
        .map_request(drop_odd_id)
        .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_response(DefaultOnResponse::new().level(Level::INFO)))
        .layer(PropagateRequestIdLayer::new(request_id))
        // Leaves event streams alone: a compressor would hold events back.
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(catch_panics));
    inside.layer(layers)
}

fn models(stack: &Stack) -> Vec<ModelInfo> {
    let created = llm_core::clock::since_epoch().as_secs();
    let entry =
        |model: &llm_stack::ModelEntry| ModelInfo { id: model.name.clone(), created, owned_by: model.provider.clone() };
    stack.models().iter().map(entry).collect()
}

/// The longest request id that is kept, in bytes, as at the doors.
const LONGEST_ID: usize = 128;

/// The most of a path that is logged, in bytes. It stands in every line about its request, and may be 64 KiB long.
const LONGEST_PATH: usize = 256;

/// Takes an id away that the doors would not send back, or that is no text; the request gets one of ours then.
fn drop_odd_id(mut request: Request) -> Request {
    let is_odd = |id: &HeaderValue| id.is_empty() || id.len() > LONGEST_ID || id.to_str().is_err();
    if request.headers().get("x-request-id").is_some_and(is_odd) {
        request.headers_mut().remove("x-request-id");
    }
    request
}

/// The span of a request. Only the path of its URI is shown, because careless clients put keys into queries.
fn span(request: &Request) -> Span {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
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

/// Refuses what a proxy before the gateway may have understood otherwise, and takes nothing more on its connection.
async fn expect_plain(request: Request, next: Next) -> Response {
    let Some(ambiguity) = find_ambiguity(&request) else { return next.run(request).await };
    let mut response = refuse(&request, &Error::invalid_request(ambiguity));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What a door that asks for no key calls itself.
#[derive(Clone)]
struct Names {
    hosts: Hosts,
    /// False on a public address without configured names: it can be reached under any.
    are_known: bool,
}

/// Turns away what a web page sends without its reader's knowledge. Where keys are needed, no page has one to send.
async fn expect_own_names(State(names): State<Names>, request: Request, next: Next) -> Response {
    let message = if names.are_known && !names.hosts.is_addressed(&request) {
        "the gateway has no such name: address it as it listens, or tell it the name in `server.hosts`"
    } else if !names.hosts.is_own_page(&request) {
        "this web page may not call the gateway: tell it the page's host in `server.hosts`, or ask callers for keys"
    } else {
        return next.run(request).await;
    };
    refuse(&request, &Error::new(ErrorKind::Forbidden, message))
}

/// Lets callers with a key in, as whoever the key stands for. Without any configured keys everybody may come in.
async fn authenticate(State(keys): State<Keys>, mut request: Request, next: Next) -> Response {
    if keys.is_empty() {
        return next.run(request).await;
    }
    let presented = keys::presented(request.headers());
    let Some(caller) = presented.and_then(|key| keys.find(key)).cloned() else {
        let message = match presented {
            Some(_) => "the api key is not known here",
            None => "an api key is needed: send it as `Authorization: Bearer <key>`",
        };
        return refuse(&request, &Error::new(ErrorKind::Unauthenticated, message));
    };
    let names = [("tenant", &caller.tenant), ("user", &caller.user), ("workflow", &caller.workflow)];
    for (field, name) in names {
        if let Some(name) = name {
            Span::current().record(field, &**name);
        }
    }
    request.extensions_mut().insert::<Caller>(caller);
    next.run(request).await
}

/// Refuses in the caller's dialect.
fn refuse(request: &Request, error: &Error) -> Response {
    Refuser::new(request).refuse(error).map(Body::new)
}

/// Answers for what panics, so that the connection and its other requests live on.
async fn catch_panics(request: Request, next: Next) -> Response {
    let refuser = Refuser::new(&request);
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        error!("serving a request panicked");
        refuser.refuse(&Error::internal("the gateway failed while serving the request")).map(Body::new)
    })
}

/// Whether new requests are welcome: not any more once the gateway was told to stop.
async fn readyz(State(phase): State<watch::Receiver<Phase>>) -> (StatusCode, &'static str) {
    match *phase.borrow() {
        Phase::Serving => (StatusCode::OK, "ready\n"),
        Phase::Leaving | Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_in_the_callers_dialect_with_the_id_of_its_request() {
        let seen = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&seen);
        let failing = async move |request: Request| -> &'static str {
            *noted.lock().unwrap() = request.headers().get("x-request-id").cloned();
            panic!("of the test")
        };
        let app = around(Router::new().route("/", get(failing)));
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
}
