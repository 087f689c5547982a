//! What operators see, on a listener and behind a key of their own.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State, rejection::QueryRejection},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use llm_core::{Measures, TargetRef};
use llm_router::TargetStatus;
use llm_stack::Stack;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tokio::{runtime::Handle, sync::watch, time::Instant};

use crate::{
    cache, circuits,
    hosts::Hosts,
    keys::{is_same_key, presented},
    limits,
    live::Reloads,
    notices::{self, Recent},
    plain::find_ambiguity,
    routes,
    server::Phase,
    spend,
    stats::Stats,
};

/// What the admin listener tells of.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) stack: Stack,
    pub(crate) stats: Stats,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) started: Instant,
    pub(crate) reloads: Reloads,
    pub(crate) notices: Recent,
}

/// Whom the admin listener lets in.
#[derive(Clone)]
struct Guard {
    key: Arc<SecretString>,
    hosts: Hosts,
}

/// The pages for operators. No page changes anything when it is looked at; `POST /circuits`, `POST /routes`,
/// `POST /spend` and `POST /cache` do.
pub(crate) fn app(admin: Admin, key: SecretString, hosts: Hosts) -> Router {
    let guard = Guard { key: Arc::new(key), hosts };
    let circuits = get(circuits::show).post(circuits::control).with_state(admin.stack.clone());
    let cache = get(cache::show).post(cache::control).with_state(admin.stack.clone());
    let spend = get(spend::show).post(spend::control).with_state(admin.stack.clone());
    let limits = get(limits::show).with_state(admin.stack.clone());
    let routes = get(routes::show).post(routes::control).with_state(admin.stack.clone());
    Router::new()
        .route("/notices", get(notices::show).with_state(admin.notices.clone()))
        .route("/status", get(status))
        .with_state(admin)
        .route("/circuits", circuits)
        .route("/routes", routes)
        .route("/spend", spend)
        .route("/cache", cache)
        .route("/limits", limits)
        .layer(middleware::from_fn_with_state(guard, let_in))
}

/// A page that a browser was lured to under another name is refused before its key is looked at.
async fn let_in(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Some(ambiguity) = find_ambiguity(&request) {
        return (StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")], format!("{ambiguity}\n")).into_response();
    }
    if !guard.hosts.is_addressed(&request) {
        return (StatusCode::MISDIRECTED_REQUEST, "the admin listener has no such name\n").into_response();
    }
    let is_known =
        presented(request.headers()).is_some_and(|key| is_same_key(key, guard.key.expose_secret().as_bytes()));
    if !is_known {
        return (StatusCode::UNAUTHORIZED, "the admin listener wants its own key\n").into_response();
    }
    next.run(request).await
}

async fn status(State(admin): State<Admin>) -> Response {
    let models: Vec<Value> =
        admin.stack.models().iter().map(|model| json!({ "name": model.name, "provider": model.provider })).collect();
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": admin.started.elapsed().as_secs(),
        "stopping": *admin.phase.borrow() != Phase::Serving,
        "reloads": { "taken": admin.reloads.taken(), "refused": admin.reloads.refused() },
        "calls": admin.stats.counts(),
        "tasks": Handle::current().metrics().num_alive_tasks(),
        "providers": admin.stack.providers().collect::<Vec<_>>(),
        "models": models,
        "targets": targets(&admin.stack),
        "circuits": circuits::list(&admin.stack).iter().map(circuits::describe).collect::<Vec<_>>(),
        "measures": measures(&admin.stack),
    });
    page(&status)
}

/// The answer to a query that makes no sense.
pub(crate) fn unreadable(error: QueryRejection) -> Response {
    (error.status(), format!("{}\n", error.body_text())).into_response()
}

/// What operators see is of this moment, and not to be kept.
pub(crate) fn page(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], format!("{value}\n"))
        .into_response()
}

/// How the targets have been doing, as the router sees it.
fn targets(stack: &Stack) -> Vec<Value> {
    let describe = |status: TargetStatus| {
        let TargetRef { provider, model, key } = status.target.names();
        json!({
            "provider": provider,
            "model": model,
            "key": key,
            "local": stack.is_local(&status.target),
            "in_flight": status.in_flight,
            "first_content_ms": status.first_content.map(|wait| wait.as_millis() as u64),
            "seconds_per_token": status.seconds_per_token,
            "failing": status.failing,
        })
    };
    stack.handles().router.targets().into_iter().map(describe).collect()
}

/// What is of each circuit or target, and told by itself.
const TOLD_APART: [&str; 5] = [
    "llm.breaker.state",
    "llm.router.in_flight",
    "llm.router.first_content",
    "llm.router.seconds_per_token",
    "llm.router.failing",
];

/// The figures of the layers, but for those that are told by themselves: names with their labels behind them, such as
/// `llm.retry.decisions{decision=retried}`.
fn measures(stack: &Stack) -> Value {
    let mut measures = Map::new();
    stack.handles().measure(&mut |measure| {
        if TOLD_APART.contains(&measure.name) {
            return;
        }
        let labels: Vec<String> = measure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        measures.insert(format!("{}{labels}", measure.name), measure.value.into());
    });
    measures.into()
}
