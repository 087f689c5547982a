//! What operators see, on a listener and behind a key of their own.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header, uri::Authority};
use llm_stack::Stack;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::watch, time::Instant};

use crate::{
    keys::{is_same_key, presented},
    stats::Stats,
};

/// What the admin listener tells of.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) stack: Stack,
    pub(crate) stats: Stats,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) started: Instant,
}

/// Whom the admin listener lets in.
#[derive(Clone)]
struct Guard {
    key: Arc<SecretString>,
    hosts: Arc<[String]>,
}

/// The pages for operators. No page changes anything when it is looked at.
pub(crate) fn app(admin: Admin, key: SecretString, listen: SocketAddr, hosts: &[String]) -> Router {
    let own = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), host_of(listen)];
    let guard = Guard { key: Arc::new(key), hosts: own.into_iter().chain(hosts.iter().cloned()).collect() };
    Router::new().route("/status", get(status)).with_state(admin).layer(middleware::from_fn_with_state(guard, let_in))
}

fn host_of(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

/// A page that a browser was lured to under another name is refused before its key is looked at.
async fn let_in(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok()).or_else(|| request.uri().authority().cloned());
    if !host.is_some_and(|host| guard.hosts.iter().any(|known| known.eq_ignore_ascii_case(host.host()))) {
        return (StatusCode::MISDIRECTED_REQUEST, "the admin listener has no such name\n").into_response();
    }
    let is_known =
        presented(request.headers()).is_some_and(|key| is_same_key(key, guard.key.expose_secret().as_bytes()));
    if !is_known {
        return (StatusCode::UNAUTHORIZED, "the admin listener wants its own key\n").into_response();
    }
    next.run(request).await
}

async fn status(State(admin): State<Admin>) -> impl IntoResponse {
    let models: Vec<Value> =
        admin.stack.models().iter().map(|model| json!({ "name": model.name, "provider": model.provider })).collect();
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": admin.started.elapsed().as_secs(),
        "stopping": *admin.stopping.borrow(),
        "calls": admin.stats.counts(),
        "tasks": Handle::current().metrics().num_alive_tasks(),
        "providers": admin.stack.providers().collect::<Vec<_>>(),
        "models": models,
    });
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], format!("{status}\n"))
}
