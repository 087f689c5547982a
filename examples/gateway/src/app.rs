//! What callers see: the doors, and the http layers around them.

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use llm_core::{Caller, Error, ErrorKind, TraceParent};
use llm_serve::{DoorOptions, ModelInfo, OpenAiDoor};
use llm_stack::Stack;
use tokio::sync::watch;
use tower::{Layer, ServiceBuilder};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Level, Span, field::Empty, info_span};

use crate::{
    config::ServerConfig,
    keys::{self, Keys},
    stats::Stats,
};

/// Everything a caller can reach.
pub(crate) fn app(
    stack: &Stack,
    stats: &Stats,
    keys: Keys,
    server: &ServerConfig,
    stopping: watch::Receiver<bool>,
) -> Router {
    let options = DoorOptions::new()
        .max_body_bytes(server.max_body_bytes)
        .body_timeout(server.body_timeout)
        .heartbeat(server.heartbeat);
    let door = OpenAiDoor::new(stats.layer(stack.service()), models(stack)).options(options);
    let doors = Router::new().fallback_service(door).layer(middleware::from_fn_with_state(keys, authenticate));

    let request_id = HeaderName::from_static("x-request-id");
    let secrets: Arc<[HeaderName]> = Arc::new([
        header::AUTHORIZATION,
        header::COOKIE,
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("api-key"),
    ]);
    let around = ServiceBuilder::new()
        .layer(SetSensitiveRequestHeadersLayer::from_shared(secrets))
        .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_response(DefaultOnResponse::new().level(Level::INFO)))
        .layer(PropagateRequestIdLayer::new(request_id))
        // Leaves event streams alone: a compressor would hold events back.
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(panicked));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(stopping))
        .fallback_service(doors)
        .layer(around)
}

fn models(stack: &Stack) -> Vec<ModelInfo> {
    let created = llm_core::clock::since_epoch().as_secs();
    let entry =
        |model: &llm_stack::ModelEntry| ModelInfo { id: model.name.clone(), created, owned_by: model.provider.clone() };
    stack.models().iter().map(entry).collect()
}

/// The span of a request. Only the path of its URI is shown, because careless clients put keys into queries.
fn span(request: &Request) -> Span {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let parent = request.headers().get("traceparent").and_then(TraceParent::parse);
    let span = info_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
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
        return refuse(request.headers(), &Error::new(ErrorKind::Unauthenticated, message));
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

fn refuse(headers: &HeaderMap, error: &Error) -> Response {
    llm_serve::refuse(headers, error).map(Body::new)
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    refuse(&HeaderMap::new(), &Error::internal("the gateway failed while serving the request"))
}

/// Whether new requests are welcome: not any more once the gateway was told to stop.
async fn readyz(State(stopping): State<watch::Receiver<bool>>) -> (StatusCode, &'static str) {
    if *stopping.borrow() { (StatusCode::SERVICE_UNAVAILABLE, "stopping\n") } else { (StatusCode::OK, "ready\n") }
}
